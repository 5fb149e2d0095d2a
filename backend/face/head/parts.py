# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a head that are added to the landmark mesh, and how they are put together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.arkit import ARKIT_NAMES, INDEX
from shared.landmarks import LANDMARK_COUNT

from ..arkit_basis import hinge_point, jaw_motion
from ..muscles import MuscleTable, load_table
from ..template import face_size, load_template

Floats = NDArray[np.float64]
Triangles = NDArray[np.int32]

# All of them show the one texture; they differ in how they shine.
MATERIALS = ("skin", "eye", "teeth_and_gums", "mouth_and_tongue")
# What a head consists of; the landmark mesh is the face.
PART_NAMES = (
    "face", "skull", "left_ear", "right_ear", "neck", "left_lid_edge", "right_lid_edge",
    "inner_lips", "left_eye", "right_eye", "upper_teeth", "lower_teeth", "upper_gum",
    "lower_gum", "tongue", "mouth_bag",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """A piece that follows the landmarks.

    vertices   [N,3] metres
    uvs        [N,2] in the unit square of the tile; of no meaning where there is none
    triangles  [F,3]: below 468 a landmark, from 468 on the part's own vertices
    material   one of `MATERIALS`
    follow     [N,468]: share of each landmark's motion that a vertex takes over
    jaw        [N]: share of the jaw's own motion
    extra      further offsets [N,3] by shape name
    name       one of `PART_NAMES`; regions: own vertices (numbers from 0) with another name
    tile       the painted part of the texture in which it lies; skin has none
    """

    vertices: Floats
    uvs: Floats
    triangles: Triangles
    material: str
    follow: Floats
    jaw: Floats
    extra: dict[str, Floats] = field(default_factory=dict)
    name: str = "face"
    regions: dict[str, Triangles] = field(default_factory=dict)
    tile: str = ""

    def labels(self) -> Triangles:
        """Index into `PART_NAMES` of each own vertex [N]."""
        found = np.full(len(self.vertices), PART_NAMES.index(self.name), np.int32)
        for name, own in self.regions.items():
            found[own] = PART_NAMES.index(name)
        return found


def still(count: int) -> Floats:
    """A `follow` matrix of vertices that follow no landmark."""
    return np.zeros((count, LANDMARK_COUNT))


def grid_triangles(rows: int, columns: int, closed: bool, start: int = LANDMARK_COUNT) -> Triangles:
    """Two triangles per cell of a grid of vertices stored row by row, [F,3].

    `closed` joins the last column to the first. The front side is the one from which rows
    go down and columns go to the right (in the viewer's sense).
    """
    across = columns if closed else columns - 1
    faces = []
    for row in range(rows - 1):
        for column in range(across):
            a = start + row * columns + column
            b = start + row * columns + (column + 1) % columns
            c, d = a + columns, b + columns
            faces += [(a, c, b), (b, c, d)]
    return np.array(faces, np.int32)


def strip_triangles(first: list[int], second: list[int], closed: bool) -> Triangles:
    """Triangles between two rows of the same length, given as indices, [F,3]."""
    count = len(first)
    faces = []
    for column in range(count if closed else count - 1):
        following = (column + 1) % count
        a, b, c, d = first[column], first[following], second[column], second[following]
        faces += [(a, c, b), (b, c, d)]
    return np.array(faces, np.int32)


@dataclass(frozen=True, eq=False)
class Assembly:
    """A whole mesh: vertices [V,3], uvs [V,2] in the painted tiles, triangles [F,3], materials [F],
    shapes [S,V,3], of which the first 52 are those of `ARKIT_NAMES`, and the part of each vertex
    [V].
    """

    vertices: Floats
    uvs: Floats
    triangles: Triangles
    triangle_material: Triangles
    shapes: Floats
    vertex_part: Triangles
    part_names: tuple[str, ...] = PART_NAMES


def assemble(landmarks: Floats, basis: Floats, parts: list[Part]) -> Assembly:
    """Join the landmark mesh [468,3] and its shapes [S,468,3] with the parts."""
    template = load_template()
    table = load_table()
    vertices, all_uvs, shapes = [landmarks], [np.zeros((LANDMARK_COUNT, 2))], [basis]
    triangles = [template.triangles]
    material = [np.zeros(len(template.triangles), np.int32)]
    labels = [np.zeros(LANDMARK_COUNT, np.int32)]
    count = LANDMARK_COUNT
    for part in parts:
        faces = part.triangles.copy()
        faces[faces >= LANDMARK_COUNT] += count - LANDMARK_COUNT
        triangles.append(faces)
        material.append(np.full(len(faces), MATERIALS.index(part.material), np.int32))
        vertices.append(part.vertices)
        all_uvs.append(part.uvs)
        shapes.append(part_shapes(part, landmarks, basis, table))
        labels.append(part.labels())
        count += len(part.vertices)
    return Assembly(
        np.concatenate(vertices),
        np.concatenate(all_uvs),
        np.concatenate(triangles),
        np.concatenate(material),
        np.concatenate(shapes, axis=1),
        np.concatenate(labels),
    )


def part_shapes(part: Part, landmarks: Floats, basis: Floats, table: MuscleTable) -> Floats:
    """Offsets [S,N,3] of a part; the first 52 are those of `ARKIT_NAMES`."""
    used = np.flatnonzero(part.follow.any(axis=0))
    shapes = np.einsum("nl,slc->snc", part.follow[:, used], basis[:, used], optimize=True)
    scale = face_size(landmarks) / face_size(load_template().vertices)
    hinge = hinge_point(landmarks, table)
    moving = np.flatnonzero(part.jaw)
    if len(moving):
        for name, muscle in table.muscles.items():
            if muscle.jaw is not None:
                motion = jaw_motion(muscle.jaw, part.vertices[moving], hinge, scale)
                shapes[INDEX[name], moving] += part.jaw[moving, None] * motion
    for name, offset in part.extra.items():
        shapes[ARKIT_NAMES.index(name)] += offset
    return np.asarray(shapes)
