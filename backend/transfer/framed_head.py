# SPDX-License-Identifier: GPL-3.0-or-later
"""A character as keys are made on it: in metres, looking straight ahead, sorted into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.face.pose import Similarity
from backend.face.template import face_size, load_template
from shared.character import Character
from shared.errors import ErrorKind, VividKeysError

from .classify import Component
from .landmark_surface import LandmarkSurface
from .mesh_graph import MeshGraph, mesh_graph, point_normals
from .sides import find_sides, near_lips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Fewer points of skin are no face.
_FEW = 50


@dataclass(frozen=True, eq=False)
class FramedHead:
    """graph, landmarks [468,3] and scale against the template in the frame of the template;
    role [P] of each point, face [P] whether it is the face's skin.
    """

    graph: MeshGraph
    landmarks: Floats
    role: NDArray[np.str_]
    face: NDArray[np.bool_]
    scale: float


def framed_head(
    character: Character, frame: Similarity, landmarks: Floats, components: Sequence[Component]
) -> FramedHead:
    """`landmarks` [468,3] in the character's space, `frame` from there to the template's.

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
    # A vertex without triangles says nothing about the point where it lies.
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
    vertices: Floats,
    triangles: Ints,
    piece: NDArray[np.int32],
    is_face: NDArray[np.bool_],
    landmarks: Floats,
    scale: float,
) -> MeshGraph:
    """Welded, but not from one piece to another, and not across the line of the lips."""
    pieces = piece.astype(np.int64) * 4
    near = near_lips(vertices, landmarks, scale)
    whole = near[triangles].all(axis=1).sum()
    group = pieces.copy()
    # Where every triangle has vertices of its own there is nothing to go by but places.
    if near.sum() > 2.4 * whole:
        return mesh_graph(vertices, triangles, group)
    group[near] = 4 * (len(vertices) + 64) + np.flatnonzero(near)
    first = mesh_graph(vertices, triangles, group)
    face = np.zeros(first.count, np.bool_)
    face[first.point_of[is_face]] = True
    surface = LandmarkSurface(landmarks)
    sides = find_sides(first, point_normals(first), face, surface, landmarks, scale)
    # Once it is known which lip is which, seams of the texture across a lip are welded too.
    code = (sides.side[:, first.point_of] + 1).T @ np.array([1, 3, 9])
    group = pieces.copy()
    group[near] += 4 * (int(piece.max()) + 1) * (1 + code[near])
    return mesh_graph(vertices, triangles, group)
