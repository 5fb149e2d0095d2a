# SPDX-License-Identifier: GPL-3.0-or-later
"""The style dials as Blender properties, and back from properties to dials.

They are applied to the kept Take while it is keyed, never by the backend: 'Apply Take'
after a change takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..contracts import dials as table
from ..contracts import style
from .dial_properties import properties_of


class StyleProperties:
    """Mixed into the scene's settings and into the operators that key a Take."""

    __annotations__ = properties_of(table.STYLE)


def dials(value_of: Callable[[str], Any]) -> style.StyleDials:
    """The style whose dials have the values that `value_of` gives for their names."""
    return style.StyleDials(**{dial.name: float(value_of(dial.name)) for dial in table.STYLE})
