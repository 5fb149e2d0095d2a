# SPDX-License-Identifier: GPL-3.0-or-later
"""A FaceMesh as the parts it consists of, each of which can be an object. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..contracts import arkit, face
from ..contracts import landmarks as face_landmarks

# A shape that moves no vertex of a part by more does not move it, metres.
NO_MOTION = 1e-6


@dataclass(frozen=True, eq=False)
class HeadPart:
    """A piece of a face that shares no triangle with others.

    label           e.g. 'Left eye'; '' for the one with the face
    mesh_of_face    its vertices, triangles, shapes and lip fields; landmarks are the whole face's
    shapes          which of the 52 move it, fields which of the lip fields
    """

    label: str
    mesh_of_face: face.FaceMesh
    shapes: tuple[int, ...]
    fields: tuple[int, ...]


def whole(mesh_of_face: face.FaceMesh) -> HeadPart:
    """The face as one part with all shapes and fields."""
    return HeadPart(
        "",
        mesh_of_face,
        tuple(range(len(arkit.ARKIT_NAMES))),
        tuple(range(len(mesh_of_face.offset_fields))),
    )


def split(mesh_of_face: face.FaceMesh) -> list[HeadPart]:
    """The parts, the one with the face first. Parts that a triangle joins stay together."""
    group = _groups(mesh_of_face)
    vertex_group = group[mesh_of_face.vertex_part]
    numbers = list(dict.fromkeys(vertex_group.tolist()))
    if len(numbers) < 2:
        return [whole(mesh_of_face)]
    on_face = _face_group(mesh_of_face, vertex_group)
    numbers.sort(key=lambda number: number != on_face)
    return [
        _part(mesh_of_face, np.flatnonzero(vertex_group == number), number == on_face)
        for number in numbers
    ]


def landmarks_are_first(mesh_of_face: face.FaceMesh) -> bool:
    """Whether the landmarks are the face's first vertices, as on our own heads."""
    count = face_landmarks.LANDMARK_COUNT
    return len(mesh_of_face.vertices) >= count and np.array_equal(
        mesh_of_face.vertices[:count], mesh_of_face.landmarks
    )


def nearest_vertices(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The vertex nearest to each of `points` [P,3], [P]."""
    exact = vertices.astype(np.float64)
    exact = exact - exact.mean(axis=0)
    wanted = points.astype(np.float64) - vertices.astype(np.float64).mean(axis=0)
    # |v - p|² without |p|², which is the same for every vertex.
    return ((exact**2).sum(axis=1) - 2.0 * (wanted @ exact.T)).argmin(axis=1)


def _groups(mesh_of_face: face.FaceMesh) -> np.ndarray:
    """The number of the first part that each part hangs together with, [P]."""
    group = np.arange(len(mesh_of_face.part_names))
    parts = mesh_of_face.vertex_part[mesh_of_face.triangles]
    joined = np.unique(np.sort(parts, axis=1)[:, [0, 2]], axis=0)
    for low, high in joined.tolist():
        first, second = sorted((group[low], group[high]))
        group[group == second] = first
    return group


def _face_group(mesh_of_face: face.FaceMesh, vertex_group: np.ndarray) -> int:
    some = mesh_of_face.landmarks[::6]
    near = vertex_group[nearest_vertices(some, mesh_of_face.vertices)]
    return int(np.bincount(near).argmax())


def _part(mesh_of_face: face.FaceMesh, rows: np.ndarray, is_face: bool) -> HeadPart:
    place = np.full(len(mesh_of_face.vertices), -1, np.int64)
    place[rows] = np.arange(len(rows))
    own = (place[mesh_of_face.triangles] >= 0).all(axis=1)
    used = np.unique(mesh_of_face.triangle_material[own])
    material = np.zeros(len(mesh_of_face.materials), np.int32)
    material[used] = np.arange(len(used))
    shapes, fields = mesh_of_face.shapes[:, rows], mesh_of_face.offset_fields[:, rows]
    first = mesh_of_face.vertex_part[rows[0]]
    part = replace(
        mesh_of_face,
        vertices=mesh_of_face.vertices[rows],
        triangles=place[mesh_of_face.triangles[own]].astype(np.int32),
        uvs=mesh_of_face.uvs[own],
        triangle_material=material[mesh_of_face.triangle_material[own]],
        materials=tuple(mesh_of_face.materials[number] for number in used),
        shapes=shapes,
        offset_fields=fields,
        vertex_part=mesh_of_face.vertex_part[rows],
    )
    label = "" if is_face else title(mesh_of_face.part_names[first])
    if is_face:
        # The face has all keys, so that it can be posed and exported like a whole head.
        return HeadPart("", part, whole(mesh_of_face).shapes, whole(mesh_of_face).fields)
    return HeadPart(label, part, _moving(shapes), _moving(fields))


def _moving(offsets: np.ndarray) -> tuple[int, ...]:
    moved: Any = np.abs(offsets).max(axis=(1, 2), initial=0.0) > NO_MOTION
    return tuple(np.flatnonzero(moved).tolist())


def title(name: str) -> str:
    """'left_eye' -> 'Left eye'."""
    return name.replace("_", " ").strip().capitalize()
