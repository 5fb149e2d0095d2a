# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend has to know before it hears the voice: a way of speaking, and the seed.

None of it can be changed on a finished Take; the keyed Action notes what it was made with, so
that the panel can say when 'Animate' has to run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..animation import keying
from ..contracts import dials
from .dial_properties import properties_of

SPEAKER = tuple(dial.name for dial in dials.SPEAKER)
# Blender's properties are in single precision.
_SAME = 1e-5


class SpeakerProperties:
    """Mixed into the scene's settings and into the operator that sends a voice."""

    __annotations__ = properties_of(dials.SPEAKER)


def speaker(value_of: Callable[[str], Any]) -> dict[str, float]:
    """The parameters of `AnimateRequest` out of the values that `value_of` gives."""
    return {name: round(float(value_of(name)), 6) for name in SPEAKER}


def differs(description: Mapping[str, Any], value_of: Callable[[str], Any]) -> bool:
    """Whether the panel differs from what the Action with this description was made with."""
    noted = description.get(keying.NOTE)
    if not isinstance(noted, dict):
        return False
    return any(
        isinstance(value, (int, float)) and abs(float(value_of(name)) - value) > _SAME
        for name, value in noted.items()
        if name in ("seed", *SPEAKER)
    )
