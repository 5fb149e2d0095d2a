# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a triangle mesh nearest to given points."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy.spatial import cKDTree

# How many triangles, nearest by their centroids, are examined exactly.
_CANDIDATES = 24


def nearest_on_surface(
    points: Float64[np.ndarray, "N 3"],
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    normals: Float64[np.ndarray, "N 3"] | None = None,
    vertex_normals: Float64[np.ndarray, "V 3"] | None = None,
) -> tuple[Float64[np.ndarray, "N 3"], Int64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """The nearest surface points, their triangles, and the distances.

    If wanted `normals` and the mesh's `vertex_normals` are given, triangles that face the other
    way count as farther off, so that a point does not jump through a thin wall.
    """
    corners = vertices[triangles]
    middle = corners.mean(axis=1)
    count = min(_CANDIDATES, len(triangles))
    _, near = cKDTree(middle).query(points, k=count)
    near = near.reshape(len(points), count)
    places, distance = closest_on_triangles(
        np.repeat(points[:, None], count, axis=1), corners[near]
    )
    cost = distance
    if normals is not None and vertex_normals is not None:
        facing = vertex_normals[triangles].mean(axis=1)[near]
        agreement = np.einsum("nkc,nc->nk", facing, normals)
        cost = distance * np.where(agreement < 0.0, 6.0, 1.0) + 1e-12
    best = cost.argmin(axis=1)
    rows = np.arange(len(points))
    return places[rows, best], near[rows, best].astype(np.int64), distance[rows, best]


def closest_on_triangles(
    points: Float64[np.ndarray, "*batch 3"], corners: Float64[np.ndarray, "*batch 3 3"]
) -> tuple[Float64[np.ndarray, "*batch 3"], Float64[np.ndarray, "*batch"]]:
    """The nearest point of each triangle to each point, and its distance."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = d00 * d11 - d01 * d01
    safe = np.where(area > 1e-30, area, 1.0)
    v = np.where(area > 1e-30, (d11 * d20 - d01 * d21) / safe, -1.0)
    w = np.where(area > 1e-30, (d00 * d21 - d01 * d20) / safe, -1.0)
    within = (v >= 0) & (w >= 0) & (v + w <= 1)
    best = a + v[..., None] * ab + w[..., None] * ac
    distance = np.where(within, np.linalg.norm(points - best, axis=-1), np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        way = end - start
        along = ((points - start) * way).sum(-1) / np.maximum((way * way).sum(-1), 1e-30)
        place = start + np.clip(along, 0, 1)[..., None] * way
        off = np.linalg.norm(points - place, axis=-1)
        better = off < distance
        best = np.where(better[..., None], place, best)
        distance = np.where(better, off, distance)
    return best, distance
