# SPDX-License-Identifier: GPL-3.0-or-later
"""Split a FaceMesh into parts, each of which can become an object. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..contracts import arkit, face
from ..contracts import landmarks as face_landmarks

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int, Int64

# A shape that moves no vertex of a part by more than this, in metres, does not move it.
NO_MOTION = 1e-6


@dataclass(frozen=True, eq=False)
class HeadPart:
    """A piece of a face that shares no triangle with others.

    label           e.g. 'Left eye'; '' for the part with the face
    mesh_of_face    its vertices, triangles, shapes and lip fields; landmarks are the whole face's
    shapes, fields  which of the 52 shapes, and which of the lip fields, move it
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
    """The parts, the one with the face first. Parts that share a triangle stay together."""
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


def nearest_vertices(
    points: Float[np.ndarray, "N 3"], vertices: Float[np.ndarray, "V 3"]
) -> Int64[np.ndarray, " N"]:
    """The index of the vertex nearest to each of the points."""
    exact = vertices.astype(np.float64)
    exact = exact - exact.mean(axis=0)
    wanted = points.astype(np.float64) - vertices.astype(np.float64).mean(axis=0)
    # |v - p|² without |p|², which is the same for every vertex.
    distances = (exact**2).sum(axis=1) - 2.0 * (wanted @ exact.T)
    nearest: Int64[np.ndarray, " N"] = np.argmin(distances, axis=1)
    return nearest


def _groups(mesh_of_face: face.FaceMesh) -> Int[np.ndarray, " P"]:
    """The number of the first part that each part is connected to."""
    group = np.arange(len(mesh_of_face.part_names))
    parts = mesh_of_face.vertex_part[mesh_of_face.triangles]
    joined = np.unique(np.sort(parts, axis=1)[:, [0, 2]], axis=0)
    for low, high in joined.tolist():
        first, second = sorted((group[low], group[high]))
        group[group == second] = first
    return group


def _face_group(mesh_of_face: face.FaceMesh, vertex_group: Int[np.ndarray, " V"]) -> int:
    some = mesh_of_face.landmarks[::6]
    near = vertex_group[nearest_vertices(some, mesh_of_face.vertices)]
    return int(np.bincount(near).argmax())


def _part(mesh_of_face: face.FaceMesh, rows: Int[np.ndarray, " R"], is_face: bool) -> HeadPart:
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
        # The face gets all keys, so that it can be posed and exported like a whole head.
        return HeadPart("", part, whole(mesh_of_face).shapes, whole(mesh_of_face).fields)
    return HeadPart(label, part, _moving(shapes), _moving(fields))


def _moving(offsets: Float32[np.ndarray, "K V 3"]) -> tuple[int, ...]:
    moved = np.abs(offsets).max(axis=(1, 2), initial=0.0) > NO_MOTION
    return tuple(np.flatnonzero(moved).tolist())


def title(name: str) -> str:
    """'left_eye' -> 'Left eye'."""
    return name.replace("_", " ").strip().capitalize()
