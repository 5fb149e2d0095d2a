# SPDX-License-Identifier: GPL-3.0-or-later
"""Lip detail: a Take's lip offsets as shape keys `vk_offset_01` and so on, beside the 52.

A head of ours is made with them, and a character gets them with its face keys; any other mesh with
keys of these names follows them too. Their values have both signs, so their sliders reach below
zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import bpy
import numpy as np

from .. import versions
from ..contracts import landmarks as face_landmarks
from ..contracts import take
from . import targets

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int

# The most that Blender allows a slider. A Take's weights are in standard deviations and mostly
# within three, but lips that peel apart over an open jaw need up to ten: clipped at four, they are
# 2 mm off.
LIMIT = 10.0
NOWHERE = "Lip detail needs a VividKeys head or a transferred one; it was left out."
OTHER_FIELDS = (
    "The lip detail of '{name}' is of another version; make its head, or its face keys, again."
)
# The positions of the face's 468 landmarks in the object's own space: 1404 numbers. An older head
# of ours has their count alone; its first vertices are the landmarks.
LANDMARKS_PROPERTY = "vividkeys_landmarks"

_KEY = re.compile(r"vk_offset_([0-9]{2})")
# Two versions of a lip field are the same motion when they point the same way, as a cosine.
_SAME_FIELD = 0.9
# On a transferred mesh a field is compared at the vertex nearest to each landmark, fitted to the
# face's proportions. Measured on the mean face, plain and stretched: the cosine is 0.97 on average
# for the same fields, and 0.1 or less for others.
_SAME_TRANSFERRED_FIELD = 0.5
# Landmarks that move by less than this fraction of the largest motion say nothing about a field.
_MOVING = 0.15
# Where the lips meet, the nearest vertex may belong to the other lip.
_INNER_LIPS = face_landmarks.INNER_LIP_RING


def key_name(number: int) -> str:
    """The key of a Take's offset column `number`, counted from 0."""
    return f"vk_offset_{number + 1:02d}"


def add_keys(
    mesh: bpy.types.Object,
    fields: Float[np.ndarray, "K V 3"],
    numbers: Iterable[int] | None = None,
) -> None:
    """Give a mesh with shape keys the fields, in its own units, relative to its rest shape.

    Only those of `numbers`, if given, under their own numbers. Keys that are already there, from
    an earlier face, get the new shape; nothing else is changed.
    """
    for number in range(len(fields)) if numbers is None else numbers:
        add_key(mesh, number, fields[number])


def add_key(mesh: bpy.types.Object, number: int, field: Float[np.ndarray, "V 3"]) -> None:
    """Give a mesh the field of a Take's column `number`, as `add_keys` does."""
    keys = targets.keys_on(mesh)
    name = key_name(number)
    block = keys.key_blocks.get(name) or versions.new_shape_key(mesh, name)
    block.relative_key = keys.reference_key
    block.slider_min, block.slider_max = -LIMIT, LIMIT
    rest = coordinates(keys.reference_key.points)
    block.points.foreach_set("co", (rest + field).ravel())


def keys_of(keys: bpy.types.Key) -> dict[int, bpy.types.ShapeKey]:
    """The lip keys of a shape key datablock: Take column -> key block."""
    found = {}
    for block in keys.key_blocks:
        match = _KEY.fullmatch(block.name)
        if match and int(match.group(1)) > 0:
            found[int(match.group(1)) - 1] = block
    return found


def has_keys(keys: bpy.types.Key) -> bool:
    """Whether the datablock has any lip keys."""
    return bool(keys_of(keys))


def curves(mesh: bpy.types.Object, performance: take.Take) -> dict[str, Float32[np.ndarray, " T"]]:
    """Curves by key name; empty for a mesh without lip keys, or with those of another version."""
    columns = performance.offset_weights
    blocks = {
        n: block for n, block in keys_of(targets.keys_on(mesh)).items() if n < columns.shape[1]
    }
    if not blocks or not fits(mesh, performance):
        return {}
    return {
        block.name: np.clip(columns[:, number], -LIMIT, LIMIT).astype(np.float32)
        for number, block in sorted(blocks.items())
    }


def note_landmarks(mesh: bpy.types.Object, landmarks: Float[np.ndarray, "468 3"]) -> None:
    """Store the positions of a face's landmarks, in the object's own space."""
    mesh[LANDMARKS_PROPERTY] = np.asarray(landmarks, np.float64).ravel().tolist()


def landmarks_of(mesh: bpy.types.Object) -> Float32[np.ndarray, "468 3"] | None:
    """The landmarks of a head of ours, or of a character with our face keys, in its own space.

    None where they are not known.
    """
    noted = mesh.get(LANDMARKS_PROPERTY)
    if isinstance(noted, int) and mesh.data.shape_keys is not None:
        first = coordinates(mesh.data.shape_keys.reference_key.points)[
            : face_landmarks.LANDMARK_COUNT
        ]
        return first if len(first) == face_landmarks.LANDMARK_COUNT else None
    try:
        landmarks = np.array(noted, np.float32).reshape(face_landmarks.LANDMARK_COUNT, 3)
    except (TypeError, ValueError):
        return None
    return landmarks if np.isfinite(landmarks).all() else None


def fits(mesh: bpy.types.Object, performance: take.Take) -> bool:
    """Whether the mesh's lip keys move it as the Take's fields move the landmarks.

    A mesh whose landmarks are not known is assumed to fit.
    """
    basis = performance.offset_basis
    keys = targets.keys_on(mesh)
    landmarks = landmarks_of(mesh)
    if landmarks is None or basis.shape[1] != face_landmarks.LANDMARK_COUNT or not len(basis):
        return True
    rest = coordinates(keys.reference_key.points)
    first = rest[: face_landmarks.LANDMARK_COUNT]
    if len(first) == len(landmarks) and np.allclose(first, landmarks, atol=1e-6):
        likeness = _likeness(keys, rest, np.arange(face_landmarks.LANDMARK_COUNT), basis)
        return min(likeness, default=1.0) >= _SAME_FIELD
    moving = np.linalg.norm(basis, axis=2).max(axis=0)
    at = np.setdiff1d(np.flatnonzero(moving > _MOVING * moving.max()), _INNER_LIPS)
    if not len(at):
        return True
    wanted = basis[:, at] @ _bend(performance.neutral, landmarks)
    likeness = _likeness(keys, rest, _nearest(rest, landmarks[at]), wanted)
    return not likeness or float(np.mean(likeness)) >= _SAME_TRANSFERRED_FIELD


def _likeness(
    keys: bpy.types.Key,
    rest: Float32[np.ndarray, "V 3"],
    rows: Int[np.ndarray, " P"],
    wanted: Float[np.ndarray, "K P 3"],
) -> list[float]:
    """For each lip key, the cosine between its offsets of the vertices `rows` and its field."""
    found = []
    for number, block in keys_of(keys).items():
        if number < len(wanted):
            own = coordinates(block.points)[rows] - rest[rows]
            sizes = float(np.linalg.norm(own) * np.linalg.norm(wanted[number]))
            if sizes > 0.0:
                found.append(float((own * wanted[number]).sum()) / sizes)
    return found


def _bend(
    neutral: Float[np.ndarray, "468 3"], landmarks: Float[np.ndarray, "468 3"]
) -> Float32[np.ndarray, "3 3"]:
    """The linear map, applied from the right, that best fits one face's landmarks to another's.

    It covers differences of size, proportions and direction.
    """
    source = neutral - neutral.mean(axis=0)
    goal = landmarks - landmarks.mean(axis=0)
    bend, *_ = np.linalg.lstsq(source.astype(np.float64), goal.astype(np.float64), rcond=None)
    return np.asarray(bend, np.float32)


def _nearest(
    vertices: Float[np.ndarray, "V 3"], places: Float[np.ndarray, "P 3"]
) -> Int[np.ndarray, " P"]:
    """The index of the vertex nearest to each position."""
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.25 * float((high - low).max())
    inside = (vertices >= low - margin) & (vertices <= high + margin)
    # A body has far more vertices than its mouth.
    near = np.flatnonzero(inside.all(axis=1))
    if not len(near):
        near = np.arange(len(vertices))
    around = vertices[near]
    return near[[int(((around - place) ** 2).sum(axis=1).argmin()) for place in places]]


def settle(keys: bpy.types.Key, shown: bool, keyed: set[str]) -> None:
    """Let the lip keys act, or mute them: muted keys move nothing and stay out of GLB files.

    Keys that are not among `keyed` are reset to zero, in case an earlier performance moved them.
    """
    for block in keys_of(keys).values():
        block.mute = not shown
        if not shown or block.name not in keyed:
            block.value = 0.0


def coordinates(
    points: bpy.types.bpy_prop_collection[bpy.types.ShapeKeyPoint],
) -> Float32[np.ndarray, "V 3"]:
    """The positions of a shape key's points."""
    flat = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", flat)
    return flat.reshape(-1, 3)
