# SPDX-License-Identifier: GPL-3.0-or-later
"""The connected components of a character's mesh, and spheres fitted to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# Vertices closer than this share of the mesh's size are at the same position.
_WELD = 1e-6


def seam_twins(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    piece: Int32[np.ndarray, " V"],
) -> Int64[np.ndarray, " V"]:
    """For every vertex, the first vertex that is the same point of the surface.

    Files that duplicate vertices where texture coordinates differ cut the surface along its seams.
    A seam is where two open edges of a piece coincide in opposite directions; parts that merely
    touch the surface, as lashes do, stay separate.
    """
    count = len(vertices)
    place = _places(vertices, piece)
    start = np.concatenate([triangles[:, k] for k in range(3)]).astype(np.int64)
    end = np.concatenate([triangles[:, (k + 1) % 3] for k in range(3)]).astype(np.int64)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    _, where, uses = np.unique(key, return_inverse=True, return_counts=True)
    open_edge = uses[where] == 1
    start, end = start[open_edge], end[open_edge]
    there = place[start] * count + place[end]
    back = place[end] * count + place[start]
    order = np.argsort(there, kind="stable")
    slot = np.searchsorted(there[order], back)
    slot = np.minimum(slot, max(len(order) - 1, 0))
    if not len(order):
        return np.arange(count, dtype=np.int64)
    partner = order[slot]
    match = there[partner] == back
    one = np.concatenate([start[match], end[match]])
    other = np.concatenate([end[partner[match]], start[partner[match]]])
    joined = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    _, group = connected_components(joined.tocsr(), directed=False)
    first = np.full(group.max() + 1, count, np.int64)
    np.minimum.at(first, group, np.arange(count))
    return np.asarray(first[group])


def _places(
    vertices: Float64[np.ndarray, "V 3"], piece: Int32[np.ndarray, " V"]
) -> Int64[np.ndarray, " V"]:
    """A number for each distinct position in each piece."""
    size = float(np.ptp(vertices, axis=0).max()) or 1.0
    grid = np.rint((vertices - vertices.min(axis=0)) / (size * _WELD)).astype(np.int64)
    rows = np.column_stack([grid, piece])
    order = np.lexsort(rows.T)
    new = (rows[order][1:] != rows[order][:-1]).any(axis=1)
    place = np.empty(len(rows), np.int64)
    place[order] = np.concatenate([[0], np.cumsum(new)])
    return place


def component_labels(
    triangles: Int32[np.ndarray, "F 3"], same: Int64[np.ndarray, " V"]
) -> Int32[np.ndarray, " V"]:
    """The component of each vertex, numbered from the largest; -1 for vertices without faces.

    `same` is the result of `seam_twins`.
    """
    count = len(same)
    corners = same[triangles]
    start = np.concatenate([corners[:, 0], corners[:, 1]])
    end = np.concatenate([corners[:, 1], corners[:, 2]])
    graph = coo_matrix((np.ones(len(start), np.int8), (start, end)), shape=(count, count))
    _, label = connected_components(graph.tocsr(), directed=False)
    label = label[same]
    used = np.zeros(count, bool)
    used[triangles.reshape(-1)] = True
    sizes = np.bincount(label[used], minlength=label.max() + 1 if count else 0)
    rank = np.empty(len(sizes), np.int32)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.where(used, rank[label], -1).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Ball:
    """A fitted sphere; `roughness` is the points' rms distance from it as a share of the radius."""

    centre: Float64[np.ndarray, " 3"]
    radius: float
    roughness: float


def fit_ball(points: Float64[np.ndarray, "N 3"]) -> Ball | None:
    """The least-squares sphere; None if the points lie in a plane or are too few."""
    if len(points) < 12:
        return None
    middle = points.mean(axis=0)
    away = points - middle
    system = np.column_stack([2 * away, np.ones(len(away))])
    solution, _, rank, _ = np.linalg.lstsq(system, (away**2).sum(axis=1), rcond=1e-6)
    square = solution[3] + solution[:3] @ solution[:3]
    if rank < 4 or square <= 0:
        return None
    radius = float(np.sqrt(square))
    off = np.linalg.norm(away - solution[:3], axis=1) - radius
    return Ball(middle + solution[:3], radius, float(np.sqrt((off**2).mean()) / radius))
