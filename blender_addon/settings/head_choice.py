# SPDX-License-Identifier: GPL-3.0-or-later
"""Which heads the backend offers: for a photo, and as shapes for a character's keys."""

from __future__ import annotations

import zlib

import bpy

from ..connection import backend
from ..contracts import errors

Item = tuple[str, str, str, str, int]

OWN = "own"
_OWN_HEAD: Item = (OWN, "VividKeys Head", "The head that is made for each photo", "USER", 0)
_OWN_SHAPES: Item = (OWN, "VividKeys", "Shapes made anew for each face", "USER", 0)

# A sentence and the next step.
NO_HEAD = (
    "The head that was chosen is not installed at this backend.",
    "Choose another one under 'Head'.",
)
NO_SHAPES = (
    "The head chosen for the shapes is not installed at this backend.",
    "Choose another one under 'Shapes'.",
)

# Blender keeps no reference to the texts of a dynamic enum, so the module has to.
_kept: dict[str, list[Item]] = {}


def items(_settings: object, _context: bpy.types.Context) -> list[Item]:
    """The heads in the backend's welcome as items of an enum; our own first, and always there."""
    return _items(_OWN_HEAD)


def shape_items(_settings: object, _context: bpy.types.Context) -> list[Item]:
    """The same heads, as those whose shapes a character's keys may have."""
    return _items(_OWN_SHAPES)


def _items(own: Item) -> list[Item]:
    found = {OWN: own}
    numbers = {own[-1]}
    for model in backend.in_use().heads:
        name = str(model.get("name", ""))
        if not name or name in found:
            continue
        # The number is what is saved, so it must not depend on which others there are.
        number = zlib.crc32(name.encode()) & 0x7FFFFFFF
        if number in numbers:
            continue
        numbers.add(number)
        title, licence = str(model.get("title") or name), str(model.get("licence", ""))
        label = title if title.lower() == name.lower() else f"{title} ({name})"
        text = f"An installed head{'; ' + licence if licence else ''}"
        found[name] = (name, label, text, "MESH_MONKEY", number)
    made = list(found.values())
    if made != _kept.get(own[1]):
        _kept[own[1]] = made
    return _kept[own[1]]


def chosen(head: str) -> str:
    """The head to send for a photo, of the setting `head`: '' for our own.

    Raises VividKeysError(bad_request) when the one that was chosen is not offered now: another head
    than asked for would be a surprise.
    """
    return _sent(head, NO_HEAD)


def chosen_shapes(shapes_of: str) -> str:
    """The head whose shapes the keys are to have, of the setting `shapes_of`, as in `chosen`."""
    return _sent(shapes_of, NO_SHAPES)


def _sent(name: str, problem: tuple[str, str]) -> str:
    if not name:
        raise errors.VividKeysError(errors.ErrorKind.BAD_REQUEST, *problem)
    return "" if name == OWN else name
