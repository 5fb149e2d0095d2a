# SPDX-License-Identifier: GPL-3.0-or-later
"""Which heads the backend offers for a photo."""

from __future__ import annotations

import zlib
from typing import Any

from .work import state

OWN = "own"
_OWN_ITEM = (OWN, "VividKeys Head", "The head that is made for each photo", "USER", 0)

# Blender keeps no reference to the texts of a changing enum, so the module has to.
_items: list[tuple[str, str, str, str, int]] = [_OWN_ITEM]


def items(_settings: Any, _context: Any) -> list[tuple[str, str, str, str, int]]:
    """The heads in the backend's welcome as items of an enum; our own first, and always there."""
    global _items
    welcome = state().session.welcome
    found = {OWN: _OWN_ITEM}
    numbers = {0}
    for model in welcome.models if welcome is not None else ():
        name = str(model.get("name", ""))
        if model.get("task") != "reconstruct" or not name or name in found:
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
    if made != _items:
        _items = made
    return _items


def chosen(settings: Any) -> str:
    """The name to send: '' for our own, also when the one that was chosen is not offered now."""
    name = str(settings.head)
    return "" if name in ("", OWN) else name
