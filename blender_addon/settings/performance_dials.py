# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend is told before it hears the voice: a way of speaking, and the seed.

Nothing of it can be turned on a finished Take; the keyed Action notes what it was made with, so
that the panel can say when 'Animate' has to run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bpy.props import FloatProperty

from ..animation.keying import NOTE, SPEAKER

# Blender keeps single precision.
_SAME = 1e-5

_EITHER_WAY = {"default": 0.0, "min": -1.0, "max": 1.0, "subtype": "FACTOR"}


class SpeakerProperties:
    """Mixed into the scene's settings and into the operator that sends a voice."""

    effort: FloatProperty(
        name="Effort",
        description="How clearly the mouth speaks: -1 mumbles, 1 is crisp",
        **_EITHER_WAY,
    )
    jaw_share: FloatProperty(
        name="Lips or Jaw",
        description="Who does the work: -1 the lips, 1 the jaw",
        **_EITHER_WAY,
    )
    parted: FloatProperty(
        name="Parted Lips",
        description="How far the lips rest apart in pauses: 0 shut, 1 about 3 mm",
        default=0.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    head_liveliness: FloatProperty(
        name="Head Liveliness",
        description="How eagerly the head moves with the voice: -1 calm, 1 lively",
        **_EITHER_WAY,
    )


def speaker(value_of: Callable[[str], Any]) -> dict[str, float]:
    """The parameters of `AnimateRequest` out of the values that `value_of` gives."""
    return {name: round(float(value_of(name)), 6) for name in SPEAKER}


def differs(description: Mapping[str, Any], value_of: Callable[[str], Any]) -> bool:
    """Whether the panel says something else than what the Action of this note was made with."""
    noted = description.get(NOTE)
    if not isinstance(noted, dict):
        return False
    return any(
        isinstance(value, (int, float)) and abs(float(value_of(name)) - value) > _SAME
        for name, value in noted.items()
        if name in ("seed", *SPEAKER)
    )
