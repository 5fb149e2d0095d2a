# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about faces in photos before one is looked at: who people are, how they smile,
how well each landmark is seen. The numbers of `models/face_fit.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import written_whole

Floats = NDArray[np.float64]

# The sine of 30 degrees; the unit in which turned heads are counted.
TURN = 0.5
# Tracked points are wrong together rather than one by one, so each counts as no better than this,
# metres.
LEAST_NOISE = 0.0012
# Arrays that the file holds in millimetres.
MILLIMETRES = ("mean", "modes", "smile", "habits", "turned", "noise")
FIT_MODEL_PATH = Path(__file__).parent.parent / "models" / "face_fit.safetensors"


@dataclass(frozen=True, eq=False)
class PhotoModel:
    """A tracked face without its pose is

        mean + Σ identity·modes + amount·smile + Σ habit·habits + Σ turn·turned + noise,

    metres on the template, 478 landmarks; identity and habit are standard normal.

    mean      [478,3] at rest, lips closed, symmetric
    modes     [K,478,3] in which ways people differ, one standard deviation each; each symmetric
              or antisymmetric, the first eight not those of `identity.py`
    smile     [478,3] what smiling for a photo adds on average
    habits    [U,478,3] in which ways one person's photos differ beyond that
    turned    [2,478,3] what the tracker gets wrong about turned heads: odd, per TURN of the sine
              of the yaw, and even, per TURN² of its square
    noise     [478] standard deviation of the rest across the line of sight
    depth     [B] how many times less sure the tracker's depth is, at `depth_yaw` [B] degrees
    kept      [478] share of a face's unexplained rest that is there again in their next photo
    """

    mean: Floats
    modes: Floats
    smile: Floats
    habits: Floats
    turned: Floats
    noise: Floats
    depth: Floats
    depth_yaw: Floats
    kept: Floats


@lru_cache(maxsize=1)
def load_photo_model() -> PhotoModel:
    """Read the shipped numbers once; VividKeysError(bad_file) when they are not there."""
    try:
        numbers = load_file(FIT_MODEL_PATH)
        stored = {name: array.astype(np.float64) for name, array in numbers.items()}
        metres = {name: stored[name] / 1000.0 for name in MILLIMETRES}
        return PhotoModel(
            **metres, depth=stored["depth"], depth_yaw=stored["depth_yaw"], kept=stored["kept"]
        )
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The table of faces {FIT_MODEL_PATH.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem


def write_photo_model(model: PhotoModel, note: dict[str, str]) -> None:
    """Write the numbers, millimetres in half precision, over the shipped ones."""
    numbers = {}
    for name, array in vars(model).items():
        scaled = array * (1000.0 if name in MILLIMETRES else 1.0)
        numbers[name] = scaled.astype(np.float32 if name == "mean" else np.float16)
    with written_whole(FIT_MODEL_PATH) as temporary:
        save_file(numbers, temporary, metadata={"unit": "millimetre", **note})
    load_photo_model.cache_clear()


def identity_coordinates(vertices: Floats, model: PhotoModel | None = None) -> Floats:
    """Coordinates [N,K] of neutral meshes [N,468,3] in which distance says how unlike two are.

    Offsets from the mean are described by the modes (reluctant least squares) and counted in
    deviations of what a photo leaves open about them: a Mahalanobis distance, in which what
    smiles and the tracker confuse hardly counts.
    """
    model = model or load_photo_model()
    count = vertices.shape[-2]
    weight = 1.0 / np.maximum(model.noise[:count], LEAST_NOISE)[:, None]

    def rows(fields: Floats) -> Floats:
        return np.asarray((fields * weight).reshape(len(fields), -1))

    modes = rows(model.modes[:, :count])
    known = np.concatenate([model.habits, model.turned, model.smile[None]])[:, :count]
    everything = np.concatenate([modes, rows(known)])
    gram = everything @ everything.T + np.eye(len(everything))
    # What is left open about the modes once habits may explain a part: its inverse is a Schur
    # complement.
    own, other = slice(len(modes)), slice(len(modes), None)
    sharpness = gram[own, own] - gram[own, other] @ np.linalg.solve(
        gram[other, other], gram[other, own]
    )
    within = modes @ modes.T + 0.1 * np.eye(len(modes))
    coefficients = np.linalg.solve(within, modes @ rows(vertices - model.mean[:count]).T).T
    return np.asarray(coefficients @ np.linalg.cholesky(sharpness))
