# SPDX-License-Identifier: GPL-3.0-or-later
"""Nearest points on a head's skin, and landmarks near each vertex along the skin."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from .stored_head import NEIGHBOURS

_CANDIDATES = 48
# Skin farther than this from every landmark, in metres along the surface, has no lip detail.
FIELD_REACH = 0.02


def nearest_on_surface(
    points: Float64[np.ndarray, "N 3"],
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
) -> tuple[Int64[np.ndarray, "N 3"], Float64[np.ndarray, "N 3"]]:
    """Corners and barycentric shares of the surface points nearest to `points`."""
    corners = vertices[triangles]
    count = min(_CANDIDATES, len(triangles))
    _, near = cKDTree(corners.mean(axis=1)).query(points, k=count)
    near = np.asarray(near).reshape(len(points), count)
    shares = _closest_shares(points[:, None], corners[near])
    found = (corners[near] * shares[..., None]).sum(axis=2)
    best = np.linalg.norm(found - points[:, None], axis=2).argmin(axis=1)
    rows = np.arange(len(points))
    return np.asarray(triangles, np.int64)[near[rows, best]], shares[rows, best]


def _closest_shares(
    point: Float64[np.ndarray, "*#batch 3"], corners: Float64[np.ndarray, "*#batch 3 3"]
) -> Float64[np.ndarray, "... 3"]:
    """Barycentric shares of the point of a triangle closest to `point`."""
    a, b, c = (corners[..., k, :] for k in range(3))
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    best = np.stack([1 - v - w, v, w], axis=-1)
    least = np.where(inside, 0.0, np.inf)
    for one, two in ((0, 1), (1, 2), (2, 0)):
        start, way = corners[..., one, :], corners[..., two, :] - corners[..., one, :]
        length = np.maximum((way * way).sum(-1), 1e-18)
        t = np.clip(((point - start) * way).sum(-1) / length, 0, 1)
        away = ((start + t[..., None] * way - point) ** 2).sum(-1)
        shares = np.zeros_like(best)
        shares[..., one], shares[..., two] = 1 - t, t
        better = away < least
        best = np.where(better[..., None], shares, best)
        least = np.where(better, away, least)
    return best


def landmark_neighbours(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
    landmark_triangles: Int64[np.ndarray, "L 3"],
    landmark_shares: Float64[np.ndarray, "L 3"],
) -> tuple[Int64[np.ndarray, " R"], Int64[np.ndarray, "R 8"], Float64[np.ndarray, "R 8"]]:
    """The vertices that follow landmarks: their rows, the landmarks, and the shares.

    Distance is measured along the skin, so that the upper lip does not follow the lower one. The
    shares of a vertex add up to 1 near a landmark and fade to 0 at `FIELD_REACH`.
    """
    count = len(vertices)
    start, end = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    length = np.linalg.norm(vertices[start] - vertices[end], axis=1)
    pairs = np.unique(np.stack([np.minimum(start, end), np.maximum(start, end)]), axis=1,
                      return_index=True)  # fmt: skip
    (low, high), first = pairs
    extra = np.linalg.norm(
        vertices[landmark_triangles]
        - (vertices[landmark_triangles] * landmark_shares[..., None]).sum(axis=1)[:, None],
        axis=2,
    )
    marks = np.repeat(np.arange(len(landmark_triangles)), 3) + count
    graph = coo_matrix(
        (
            np.concatenate([np.maximum(length[first], 1e-9), np.maximum(extra.ravel(), 1e-9)]),
            (np.concatenate([low, marks]), np.concatenate([high, landmark_triangles.ravel()])),
        ),
        shape=(count + len(landmark_triangles),) * 2,
    ).tocsr()
    sources = np.arange(count, count + len(landmark_triangles))
    away = np.asarray(dijkstra(graph, directed=False, indices=sources, limit=1.5 * FIELD_REACH))
    away = away[:, :count].T
    rows = np.flatnonzero(away.min(axis=1) < FIELD_REACH)
    near = np.argpartition(away[rows], NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    distance = np.take_along_axis(away[rows], near, axis=1)
    # The width is the distance to the third nearest, so that shares change smoothly.
    width = np.maximum(np.sort(distance, axis=1)[:, 2:3], 1e-4)
    width = np.where(np.isfinite(width), width, FIELD_REACH)
    shares = np.exp(-((np.where(np.isfinite(distance), distance, 1.0) / width) ** 2))
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    t = np.clip(distance.min(axis=1) / FIELD_REACH, 0, 1)
    shares *= ((1 - t * t) ** 2)[:, None]
    return rows, near, shares
