# SPDX-License-Identifier: GPL-3.0-or-later
"""Lip detail: a Take's lip offsets as shape keys `vk_offset_01` and on, beside the 52.

A head of ours is made with them; whatever other mesh has keys of these names follows them too.
Their values have both signs, so their sliders reach below zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .contracts import face, take

# As far as Blender lets a slider reach. A Take's weights are in deviations and mostly within three,
# but lips that peel apart over an open jaw ask for up to ten: cut off at four, they are 2 mm off.
LIMIT = 10.0
NOWHERE = "Lip detail needs a VividKeys head or a transferred one; it was left out."
OTHER_FIELDS = "The lip detail of '{name}' is of another version; press 'Create Head' again."
# The landmarks are the first vertices of our own heads; other heads carry where they lie (468 x 3
# numbers in a row) and which vertices are nearest to them.
LANDMARKS_PROPERTY = "vividkeys_landmarks"
POINTS_PROPERTY = "vividkeys_landmark_points"
ROWS_PROPERTY = "vividkeys_landmark_vertices"

_KEY = re.compile(r"vk_offset_([0-9]{2})")
# Two versions of a lip field are the same motion when they point the same way, as a cosine.
_SAME_FIELD = 0.9


def key_name(number: int) -> str:
    """The key of a Take's offset column `number`, counted from 0."""
    return f"vk_offset_{number + 1:02d}"


def add_keys(mesh: Any, fields: np.ndarray, numbers: Iterable[int] | None = None) -> None:
    """Give a mesh with shape keys the fields [K,V,3], in metres, on top of its rest shape.

    Only those of `numbers` where they are given, under their own numbers. Keys that are there from
    an earlier face are filled anew; nothing else is touched.
    """
    blocks = mesh.data.shape_keys.key_blocks
    rest = coordinates(mesh.data.shape_keys.reference_key.points)
    for number in range(len(fields)) if numbers is None else numbers:
        name = key_name(number)
        block = blocks.get(name) or mesh.shape_key_add(name=name, from_mix=False)
        block.slider_min, block.slider_max = -LIMIT, LIMIT
        block.points.foreach_set("co", (rest + fields[number]).ravel())


def keys_of(keys: Any) -> dict[int, Any]:
    """The lip keys of a shape key datablock: Take column -> key block."""
    found = {}
    for block in keys.key_blocks:
        match = _KEY.fullmatch(block.name)
        if match and int(match.group(1)) > 0:
            found[int(match.group(1)) - 1] = block
    return found


def has_keys(keys: Any) -> bool:
    return bool(keys_of(keys))


def curves(mesh: Any, performance: take.Take) -> dict[str, np.ndarray]:
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


def fits(mesh: Any, performance: take.Take) -> bool:
    """Whether the mesh's lip keys move it as the Take's fields move the landmarks.

    Only a head of ours shows its landmarks; of any other mesh it is believed.
    """
    basis = performance.offset_basis
    keys = mesh.data.shape_keys
    rows = landmark_rows(mesh)
    if rows is None or basis.shape[1] != face.LANDMARK_COUNT:
        return True
    rest = coordinates(keys.reference_key.points)[rows]
    for number, block in keys_of(keys).items():
        if number >= len(basis):
            continue
        own = coordinates(block.points)[rows] - rest
        sizes = float(np.linalg.norm(own) * np.linalg.norm(basis[number]))
        if sizes > 0.0 and float((own * basis[number]).sum()) < _SAME_FIELD * sizes:
            return False
    return True


def landmark_rows(mesh: Any) -> np.ndarray | None:
    """The vertices at, or nearest to, the 468 landmarks of a head of ours; None for others."""
    count = len(mesh.data.vertices)
    if LANDMARKS_PROPERTY in mesh:
        return np.arange(face.LANDMARK_COUNT) if count >= face.LANDMARK_COUNT else None
    rows = _numbers(mesh, ROWS_PROPERTY, face.LANDMARK_COUNT)
    if rows is None or not 0 <= rows.min() <= rows.max() < count:
        return None
    return rows.astype(np.int64)


def stored_landmarks(mesh: Any) -> np.ndarray | None:
    """Where a head says that its landmarks lie [468,3]; None where they are its vertices."""
    flat = _numbers(mesh, POINTS_PROPERTY, 3 * face.LANDMARK_COUNT)
    return None if flat is None else flat.astype(np.float32).reshape(-1, 3)


def _numbers(mesh: Any, name: str, count: int) -> np.ndarray | None:
    """A list of numbers that an object carries; None for anything else, others may write there."""
    try:
        values = np.array(mesh.get(name, ()), np.float64)
    except (TypeError, ValueError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def settle(keys: Any, shown: bool, keyed: set[str]) -> None:
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
