# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh rasterised for a training picture, with everything needed afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from backend.rasterize import rasterize


@dataclass(frozen=True, eq=False)
class Drawn:
    """A rasterised mesh.

    face_id  the triangle that each pixel shows, -1 for none
    shares   barycentric coordinates of each pixel
    points   the mesh's points in these pixels
    """

    face_id: Int32[np.ndarray, "H W"]
    shares: Float32[np.ndarray, "H W 3"]
    depth: Float32[np.ndarray, "H W"]
    points: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]


def draw(
    points: Float32[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"], size: tuple[int, int]
) -> Drawn:
    """Rasterise points (pixels right, down, away) into a picture of (width, height)."""
    found = rasterize(points, triangles, size)
    return Drawn(found.face_id, found.barycentric, found.depth, points, triangles)
