# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of one head carried to the face of another: deformation transfer.

A character can be given the shapes of an installed head instead of the muscle table's. What is
carried over is how the head's landmark triangles turn and stretch, so proportions may differ
(Sumner and Popovic, "Deformation transfer for triangle meshes", 2004, section 3, with the fourth
vertex along the normal).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.linalg import splu

from backend.face.arkit_basis import landmark_basis, with_contacts
from backend.face.identity import closed_template
from backend.face.muscles import load_table
from backend.face.pose import fit_similarity
from backend.face.template import face_size, load_template
from shared.arkit import ARKIT_NAMES
from shared.landmarks import LANDMARK_COUNT

# How strongly a landmark is drawn to the source's own, scaled motion, relative to the triangles'
# deformation gradients, which alone leave the translation of the whole face open.
PLACE_WEIGHT = 0.15
# A shape whose largest motion is a smaller share of the face's size counts as missing.
MISSING_BELOW = 0.002


@dataclass(frozen=True, eq=False)
class ShapeSource:
    """A head's landmarks at rest and their motions in the order of `ARKIT_NAMES`.

    Both are in the same space, whatever it is. `name` is shown to the user; `rules` is as in
    `with_contacts`.
    """

    name: str
    landmarks: Float64[np.ndarray, "468 3"]
    shapes: Float64[np.ndarray, "52 468 3"]
    rules: dict[str, str] | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Shapes that this head lacks; they are taken from the muscle table."""
        largest = np.linalg.norm(self.shapes, axis=2).max(axis=1) / face_size(self.landmarks)
        return tuple(
            name for name, size in zip(ARKIT_NAMES, largest, strict=True) if size < MISSING_BELOW
        )


@lru_cache(maxsize=1)
def own_source() -> ShapeSource:
    """The muscle table's shapes on the mean face."""
    face = closed_template()
    rules = {name: muscle.lips for name, muscle in load_table().muscles.items()}
    return ShapeSource("VividKeys", face, landmark_basis(face), rules)


def carried_shapes(
    source: ShapeSource, face: Float64[np.ndarray, "468 3"]
) -> Float64[np.ndarray, "52 468 3"]:
    """The source's shapes on another neutral face, frontal and in metres.

    Lips do not cross, blinks close and mouthClose seals on that face.
    """
    template = load_template()
    move = fit_similarity(source.landmarks, face, template.rigidity[:LANDMARK_COUNT])
    rest = move.apply(source.landmarks)
    shapes = move.scale * source.shapes @ move.rotation.T
    carried = _transferred(rest, shapes, face, template.triangles.astype(np.int64))
    own = landmark_basis(face)
    missing = set(source.missing)
    fields = {
        name: own[number] if name in missing else carried[number]
        for number, name in enumerate(ARKIT_NAMES)
    }
    return with_contacts(fields, face, rules=source.rules)


def _transferred(
    rest: Float64[np.ndarray, "N 3"],
    shapes: Float64[np.ndarray, "S N 3"],
    face: Float64[np.ndarray, "N 3"],
    triangles: Int64[np.ndarray, "F 3"],
) -> Float64[np.ndarray, "S N 3"]:
    """Motions of a face whose triangles rotate and stretch as the source's do."""
    gradient = _gradient_operator(face, triangles)
    count, tips = len(face), len(face) + len(triangles)
    place = csr_matrix(
        (np.full(count, PLACE_WEIGHT), (np.arange(count), np.arange(count))), shape=(count, tips)
    )
    # Both terms in metres: a triangle's gradient is weighted with its size.
    size = np.sqrt(np.linalg.norm(_normals(face, triangles), axis=1))
    weight = csr_matrix((np.repeat(size, 3), (np.arange(3 * len(size)), np.arange(3 * len(size)))))
    system = vstack([weight @ gradient, place]).tocsr()
    solver = splu((system.T @ system).tocsc())
    inverse = _frames_inverse(rest, triangles)
    motions = np.empty_like(shapes)
    for number, shape in enumerate(shapes):
        turned = _frames(rest + shape, triangles) @ inverse
        wanted = turned.transpose(0, 2, 1).reshape(-1, 3) * np.repeat(size, 3)[:, None]
        goal = np.concatenate([wanted, PLACE_WEIGHT * (face + shape)])
        motions[number] = solver.solve(system.T @ goal)[:count] - face
    # Landmarks that do not move in the source do not move here.
    motions[np.linalg.norm(shapes, axis=2) < 1e-9] = 0.0
    return motions


def _normals(
    points: Float64[np.ndarray, "N 3"], triangles: Int64[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "F 3"]:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _frames(
    points: Float64[np.ndarray, "N 3"], triangles: Int64[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "F 3 3"]:
    """Two edges and the scaled normal of each triangle as columns."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal = normal / np.sqrt(np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))
    return np.stack([b - a, c - a, normal], axis=2)


def _frames_inverse(
    points: Float64[np.ndarray, "N 3"], triangles: Int64[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "F 3 3"]:
    frames = _frames(points, triangles)
    flat = np.abs(np.linalg.det(frames)) < 1e-15
    frames[flat] = np.eye(3)
    inverse = np.linalg.inv(frames)
    return np.asarray(inverse)


def _gradient_operator(
    face: Float64[np.ndarray, "N 3"], triangles: Int64[np.ndarray, "F 3"]
) -> csr_matrix:
    """Transposed deformation gradients [3F] from vertices and normal tips [N+F]."""
    inverse = _frames_inverse(face, triangles)
    number = np.arange(len(triangles))
    tip = len(face) + number
    rows, columns, values = [], [], []
    for row in range(3):
        # gradient^T = inverse^T @ [b-a, c-a, tip-a]^T
        share = inverse[:, :, row]
        parts = (
            (triangles[:, 1], share[:, 0]),
            (triangles[:, 2], share[:, 1]),
            (tip, share[:, 2]),
            (triangles[:, 0], -share.sum(axis=1)),
        )
        for column, value in parts:
            rows.append(3 * number + row)
            columns.append(column)
            values.append(value)
    shape = (3 * len(triangles), len(face) + len(triangles))
    return csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape
    )
