# SPDX-License-Identifier: GPL-3.0-or-later
"""A depth buffer for meshes with far more triangles than the landmark mesh has.

Most triangles of a whole character fall between the pixels or outside the picture; they are
dropped before any pixel is looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


def rasterise_dense(
    points: Floats, triangles: Integers, side: int
) -> tuple[Integers, Floats, Floats]:
    """Of every pixel: the nearest triangle [S,S] (-1 for none), its corner shares [S,S,3] and
    the depth [S,S] (infinite for none). `points` [V,3]: pixels right and down, and depth."""
    x, y = points[:, 0][triangles], points[:, 1][triangles]
    # Columns and rows whose middles lie in the triangle's box.
    left, right = _middles(x, side)
    top, bottom = _middles(y, side)
    twice = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    near = np.flatnonzero((left < right) & (top < bottom) & (np.abs(twice) > 1e-9))
    triangle = np.full(side * side, -1, np.int32)
    shares, depth = np.zeros((side * side, 3)), np.full(side * side, np.inf)
    if not len(near):
        return (
            triangle.reshape(side, side),
            shares.reshape(side, side, 3),
            depth.reshape(side, side),
        )
    x, y, z, twice = x[near], y[near], points[:, 2][triangles[near]], twice[near]
    left, right, top, bottom = left[near], right[near], top[near], bottom[near]
    # Shares of the second and the third corner are planes over the picture.
    second_x, second_y = (y[:, 2] - y[:, 0]) / twice, (x[:, 0] - x[:, 2]) / twice
    third_x, third_y = (y[:, 0] - y[:, 1]) / twice, (x[:, 1] - x[:, 0]) / twice
    off_x, off_y = left + 0.5 - x[:, 0], top + 0.5 - y[:, 0]
    second_0, third_0 = off_x * second_x + off_y * second_y, off_x * third_x + off_y * third_y
    across = (right - left).astype(np.int32)
    counts = across * (bottom - top)
    which = np.repeat(np.arange(len(near), dtype=np.int32), counts)
    place = np.arange(len(which), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    down, along = np.divmod(place.astype(np.int32), across[which])

    def plane(at_corner: Floats, per_column: Floats, per_row: Floats) -> NDArray[np.float32]:
        planes = np.column_stack([at_corner, per_column, per_row]).astype(np.float32)[which]
        return np.asarray(planes[:, 0] + planes[:, 1] * along + planes[:, 2] * down)

    second = plane(second_0, second_x, second_y)
    third = plane(third_0, third_x, third_y)
    # A hair's breadth more, so that rounding opens no seams.
    inside = np.flatnonzero((second >= -1e-5) & (third >= -1e-5) & (second + third <= 1.00001))
    which, second, third = which[inside], second[inside], third[inside]
    pixel = (top[which] + down[inside]) * side + left[which] + along[inside]
    corner = z.astype(np.float32)[which]
    height = corner[:, 0] + second * (corner[:, 1] - corner[:, 0])
    height = height + third * (corner[:, 2] - corner[:, 0])
    # Nearest last, so that it is the one that stays.
    order = np.argsort(-height, kind="stable")
    entry = np.full(side * side, -1, np.int64)
    entry[pixel[order]] = order
    seen = np.flatnonzero(entry >= 0)
    entry = entry[seen]
    triangle[seen] = near[which[entry]]
    depth[seen] = height[entry]
    shares[seen, 1], shares[seen, 2] = second[entry], third[entry]
    shares[seen, 0] = 1.0 - shares[seen, 1] - shares[seen, 2]
    return triangle.reshape(side, side), shares.reshape(side, side, 3), depth.reshape(side, side)


def _middles(place: Floats, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and one past the last pixel whose middle lies between corners [F,3]."""
    first = np.ceil(np.clip(place.min(axis=1), 0, side) - 0.5)
    last = np.floor(np.clip(place.max(axis=1), 0, side) + 0.5)
    return first.astype(np.int64), last.astype(np.int64)
