# SPDX-License-Identifier: GPL-3.0-or-later
"""Dials as properties that Blender shows as sliders and can key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bpy.props import FloatProperty

from ..contracts import dials as table


def properties_of(dials: Iterable[table.Dial]) -> dict[str, Any]:
    """A property for each dial, by name: the annotations of a class that Blender registers."""
    return {
        dial.name: FloatProperty(  # type: ignore[func-returns-value]
            name=dial.label,
            description=dial.tooltip,
            default=dial.default,
            min=dial.lowest,
            max=dial.highest,
            soft_max=dial.highest if dial.usual_highest is None else dial.usual_highest,
            subtype="FACTOR",
        )
        for dial in dials
    }
