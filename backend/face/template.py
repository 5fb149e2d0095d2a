# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped rest shape: the mean face, its triangles, its mirror pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import OUTER_EYE_CORNERS

from .surface import surface_distances

Floats = NDArray[np.float64]

TEMPLATE_PATH = Path(__file__).parent.parent / "models" / "face_template.safetensors"


@dataclass(frozen=True, eq=False)
class Template:
    """Mean face in metres, symmetric about x = 0.

    vertices   [468,3]; irises [10,3] (right, then left)
    rigidity   [478] 0..1: how much a landmark is bone; weights for finding the head's pose
    mirror     [478] index of the partner on the other side
    triangles  [852,3], outward
    distances  [468,468] along the skin
    """

    vertices: Floats
    irises: Floats
    rigidity: Floats
    mirror: NDArray[np.int64]
    triangles: NDArray[np.int32]
    distances: Floats


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read the shipped numbers once; VividKeysError(bad_file) when they are not there."""
    try:
        numbers = load_file(TEMPLATE_PATH)
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The face template {TEMPLATE_PATH.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem
    vertices = numbers["vertices"].astype(np.float64)
    triangles = numbers["triangles"].astype(np.int32)
    return Template(
        vertices=vertices,
        irises=numbers["irises"].astype(np.float64),
        rigidity=numbers["rigidity"].astype(np.float64),
        mirror=numbers["mirror"].astype(np.int64),
        triangles=triangles,
        distances=surface_distances(vertices, triangles),
    )


def face_size(vertices: Floats) -> float:
    """Distance of the outer eye corners in the unit of `vertices` [>=468,3].

    Bone, whatever the expression; the muscle table's millimetres scale with it.
    """
    right, left = OUTER_EYE_CORNERS
    return float(np.linalg.norm(vertices[left] - vertices[right]))
