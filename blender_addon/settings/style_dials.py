# SPDX-License-Identifier: GPL-3.0-or-later
"""The style dials as Blender properties, and back from properties to dials.

They are applied to the kept Take while it is keyed, never by the backend: 'Apply Take' after
another value takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpy.props import FloatProperty

from ..contracts import style

# In the panel's order; the moods follow.
AMPLITUDES = ("articulation", "jaw", "expressiveness", "head_motion", "blinks", "gaze")
BIASES = ("smile", "asymmetry")

STRENGTH = {"default": 1.0, "min": 0.0, "max": 3.0, "soft_max": 1.5, "subtype": "FACTOR"}
_BIAS = {"default": 0.0, "min": -1.0, "max": 1.0, "subtype": "FACTOR"}
_MOOD = {"default": 0.0, "min": 0.0, "max": 1.0, "subtype": "FACTOR"}


class StyleProperties:
    """Mixed into the scene's settings and into the operators that key a Take."""

    articulation: FloatProperty(
        name="Articulation", description="How far mouth and jaw move", **STRENGTH
    )
    jaw: FloatProperty(
        name="Jaw", description="How far the jaw opens; closed lips stay closed", **STRENGTH
    )
    expressiveness: FloatProperty(
        name="Expressiveness",
        description="How much brows, cheeks and lower lids follow the voice",
        **STRENGTH,
    )
    head_motion: FloatProperty(
        name="Head Motion", description="0 leaves the head still", **STRENGTH
    )
    blinks: FloatProperty(
        name="Blink Rate", description="How often the eyes blink; 0 for never", **STRENGTH
    )
    gaze: FloatProperty(
        name="Gaze",
        description="How far the eyes wander from the viewer; 0 holds them still",
        **STRENGTH,
    )
    smile: FloatProperty(
        name="Smile", description="Corners of the mouth: -1 down, 1 up, all the time", **_BIAS
    )
    asymmetry: FloatProperty(
        name="Asymmetry",
        description="-1: the character's right side is stronger; 1: the left side",
        **_BIAS,
    )
    joy: FloatProperty(name="Joy", description="Cheeks and corners of the mouth lift", **_MOOD)
    sadness: FloatProperty(
        name="Sadness", description="Inner brows rise, corners of the mouth sink", **_MOOD
    )
    anger: FloatProperty(name="Anger", description="Brows sink, lids tense, lips tighten", **_MOOD)
    fear: FloatProperty(
        name="Fear", description="Brows rise and draw together, lips stretch", **_MOOD
    )
    surprise: FloatProperty(
        name="Surprise", description="Brows and upper lids rise, the jaw drops", **_MOOD
    )
    disgust: FloatProperty(
        name="Disgust", description="The nose wrinkles, the upper lip lifts", **_MOOD
    )


def dials(value_of: Callable[[str], Any]) -> Any:
    """The StyleDials of the values that `value_of` gives for their names."""
    return style.StyleDials(**{name: float(value_of(name)) for name in style.RANGES})
