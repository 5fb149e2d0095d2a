# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances along the skin, and how a pull at one landmark fades over it.

Distances run over the surface, not through space: the mouth and the eyes are holes in the
landmark mesh, so a pull at the upper lip reaches the lower one only around the corner of the mouth.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra


def surface_distances(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "V V"]:
    """Shortest paths over the mesh, in the unit of `vertices`.

    Paths follow the edges and may also cross a pair of neighbouring triangles from tip to tip
    (unfolded into a plane), which removes most of the detour of paths along edges alone.
    """
    opposite: dict[tuple[int, int], list[int]] = defaultdict(list)
    for a, b, c in triangles.tolist():
        for first, second, tip in ((a, b, c), (b, c, a), (c, a, b)):
            opposite[min(first, second), max(first, second)].append(tip)
    # Two tips may be neighbours themselves, so the shorter of two ways is kept.
    ways: dict[tuple[int, int], float] = {}
    for (first, second), tips in opposite.items():
        found = [(first, second, float(np.linalg.norm(vertices[first] - vertices[second])))]
        if len(tips) == 2:
            one, other = tips
            found.append((one, other, _unfolded(vertices, first, second, one, other)))
        for start, end, length in found:
            way = (min(start, end), max(start, end))
            ways[way] = min(length, ways.get(way, np.inf))
    starts, ends = zip(*ways, strict=True)
    count = len(vertices)
    graph = csr_matrix((list(ways.values()), (starts, ends)), shape=(count, count))
    return np.asarray(dijkstra(graph, directed=False))


def _unfolded(
    vertices: NDArray[np.float64], first: int, second: int, tip: int, other: int
) -> float:
    """Distance of two tips after both triangles at one edge are unfolded into a plane."""
    origin = vertices[first]
    along = vertices[second] - origin
    length = float(np.linalg.norm(along))
    along = along / max(length, 1e-9)
    places = []
    for point in (vertices[tip] - origin, vertices[other] - origin):
        forward = float(point @ along)
        places.append((forward, float(np.linalg.norm(point - forward * along))))
    (x_a, y_a), (x_b, y_b) = places
    return float(np.hypot(x_a - x_b, y_a + y_b))


def fade(
    distance: Float64[np.ndarray, "*shape"], reach: float, core: float = 0.0
) -> Float64[np.ndarray, "*shape"]:
    """1 up to `core`, smoothly down to 0 at `reach` (a quartic with flat ends)."""
    t = np.clip((distance - core) / max(reach - core, 1e-9), 0.0, 1.0)
    return np.asarray((1.0 - t * t) ** 2)


def laplacian(
    vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "V V"]:
    """Rows of 1 for the vertex and minus the inverse-length weights of its neighbours."""
    count = len(vertices)
    matrix = np.zeros((count, count))
    for corner in range(3):
        a, b = triangles[:, corner], triangles[:, (corner + 1) % 3]
        weight = 1.0 / np.maximum(np.linalg.norm(vertices[a] - vertices[b], axis=1), 1e-9)
        matrix[a, b] = weight
        matrix[b, a] = weight
    matrix = np.asarray(-matrix / matrix.sum(axis=1, keepdims=True))
    np.fill_diagonal(matrix, 1.0)
    return matrix


def spread_operator(
    smoothness: Float64[np.ndarray, "V V"],
    held: Int64[np.ndarray, " held"],
    still: Int64[np.ndarray, " still"],
) -> Float64[np.ndarray, "V held"]:
    """The matrix that spreads displacements at `held` to all vertices while `still` ones stay.

    Minimises the squared Laplacian of the displacement field (a thin plate), which gives soft
    transitions; `smoothness` is the matrix of `laplacian`.
    """
    count = len(smoothness)
    energy = smoothness.T @ smoothness
    fixed = np.concatenate([held, still])
    free = np.setdiff1d(np.arange(count), fixed)
    operator = np.zeros((count, len(held)))
    operator[held, np.arange(len(held))] = 1.0
    operator[free] = -np.linalg.solve(
        energy[np.ix_(free, free)] + 1e-9 * np.eye(len(free)), energy[np.ix_(free, held)]
    )
    return operator


def vertex_normals(
    points: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "V 3"]:
    """Area-weighted unit normals of the vertices."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, triangles[:, k], normal)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))
