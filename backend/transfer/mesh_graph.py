# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as a graph: welded points, their edges and components, distances along edges.

Works on any triangle soup: holes, T-junctions, non-manifold edges, degenerate triangles and
isolated vertices only change which edges exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

# Vertices nearer than this are one point, metres on a face of human size: far below what a
# modeller can see, far above what writing a file in single precision does to a whole body.
SAME_POINT = 2e-6


@dataclass(frozen=True, eq=False)
class MeshGraph:
    """A welded mesh.

    point_of   the point of each original vertex
    lengths    symmetric sparse matrix [P,P] of edge lengths
    component  the number of each point's connected component
    """

    points: Float64[np.ndarray, "P 3"]
    triangles: Int64[np.ndarray, "F 3"]
    point_of: Int64[np.ndarray, " V"]
    edges: Int64[np.ndarray, "E 2"]
    lengths: csr_matrix
    component: Int64[np.ndarray, " P"]

    @property
    def count(self) -> int:
        return len(self.points)


def mesh_graph(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int64[np.ndarray, "F 3"],
    group: Int64[np.ndarray, " V"],
) -> MeshGraph:
    """Weld vertices that share a position and a group.

    Files often duplicate a vertex where texture coordinates differ. Lips that touch also have two
    vertices at one position, so near the lip line the caller tells them apart by groups.
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
    # The graph functions take a length of zero for a missing edge.
    size = np.maximum(size, 1e-7)
    both = (np.concatenate([edges[:, 0], edges[:, 1]]), np.concatenate([edges[:, 1], edges[:, 0]]))
    lengths = csr_matrix(coo_matrix((np.tile(size, 2), both), shape=(count, count)))
    _, component = connected_components(lengths, directed=False)
    return MeshGraph(points, corners, point_of, edges, lengths, component.astype(np.int64))


def _welded(
    vertices: Float64[np.ndarray, "V 3"], group: Int64[np.ndarray, " V"]
) -> Int64[np.ndarray, " V"]:
    """The point of each vertex, numbered in the order of its first vertex."""
    count = len(vertices)
    if not count:
        return np.zeros(0, np.int64)
    # Groups are kept apart in a fourth dimension.
    pairs = cKDTree(np.column_stack([vertices, group])).query_pairs(
        SAME_POINT, output_type="ndarray"
    )
    same = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(same, directed=False)
    _, first, point_of = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return np.asarray(order[point_of.reshape(-1)], np.int64)


def point_normals(graph: MeshGraph) -> Float64[np.ndarray, "P 3"]:
    """Area-weighted unit normals; zero where there is no area."""
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


def distances_from(
    graph: MeshGraph, sources: Int64[np.ndarray, " N"], limit: float = np.inf
) -> tuple[Float64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """The distance along edges to the nearest of `sources`, and which source that is.

    Beyond `limit` the distance is infinite and the source -1.
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
