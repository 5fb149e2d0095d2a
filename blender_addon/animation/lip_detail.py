# SPDX-License-Identifier: GPL-3.0-or-later
"""Lip detail: a Take's lip offsets as shape keys `vk_offset_01` and on, beside the 52.

A head of ours is made with them, and a character gets them with its face keys; whatever other mesh
has keys of these names follows them too.
Their values have both signs, so their sliders reach below zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np

from .. import versions
from ..contracts import landmarks as face_landmarks
from ..contracts import take

# As far as Blender lets a slider reach. A Take's weights are in deviations and mostly within three,
# but lips that peel apart over an open jaw ask for up to ten: cut off at four, they are 2 mm off.
LIMIT = 10.0
NOWHERE = "Lip detail needs a VividKeys head or a transferred one; it was left out."
OTHER_FIELDS = (
    "The lip detail of '{name}' is of another version; make its head, or its face keys, again."
)
# Where the face's 468 landmarks lie in the object's own space: 1404 numbers. An older head of ours
# has their count alone; there they are its first vertices.
LANDMARKS_PROPERTY = "vividkeys_landmarks"

_KEY = re.compile(r"vk_offset_([0-9]{2})")
# Two versions of a lip field are the same motion when they point the same way, as a cosine.
_SAME_FIELD = 0.9
# On a transferred mesh a field is that of the vertex nearest to each landmark, bent to the face's
# proportions. Measured on the mean face, plain and stretched: the same fields are alike at 0.97 on
# average, others at 0.1 or less.
_SAME_TRANSFERRED_FIELD = 0.5
# Landmarks that move less than this share of the farthest one say nothing about a field.
_MOVING = 0.15
# Where the lips meet, the nearest vertex may be one of the other lip.
_INNER_LIPS = face_landmarks.INNER_LIP_RING


def key_name(number: int) -> str:
    """The key of a Take's offset column `number`, counted from 0."""
    return f"vk_offset_{number + 1:02d}"


def add_keys(
    mesh: bpy.types.Object, fields: np.ndarray, numbers: Iterable[int] | None = None
) -> None:
    """Give a mesh with shape keys the fields [K,V,3], in its own units, on top of its rest shape.

    Only those of `numbers` where they are given, under their own numbers. Keys that are there from
    an earlier face are filled anew; nothing else is touched.
    """
    for number in range(len(fields)) if numbers is None else numbers:
        add_key(mesh, number, fields[number])


def add_key(mesh: bpy.types.Object, number: int, field: np.ndarray) -> None:
    """Give a mesh the one field [V,3] of a Take's column `number`, as `add_keys` does."""
    keys = mesh.data.shape_keys
    name = key_name(number)
    block = keys.key_blocks.get(name) or versions.new_shape_key(mesh, name)
    block.relative_key = keys.reference_key
    block.slider_min, block.slider_max = -LIMIT, LIMIT
    rest = coordinates(keys.reference_key.points)
    block.points.foreach_set("co", (rest + field).ravel())


def keys_of(keys: bpy.types.Key) -> dict[int, Any]:
    """The lip keys of a shape key datablock: Take column -> key block."""
    found = {}
    for block in keys.key_blocks:
        match = _KEY.fullmatch(block.name)
        if match and int(match.group(1)) > 0:
            found[int(match.group(1)) - 1] = block
    return found


def has_keys(keys: bpy.types.Key) -> bool:
    return bool(keys_of(keys))


def curves(mesh: bpy.types.Object, performance: take.Take) -> dict[str, np.ndarray]:
    """Curves [T] by key name; empty for a mesh without lip keys, or with those of another
    version."""
    columns = performance.offset_weights
    blocks = {
        n: block for n, block in keys_of(mesh.data.shape_keys).items() if n < columns.shape[1]
    }
    if not blocks or not fits(mesh, performance):
        return {}
    return {
        block.name: np.clip(columns[:, number], -LIMIT, LIMIT).astype(np.float32)
        for number, block in sorted(blocks.items())
    }


def note_landmarks(mesh: bpy.types.Object, landmarks: np.ndarray) -> None:
    """Remember where a face's landmarks [468,3] lie in the object's own space."""
    mesh[LANDMARKS_PROPERTY] = np.asarray(landmarks, np.float64).ravel().tolist()


def landmarks_of(mesh: bpy.types.Object) -> np.ndarray | None:
    """The landmarks [468,3] of a head or of a character with our face keys, in its own space; None
    where they are not known."""
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

    A mesh that does not say where its landmarks are is believed.
    """
    basis = performance.offset_basis
    keys = mesh.data.shape_keys
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
    keys: bpy.types.Key, rest: np.ndarray, rows: np.ndarray, wanted: np.ndarray
) -> list[float]:
    """Of each lip key, the cosine between what it does to vertices `rows` and the field
    [K,P,3] that it should be."""
    found = []
    for number, block in keys_of(keys).items():
        if number < len(wanted):
            own = coordinates(block.points)[rows] - rest[rows]
            sizes = float(np.linalg.norm(own) * np.linalg.norm(wanted[number]))
            if sizes > 0.0:
                found.append(float((own * wanted[number]).sum()) / sizes)
    return found


def _bend(neutral: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The linear map [3,3] (from the right) that best leads one face's landmarks to another's,
    whatever their sizes, proportions and directions."""
    source = neutral - neutral.mean(axis=0)
    goal = landmarks - landmarks.mean(axis=0)
    bend, *_ = np.linalg.lstsq(source.astype(np.float64), goal.astype(np.float64), rcond=None)
    return np.asarray(bend, np.float32)


def _nearest(vertices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The vertex [P] nearest to each place [P,3]."""
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

    Those that were not `keyed` now go back to zero: an earlier performance may have left them.
    """
    for block in keys_of(keys).values():
        block.mute = not shown
        if not shown or block.name not in keyed:
            block.value = 0.0


def coordinates(points: Any) -> np.ndarray:
    """Shape key points as [V,3]."""
    flat = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", flat)
    return flat.reshape(-1, 3)
