# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as a graph: which vertices are one point, what is connected, how far it is along edges.

Works on any heap of triangles: holes, T-junctions, edges with three sides, triangles without area
and vertices without triangles only mean other edges or none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Vertices nearer than this are one point, metres on a face of human size: far below what a
# modeller can see, far above what writing a file in single precision does to a whole body.
SAME_POINT = 2e-6


@dataclass(frozen=True, eq=False)
class MeshGraph:
    """points [P,3] and triangles [F,3] after welding; `point_of` [V] the point of each vertex;
    edges [E,2]; `lengths` a symmetric sparse matrix [P,P] of the edges' lengths; component [P].
    """

    points: Floats
    triangles: Ints
    point_of: Ints
    edges: Ints
    lengths: csr_matrix
    component: Ints

    @property
    def count(self) -> int:
        return len(self.points)


def mesh_graph(vertices: Floats, triangles: Ints, group: Ints) -> MeshGraph:
    """Weld vertices [V,3] that are one point and of one group [V].

    Files often hold a vertex twice where texture coordinates differ. Lips that touch hold two
    vertices in one place as well; so near the line of the lips the caller names groups.
    """
    point_of = _welded(vertices, group)
    count = int(point_of.max()) + 1 if len(point_of) else 0
    points = np.zeros((count, 3))
    points[point_of] = vertices
    corners = point_of[triangles]
    distinct = (
        (corners[:, 0] != corners[:, 1])
        & (corners[:, 1] != corners[:, 2])
        & (corners[:, 2] != corners[:, 0])
    )
    corners = corners[distinct]
    sides = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    key = np.unique(sides[:, 0] * max(count, 1) + sides[:, 1])
    edges = np.stack([key // max(count, 1), key % max(count, 1)], axis=1)
    size = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    # A length of zero would mean no edge to the graph functions.
    size = np.maximum(size, 1e-7)
    both = (np.concatenate([edges[:, 0], edges[:, 1]]), np.concatenate([edges[:, 1], edges[:, 0]]))
    lengths = csr_matrix(coo_matrix((np.tile(size, 2), both), shape=(count, count)))
    _, component = connected_components(lengths, directed=False)
    return MeshGraph(points, corners, point_of, edges, lengths, component.astype(np.int64))


def _welded(vertices: Floats, group: Ints) -> Ints:
    """The point of each vertex [V], numbered in the order of the first vertex."""
    count = len(vertices)
    if not count:
        return np.zeros(0, np.int64)
    # A group is a place of its own in a fourth dimension.
    pairs = cKDTree(np.column_stack([vertices, group])).query_pairs(
        SAME_POINT, output_type="ndarray"
    )
    same = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(same, directed=False)
    _, first, point_of = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[point_of.reshape(-1)], np.int64)


def point_normals(graph: MeshGraph) -> Floats:
    """Area-weighted unit normals [P,3]; zero where there is no area."""
    a, b, c = (graph.points[graph.triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    total = np.zeros_like(graph.points)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(
                graph.triangles[:, k], normal[:, axis], minlength=graph.count
            )
    size = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(np.where(size > 1e-15, total / np.maximum(size, 1e-15), 0.0))


def distances_from(graph: MeshGraph, sources: Ints, limit: float = np.inf) -> tuple[Floats, Ints]:
    """Along the edges to the nearest of `sources`: [P] distance (inf beyond `limit`), and which
    source it is, [P] (-1 where none).
    """
    if not len(sources):
        return np.full(graph.count, np.inf), np.full(graph.count, -1, np.int64)
    distance, _, source = dijkstra(
        graph.lengths,
        directed=False,
        indices=sources,
        min_only=True,
        return_predecessors=True,
        limit=limit,
    )
    source = np.where(np.isfinite(distance), source, -1)
    return np.asarray(distance), np.asarray(source, np.int64)
