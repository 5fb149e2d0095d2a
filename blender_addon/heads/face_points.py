# SPDX-License-Identifier: GPL-3.0-or-later
"""Twelve empties that mark the parts of a face, for the user to drag.

They are children of the character's object and recognised by a custom property, so they may be
renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import bpy
import numpy as np

from ..contracts import character
from ..contracts import landmarks as face_landmarks
from . import characters
from . import scene as heads
from .characters import FACE_POINT_PROPERTY, Piece

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int32

GUESS_PROPERTY = "vividkeys_guessed"
STILL_GUESSED = "The face points were only guessed; drag them to their places first."

# On a template head that looks along -Y: across as fractions of its width, from its middle to its
# left; up as fractions of its height, from the chin.
_TEMPLATE: dict[int, tuple[float, float]] = {
    face_landmarks.RIGHT_EYE_OUTER_CORNER: (-0.295, 0.51),
    face_landmarks.RIGHT_EYE_INNER_CORNER: (-0.113, 0.51),
    face_landmarks.LEFT_EYE_INNER_CORNER: (0.113, 0.51),
    face_landmarks.LEFT_EYE_OUTER_CORNER: (0.295, 0.51),
    face_landmarks.RIGHT_BROW: (-0.275, 0.63),
    face_landmarks.LEFT_BROW: (0.275, 0.63),
    face_landmarks.NOSE_TIP: (0.0, 0.375),
    face_landmarks.RIGHT_LIP_CORNER: (-0.162, 0.205),
    face_landmarks.LEFT_LIP_CORNER: (0.162, 0.205),
    face_landmarks.UPPER_LIP_EDGE: (0.0, 0.22),
    face_landmarks.LOWER_LIP_EDGE: (0.0, 0.20),
    face_landmarks.CHIN: (0.0, 0.01),
}
_HEIGHT_OF_WIDTH = 1.4
_NEAR = 0.06
_SHARE_OF_HEAD = 0.03
# An empty's radius as a fraction of the distance between the eyes' outer corners.
_RADIUS = 0.06
_RIGHT_EYE, _LEFT_EYE = face_landmarks.OUTER_EYE_CORNERS
# A guessed point that has moved by less than this fraction of that distance was not dragged.
_STILL = 1e-4


def of(face: bpy.types.Object) -> dict[int, bpy.types.Object]:
    """The face points of a character: landmark -> empty."""
    found: dict[int, bpy.types.Object] = {}
    for child in sorted(face.children, key=lambda child: child.name):
        landmark = child.get(FACE_POINT_PROPERTY)
        if isinstance(landmark, int) and landmark in character.FACE_POINTS and child.users_scene:
            found.setdefault(landmark, child)
    return found


def places(
    face: bpy.types.Object,
) -> tuple[Int32[np.ndarray, " N"], Float32[np.ndarray, "N 3"]]:
    """The landmarks that have a point, and the points' positions in the face's own space."""
    points = of(face)
    inverse = face.matrix_world.inverted_safe()
    where = [inverse @ point.matrix_world.translation for point in points.values()]
    return np.array(list(points), np.int32), np.array(where, np.float32).reshape(-1, 3)


def are_only_guessed(face: bpy.types.Object) -> bool:
    """Whether the points were guessed and nobody has dragged one of them yet."""
    points = of(face)
    guesses = [point.get(GUESS_PROPERTY) for point in points.values()]
    if not points or any(guess is None for guess in guesses):
        return False
    apart = _apart({landmark: np.array(point.location) for landmark, point in points.items()})
    return all(
        np.linalg.norm(np.array(point.location) - np.array(guess)) < _STILL * apart
        for point, guess in zip(points.values(), guesses, strict=True)
    )


def put(
    scene: bpy.types.Scene,
    face: bpy.types.Object,
    where: Mapping[int, Float32[np.ndarray, " 3"]],
    guessed: bool,
) -> list[bpy.types.Object]:
    """Replace the points by new ones at positions in the face's own space."""
    remove(face)
    collection = _collection(scene)
    scale = abs(face.matrix_world.determinant()) ** (1.0 / 3.0) or 1.0
    radius = _RADIUS * _apart(where)
    made = []
    for landmark, name in character.FACE_POINTS.items():
        point = bpy.data.objects.new(f"Face Point: {name}", None)
        point.empty_display_type = "SPHERE"
        point.empty_display_size = max(radius, 1e-6 / scale)
        point.show_in_front = True
        point.parent = face
        point.location = tuple(where[landmark])
        point[FACE_POINT_PROPERTY] = landmark
        if guessed:
            point[GUESS_PROPERTY] = list(point.location[:])
        collection.objects.link(point)
        made.append(point)
    return made


def remove(face: bpy.types.Object) -> int:
    """Remove this character's points from the file; returns how many there were."""
    ours = [child for child in face.children if child.get(FACE_POINT_PROPERTY) is not None]
    for point in ours:
        bpy.data.objects.remove(point)
    return len(ours)


def from_landmarks(
    piece: Piece, landmarks: Float[np.ndarray, "468 3"]
) -> dict[int, Float32[np.ndarray, " 3"]]:
    """Positions for `put` from landmarks that the backend found."""
    local = piece.to_local(landmarks)
    return {landmark: local[landmark] for landmark in character.FACE_POINTS}


def guess(piece: Piece, face: bpy.types.Object) -> dict[int, Float32[np.ndarray, " 3"]]:
    """Positions for `put` where the backend found no face.

    A template's proportions are applied to the upper end of the mesh, which is assumed to look
    along -Y.
    """
    rest = characters.rest_coordinates(face)
    to_sent = piece.to_sent
    seen = np.asarray(rest @ to_sent[:3, :3].T + to_sent[:3, 3], np.float64)
    low, high = _head_box(seen)
    middle, size = (low + high) / 2.0, high - low
    found = {}
    for landmark, (across, up) in _TEMPLATE.items():
        place = np.array([middle[0] + across * size[0], low[1], low[2] + up * size[2]])
        near = np.abs(seen[:, [0, 2]] - place[[0, 2]]).max(axis=1) < _NEAR * size[0]
        near &= seen[:, 2] >= low[2]
        if near.any():
            place[1] = seen[near, 1].min()
        found[landmark] = piece.to_local(place)
    return found


def _head_box(
    vertices: Float[np.ndarray, "V 3"],
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """The lower and upper corner of the head's bounding box.

    The head of a body or a bust is the upper end with a head's ratio of height to width.
    """
    top, bottom = vertices[:, 2].max(), vertices[:, 2].min()
    head = vertices
    for share in np.linspace(0.04, 1.0, 97):
        floor = top - share * (top - bottom)
        part = vertices[vertices[:, 2] >= floor]
        width = float(np.ptp(part[:, 0]))
        if len(part) < _SHARE_OF_HEAD * len(vertices):
            continue  # an antenna, a tuft of hair
        if width > 0.0 and top - floor >= _HEIGHT_OF_WIDTH * width:
            head = part
            break
    low, high = head.min(axis=0), head.max(axis=0)
    low[2] = min(low[2], high[2] - 1e-6)
    return low, high


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    name = heads.COLLECTION_NAME
    collection = next((child for child in scene.collection.children if child.name == name), None)
    if collection is None:
        collection = bpy.data.collections.new(name)
        scene.collection.children.link(collection)
    return collection


def _apart(where: Mapping[int, Float[np.ndarray, " 3"]]) -> float:
    """The distance between the eyes' outer corners; 1 where a corner has no point."""
    if _RIGHT_EYE not in where or _LEFT_EYE not in where:
        return 1.0
    return float(np.linalg.norm(np.asarray(where[_LEFT_EYE]) - np.asarray(where[_RIGHT_EYE])))
