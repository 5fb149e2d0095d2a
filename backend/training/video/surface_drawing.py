# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh rasterised for a training picture, with all that is asked of it later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.rasterize import rasterize

Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Which triangle each pixel shows [H,W] (-1 none), its corner shares [H,W,3] and depth [H,W],
    and the mesh: points [V,3] in these pixels, triangles [F,3].
    """

    face_id: NDArray[np.int32]
    shares: Singles
    depth: Singles
    points: Singles
    triangles: NDArray[np.int32]


def draw(points: Singles, triangles: NDArray[np.int32], size: tuple[int, int]) -> Drawn:
    """Rasterise points [V,3] (pixels right, down, away) into a picture of (width, height)."""
    found = rasterize(points, triangles, size)
    return Drawn(found.face_id, found.barycentric, found.depth, points, triangles)
