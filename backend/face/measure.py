# SPDX-License-Identifier: GPL-3.0-or-later
"""How close the muscle table comes to a reference set of ARKit shapes on the landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from shared.arkit import ARKIT_NAMES
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .arkit_basis import landmark_basis
from .muscles import MuscleTable
from .pose import fit_similarity
from .template import load_template

# A landmark counts as moving above this share of the shape's largest motion.
MOVING = 0.2


@dataclass(frozen=True)
class ShapeError:
    """The error of one shape relative to the reference.

    rms        root mean squared distance over all landmarks / largest reference motion
    direction  angle in degrees between the two motions, mean over the moving landmarks
    size       ratio of the lengths of the two motions (whole fields)
    largest    the reference's largest motion in millimetres
    """

    name: str
    rms: float
    direction: float
    size: float
    largest: float


def read_reference(
    path: Path,
) -> tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, "K 468 3"], tuple[str, ...]]:
    """Read landmarks, offsets (metres, our axes, aligned to the template) and shape names.

    The file holds centimetres, +Y up, face along +Z, and ARKit names with `_L` and `_R`;
    browInnerUp and cheekPuff come in halves, which are summed. Raises VividKeysError(bad_file).
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            vertices = _turn(file["vertices"].astype(np.float64)) / 100.0
            deltas = _turn(file["deltas"].astype(np.float64)) / 100.0
            names = [str(name) for name in file["names"]]
    except (OSError, KeyError, ValueError) as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"The reference {Path(path).name} cannot be read ({problem})."
        ) from problem
    template = load_template()
    # The rim of the reference was sampled unevenly, so only the middle decides the alignment.
    weights = (np.abs(vertices[:, 0]) < 0.045).astype(float)
    move = fit_similarity(vertices, template.vertices, weights)
    offsets = move.scale * deltas @ move.rotation.T
    found: dict[str, NDArray[np.float64]] = {}
    for name, offset in zip(names, offsets, strict=True):
        stem, _, side = name.rpartition("_")
        full = stem + {"L": "Left", "R": "Right"}[side] if side in ("L", "R") else name
        if full not in ARKIT_NAMES and stem in ARKIT_NAMES:
            full = stem
        found[full] = found.get(full, np.zeros((LANDMARK_COUNT, 3))) + offset
    ordered = tuple(name for name in ARKIT_NAMES if name in found)
    return move.apply(vertices), np.stack([found[name] for name in ordered]), ordered


def measure_against_reference(
    path: Path, table: MuscleTable | None = None
) -> tuple[ShapeError, ...]:
    """Compare the table on the template face with the reference file, shape by shape."""
    _, offsets, names = read_reference(path)
    basis = landmark_basis(load_template().vertices, table)
    return tuple(
        shape_error(name, basis[ARKIT_NAMES.index(name)], offset)
        for name, offset in zip(names, offsets, strict=True)
    )


def shape_error(
    name: str, made: Float64[np.ndarray, "468 3"], reference: Float64[np.ndarray, "468 3"]
) -> ShapeError:
    """Error figures of one shape."""
    length = np.linalg.norm(reference, axis=1)
    largest = float(length.max())
    rms = float(np.sqrt(((made - reference) ** 2).sum(axis=1).mean())) / largest
    moving = length > MOVING * largest
    own = np.linalg.norm(made, axis=1)
    cosine = (made * reference).sum(axis=1)[moving] / np.maximum(own * length, 1e-12)[moving]
    direction = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
    size = float(np.sqrt((made**2).sum() / (reference**2).sum()))
    return ShapeError(name, rms, direction, size, largest * 1000.0)


def reference_table(errors: tuple[ShapeError, ...]) -> str:
    """The figures as lines of text, worst shapes last, with the averages at the end."""
    lines = [f"{'shape':22s} {'rms %':>6s} {'direction':>9s} {'size':>5s} {'largest mm':>10s}"]
    for error in sorted(errors, key=lambda e: e.rms):
        lines.append(
            f"{error.name:22s} {100 * error.rms:6.1f} {error.direction:9.1f} "
            f"{error.size:5.2f} {error.largest:10.1f}"
        )
    rms = np.array([error.rms for error in errors]) * 100
    direction = np.array([error.direction for error in errors])
    lines.append(
        f"mean rms {rms.mean():.1f} %, worst {rms.max():.1f} %; "
        f"mean direction {direction.mean():.1f} degrees, worst {direction.max():.1f}"
    )
    return "\n".join(lines)


def _turn(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """+Y up and face along +Z, to +Z up and face along -Y."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)
