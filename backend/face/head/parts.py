# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a head that are added to the landmark mesh, and their assembly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int32

from shared.arkit import ARKIT_NAMES, INDEX
from shared.landmarks import LANDMARK_COUNT

from ..arkit_basis import hinge_point, jaw_motion
from ..muscles import MuscleTable, load_table
from ..template import face_size, load_template

# All materials share one texture; they differ in how they reflect light.
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

    vertices   metres
    uvs        in the unit square of the tile; meaningless without one
    triangles  indices below 468 are landmarks, from 468 on the part's own vertices
    material   one of `MATERIALS`
    follow     share of each landmark's motion that a vertex follows
    jaw        share of the jaw's own motion
    extra      further offsets by shape name, metres
    name       one of `PART_NAMES`
    regions    own vertices (numbered from 0) that belong to another part name
    tile       the painted part of the texture in which it lies; skin has none
    """

    vertices: Float64[np.ndarray, "N 3"]
    uvs: Float64[np.ndarray, "N 2"]
    triangles: Int32[np.ndarray, "F 3"]
    material: str
    follow: Float64[np.ndarray, "N 468"]
    jaw: Float64[np.ndarray, " N"]
    extra: dict[str, Float64[np.ndarray, "N 3"]] = field(default_factory=dict)
    name: str = "face"
    regions: dict[str, Int32[np.ndarray, " _"]] = field(default_factory=dict)
    tile: str = ""

    def labels(self) -> Int32[np.ndarray, " N"]:
        """Index into `PART_NAMES` of each own vertex."""
        found = np.full(len(self.vertices), PART_NAMES.index(self.name), np.int32)
        for name, own in self.regions.items():
            found[own] = PART_NAMES.index(name)
        return found


def still(count: int) -> Float64[np.ndarray, "N 468"]:
    """The `follow` matrix of `count` vertices that follow no landmark."""
    return np.zeros((count, LANDMARK_COUNT))


def grid_triangles(
    rows: int, columns: int, closed: bool, start: int = LANDMARK_COUNT
) -> Int32[np.ndarray, "F 3"]:
    """Two triangles per cell of a grid of vertices stored row by row.

    `closed` joins the last column to the first. Seen from the front side, rows go down and
    columns go to the right.
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


def strip_triangles(first: list[int], second: list[int], closed: bool) -> Int32[np.ndarray, "F 3"]:
    """Triangles between two rows of the same length, given as vertex indices."""
    count = len(first)
    faces = []
    for column in range(count if closed else count - 1):
        following = (column + 1) % count
        a, b, c, d = first[column], first[following], second[column], second[following]
        faces += [(a, c, b), (b, c, d)]
    return np.array(faces, np.int32)


@dataclass(frozen=True, eq=False)
class Assembly:
    """A whole mesh.

    vertices           metres
    uvs                in the unit square of the painted tiles
    triangle_material  index of `MATERIALS`
    shapes             offsets in metres; the first 52 are those of `ARKIT_NAMES`
    vertex_part        index of `PART_NAMES`
    """

    vertices: Float64[np.ndarray, "V 3"]
    uvs: Float64[np.ndarray, "V 2"]
    triangles: Int32[np.ndarray, "F 3"]
    triangle_material: Int32[np.ndarray, " F"]
    shapes: Float64[np.ndarray, "K V 3"]
    vertex_part: Int32[np.ndarray, " V"]
    part_names: tuple[str, ...] = PART_NAMES


def assemble(
    landmarks: Float64[np.ndarray, "468 3"],
    basis: Float64[np.ndarray, "K 468 3"],
    parts: list[Part],
) -> Assembly:
    """Join the landmark mesh and its shapes with the parts."""
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


def part_shapes(
    part: Part,
    landmarks: Float64[np.ndarray, "468 3"],
    basis: Float64[np.ndarray, "K 468 3"],
    table: MuscleTable,
) -> Float64[np.ndarray, "K N 3"]:
    """Offsets of a part in every shape, metres; the first 52 are those of `ARKIT_NAMES`."""
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
