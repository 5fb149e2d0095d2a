# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle each pixel of a picture shows (a depth buffer), and texture lookup, in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def rasterise(
    points: Floats, triangles: NDArray[np.int32], width: int, height: int
) -> tuple[NDArray[np.int32], Floats]:
    """Nearest triangle of every pixel [height,width] (-1 for none) and its corner shares [..., 3].

    `points` [V,3]: pixels right and down, and depth (smaller is nearer).
    """
    corners = points[triangles]
    low = np.clip(np.floor(corners[:, :, :2].min(axis=1)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(corners[:, :, :2].max(axis=1)).astype(int), 0, (width, height))
    across, down = (high - low).T
    counts = across * down
    # One entry for every pixel of every triangle's box.
    which = np.repeat(np.arange(len(triangles)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[which, 0] + place % across[which]
    row = low[which, 1] + place // across[which]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[which].transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = np.where(np.abs(area) < 1e-9, np.nan, area)
    px, py = column + 0.5, row + 0.5
    second = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
    third = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
    first = 1.0 - second - third
    inside = (first >= 0) & (second >= 0) & (third >= 0)
    pixel = (row * width + column)[inside]
    share = np.stack([first, second, third], axis=-1)[inside]
    depth = (first * az + second * bz + third * cz)[inside]
    # Nearest last, so that it is the one that stays.
    order = np.argsort(-depth, kind="stable")
    face_id = np.full(width * height, -1, np.int32)
    shares = np.zeros((width * height, 3))
    face_id[pixel[order]] = which[inside][order]
    shares[pixel[order]] = share[order]
    return face_id.reshape(height, width), shares.reshape(height, width, 3)


def sample(texture: Pixels, uv: Floats) -> Floats:
    """Bilinear colours [N,3] at texture coordinates [N,2]."""
    height, width = texture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, below = (x - column)[:, None], (y - row)[:, None]
    pixels = texture.astype(np.float64)
    top = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    bottom = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
    return np.asarray(top * (1 - below) + bottom * below)
