# SPDX-License-Identifier: GPL-3.0-or-later
"""The prior over faces in photos, read from `models/face_fit.safetensors`.

It says how people's faces differ, how they smile and how well each landmark is tracked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import written_whole

# The sine of 30 degrees: the unit of a head's turn.
TURN = 0.5
# The errors of tracked points are correlated, so no point counts as more precise than this,
# metres.
LEAST_NOISE = 0.0012
# Arrays that the file holds in millimetres.
MILLIMETRES = ("mean", "modes", "smile", "habits", "turned", "noise")
FIT_MODEL_PATH = Path(__file__).parent.parent / "models" / "face_fit.safetensors"


@dataclass(frozen=True, eq=False)
class PhotoModel:
    """A linear model of a tracked face without its pose, in metres on the template.

        mean + Σ identity·modes + amount·smile + Σ habit·habits + Σ turn·turned + noise,

    where identity and habit are standard normal.

    mean       at rest, lips closed, symmetric
    modes      how people differ, one standard deviation each; each symmetric or antisymmetric,
               the first eight not those of `identity.py`
    smile      what smiling for a photo adds on average
    habits     how photos of one person differ beyond that
    turned     the tracker's error on turned heads: odd, per TURN of the sine of the yaw, and
               even, per TURN² of its square
    noise      standard deviation of the residual across the line of sight
    depth      how many times less precise the tracker's depth is, at `depth_yaw` degrees
    kept       share of a face's unexplained residual that recurs in the person's next photo
    """

    mean: Float64[np.ndarray, "478 3"]
    modes: Float64[np.ndarray, "K 478 3"]
    smile: Float64[np.ndarray, "478 3"]
    habits: Float64[np.ndarray, "habits 478 3"]
    turned: Float64[np.ndarray, "2 478 3"]
    noise: Float64[np.ndarray, " 478"]
    depth: Float64[np.ndarray, " angles"]
    depth_yaw: Float64[np.ndarray, " angles"]
    kept: Float64[np.ndarray, " 478"]


@lru_cache(maxsize=1)
def load_photo_model() -> PhotoModel:
    """Read the shipped numbers once; VividKeysError(bad_file) if that fails."""
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
    """Replace the shipped numbers; all but the mean are stored in half precision."""
    numbers = {}
    for name, array in vars(model).items():
        scaled = array * (1000.0 if name in MILLIMETRES else 1.0)
        numbers[name] = scaled.astype(np.float32 if name == "mean" else np.float16)
    with written_whole(FIT_MODEL_PATH) as temporary:
        save_file(numbers, temporary, metadata={"unit": "millimetre", **note})
    load_photo_model.cache_clear()


def identity_coordinates(
    vertices: Float64[np.ndarray, "N L 3"], model: PhotoModel | None = None
) -> Float64[np.ndarray, "N K"]:
    """Coordinates of neutral meshes whose distances say how unlike two people are.

    Offsets from the mean are projected on the modes (regularised least squares) and measured in
    standard deviations of what a photo leaves uncertain: a Mahalanobis distance, in which the
    directions that smiles and the tracker's errors share hardly count.
    """
    model = model or load_photo_model()
    count = vertices.shape[-2]
    weight = 1.0 / np.maximum(model.noise[:count], LEAST_NOISE)[:, None]

    def rows(fields: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((fields * weight).reshape(len(fields), -1))

    modes = rows(model.modes[:, :count])
    known = np.concatenate([model.habits, model.turned, model.smile[None]])[:, :count]
    everything = np.concatenate([modes, rows(known)])
    gram = everything @ everything.T + np.eye(len(everything))
    # The precision of the modes once habits may explain a part: a Schur complement.
    own, other = slice(len(modes)), slice(len(modes), None)
    sharpness = gram[own, own] - gram[own, other] @ np.linalg.solve(
        gram[other, other], gram[other, own]
    )
    within = modes @ modes.T + 0.1 * np.eye(len(modes))
    coefficients = np.linalg.solve(within, modes @ rows(vertices - model.mean[:count]).T).T
    return np.asarray(coefficients @ np.linalg.cholesky(sharpness))
