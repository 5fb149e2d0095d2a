# SPDX-License-Identifier: GPL-3.0-or-later
"""A character in the frame in which keys are made: metres, facing forward, sorted into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Shaped

from backend.face.pose import Similarity
from backend.face.template import face_size, load_template
from shared.character import Character
from shared.errors import ErrorKind, VividKeysError

from .classify import Component
from .landmark_surface import LandmarkSurface
from .mesh_graph import MeshGraph, mesh_graph, point_normals
from .sides import find_sides, near_lips

# With fewer points of skin there is no face.
_FEW = 50


@dataclass(frozen=True, eq=False)
class FramedHead:
    """A head in the template's frame.

    role   of each point of the graph
    face   whether each point belongs to the face's skin
    scale  size relative to the template
    """

    graph: MeshGraph
    landmarks: Float64[np.ndarray, "468 3"]
    role: Shaped[np.ndarray, " P"]
    face: Bool[np.ndarray, " P"]
    scale: float


def framed_head(
    character: Character,
    frame: Similarity,
    landmarks: Float64[np.ndarray, "468 3"],
    components: Sequence[Component],
) -> FramedHead:
    """The head of a character.

    `landmarks` are in the character's space; `frame` maps it to the template's.

    Raises VividKeysError(no_face).
    """
    vertices = frame.apply(character.vertices.astype(np.float64))
    points = frame.apply(landmarks)
    scale = face_size(points) / face_size(load_template().vertices)
    triangles = character.triangles.astype(np.int64)
    by_vertex = np.full(len(vertices), "other", dtype="<U12")
    for part in components:
        by_vertex[part.vertices] = part.role
    graph = _graph(vertices, triangles, character.piece, by_vertex == "face", points, scale)
    role = np.full(graph.count, "other", dtype="<U12")
    # A vertex without triangles says nothing about the role of the point at its position.
    told = np.unique(triangles)
    role[graph.point_of[told]] = by_vertex[told]
    face = role == "face"
    used = np.zeros(graph.count, np.bool_)
    used[graph.triangles.reshape(-1)] = True
    if (face & used).sum() < _FEW:
        raise VividKeysError(
            ErrorKind.NO_FACE,
            "There is too little skin where the face should be.",
            "Choose the object that has the face, or set the points of the face by hand.",
        )
    return FramedHead(graph, points, role, face & used, scale)


def _graph(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int64[np.ndarray, "F 3"],
    piece: Int32[np.ndarray, " V"],
    is_face: Bool[np.ndarray, " V"],
    landmarks: Float64[np.ndarray, "468 3"],
    scale: float,
) -> MeshGraph:
    """The mesh welded, but not between pieces, and not across the lip line."""
    pieces = piece.astype(np.int64) * 4
    near = near_lips(vertices, landmarks, scale)
    whole = near[triangles].all(axis=1).sum()
    group = pieces.copy()
    # If every triangle has its own vertices, positions are the only clue.
    if near.sum() > 2.4 * whole:
        return mesh_graph(vertices, triangles, group)
    group[near] = 4 * (len(vertices) + 64) + np.flatnonzero(near)
    first = mesh_graph(vertices, triangles, group)
    face = np.zeros(first.count, np.bool_)
    face[first.point_of[is_face]] = True
    surface = LandmarkSurface(landmarks)
    sides = find_sides(first, point_normals(first), face, surface, landmarks, scale)
    # Once the lips are told apart, texture seams across a lip are welded too.
    code = (sides.side[:, first.point_of] + 1).T @ np.array([1, 3, 9])
    group = pieces.copy()
    group[near] += 4 * (int(piece.max()) + 1) * (1 + code[near])
    return mesh_graph(vertices, triangles, group)
