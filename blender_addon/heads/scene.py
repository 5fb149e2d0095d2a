# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a head in the scene from a FaceMesh: one object, or one for each of its parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import bpy
import numpy as np

from ..animation import lip_detail
from ..contracts import arkit, face
from ..contracts import landmarks as face_landmarks
from . import head_mesh, head_parts

if TYPE_CHECKING:
    from jaxtyping import Float32

HEAD_PROPERTY = "vividkeys_head"
# On a part of a head that is an object of its own: the part's name.
PART_PROPERTY = "vividkeys_head_part"
COLLECTION_NAME = "VividKeys"


def create_head(
    scene: bpy.types.Scene, mesh_of_face: face.FaceMesh, name: str, as_parts: bool = False
) -> bpy.types.Object:
    """Build the head in the collection 'VividKeys' of `scene` and return the object with the face.

    `as_parts` makes eyes, teeth and the like objects of their own, children of the face; see
    `objects_of`. Nothing else in the scene changes.
    """
    parts = head_parts.split(mesh_of_face) if as_parts else [head_parts.whole(mesh_of_face)]
    image = head_mesh.packed_image(name, mesh_of_face.texture)
    materials = {
        material: head_mesh.new_material(name, material, image)
        for material in dict.fromkeys(mesh_of_face.materials)
    }
    collection = _collection(scene)
    made: list[bpy.types.Object] = []
    for part in parts:
        piece = head_mesh.new_object(f"{name} {part.label}".strip(), part, materials)
        collection.objects.link(piece)
        head_mesh.add_shape_keys(piece, part)
        if made:
            piece.parent = made[0]
            piece[PART_PROPERTY] = part.label
        made.append(piece)
    _describe(made[0], parts[0].mesh_of_face)
    return made[0]


def objects_of(head: bpy.types.Object) -> list[bpy.types.Object]:
    """A head of ours and those of its parts that have keys: what a performance animates."""
    keyed = (part for part in parts_of(head) if part.data.shape_keys is not None)
    return [head, *sorted(keyed, key=lambda part: part.name)]


def parts_of(head: bpy.types.Object) -> list[bpy.types.Object]:
    """The parts of a head of ours that are objects of their own, with keys or without."""
    return [
        child
        for child in head.children
        if child.get(PART_PROPERTY) is not None and child.type == "MESH"
    ]


def is_our_head(candidate: bpy.types.Object | None) -> bool:
    """Whether the object was made by `create_head` and still has its landmarks and keys."""
    return (
        candidate is not None
        and candidate.type == "MESH"
        and candidate.get(HEAD_PROPERTY) is not None
        and candidate.data.shape_keys is not None
        and lip_detail.landmarks_of(candidate) is not None
    )


def head_warnings(candidate: bpy.types.Object) -> tuple[str, ...]:
    """The reconstruction's warnings about the photo, e.g. that it shows two faces."""
    try:
        description = json.loads(candidate.get(HEAD_PROPERTY, "{}"))
    except (TypeError, ValueError):
        return ()
    warnings = description.get("warnings", []) if isinstance(description, dict) else []
    return tuple(str(warning) for warning in warnings)


def landmarks_at_rest(head: bpy.types.Object) -> Float32[np.ndarray, "468 3"]:
    """The landmarks of a head of ours, or of a character with keys of ours, in its own space."""
    landmarks = lip_detail.landmarks_of(head)
    assert landmarks is not None, "its landmarks are not known"
    return landmarks


def face_for_voice(head: bpy.types.Object) -> face.FaceMesh:
    """What the backend needs to know of a head to shape its lips: the landmarks alone."""
    count = face_landmarks.LANDMARK_COUNT
    return face.FaceMesh(
        vertices=landmarks_at_rest(head),
        triangles=np.array([[0, 1, 2]], np.int32),
        uvs=np.zeros((1, 3, 2), np.float32),
        texture=np.zeros((1, 1, 3), np.uint8),
        materials=("skin",),
        triangle_material=np.zeros(1, np.int32),
        shapes=np.zeros((len(arkit.ARKIT_NAMES), count, 3), np.float32),
    )


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    collection = next((c for c in scene.collection.children if c.name == COLLECTION_NAME), None)
    if collection is None:
        collection = bpy.data.collections.new(COLLECTION_NAME)
        scene.collection.children.link(collection)
    return collection


def _describe(head: bpy.types.Object, source: face.FaceMesh) -> None:
    # Only what travels with the file: no paths.
    description = {
        key: source.meta[key] for key in ("warnings", "image_sha256") if key in source.meta
    }
    head[HEAD_PROPERTY] = json.dumps(description)
    if head_parts.landmarks_are_first(source):
        head[lip_detail.LANDMARKS_PROPERTY] = face_landmarks.LANDMARK_COUNT
    else:
        lip_detail.note_landmarks(head, source.landmarks)
