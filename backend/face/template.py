# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped rest shape: the mean face, its triangles, its mirror pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, Int32, Int64
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import OUTER_EYE_CORNERS

from .surface import surface_distances

TEMPLATE_PATH = Path(__file__).parent.parent / "models" / "face_template.safetensors"


@dataclass(frozen=True, eq=False)
class Template:
    """Mean face in metres, symmetric about x = 0.

    irises     right, then left
    rigidity   0..1, how rigidly a landmark sits on bone: weights for estimating the head's pose
    mirror     index of the partner on the other side
    triangles  facing outward
    distances  along the skin
    """

    vertices: Float64[np.ndarray, "468 3"]
    irises: Float64[np.ndarray, "10 3"]
    rigidity: Float64[np.ndarray, " 478"]
    mirror: Int64[np.ndarray, " 478"]
    triangles: Int32[np.ndarray, "852 3"]
    distances: Float64[np.ndarray, "468 468"]


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read the shipped numbers once; VividKeysError(bad_file) if that fails."""
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


def face_size(vertices: Float[np.ndarray, "V 3"]) -> float:
    """Distance between the outer eye corners, in the unit of `vertices` (landmarks first).

    It is set by bone, whatever the expression; the muscle table's millimetres scale with it.
    """
    right, left = OUTER_EYE_CORNERS
    return float(np.linalg.norm(vertices[left] - vertices[right]))
