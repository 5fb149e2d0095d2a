# SPDX-License-Identifier: GPL-3.0-or-later
"""The dials that say how a performance is given; what they do stands in `style`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ErrorKind, VividKeysError

MOODS: tuple[str, ...] = ("joy", "sadness", "anger", "fear", "surprise", "disgust")

# Lowest and highest value of each dial.
_AMPLITUDE, _BIAS, _MOOD = (0.0, 3.0), (-1.0, 1.0), (0.0, 1.0)
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("articulation", "jaw", "expressiveness", "head_motion", "blinks", "gaze"), _AMPLITUDE
    ),
    **dict.fromkeys(("smile", "asymmetry"), _BIAS),
    **dict.fromkeys(MOODS, _MOOD),
}


@dataclass(frozen=True)
class StyleDials:
    """How a performance is given. The defaults change nothing; 0 removes a motion completely.

    articulation    lips, jaw and tongue, 0..3 (1 = as they are)
    jaw             the jaw alone, 0..3; lips still meet
    expressiveness  brows, cheeks, nose and lower lids as the voice moves them, 0..3
    head_motion     rotation and translation of the head, 0..3
    blinks          how often the eyes blink, 0..3; they are drawn anew
    gaze            how far the eyes wander from the viewer, 0..3
    smile           -1 (corners down) .. 1 (corners up), all the time
    asymmetry       -1 (the character's right side is stronger) .. 1 (the left side)
    joy ... disgust 0..1, several may be mixed

    Raises VividKeysError(bad_request) for a value outside its range.
    """

    articulation: float = 1.0
    jaw: float = 1.0
    expressiveness: float = 1.0
    head_motion: float = 1.0
    blinks: float = 1.0
    gaze: float = 1.0
    smile: float = 0.0
    asymmetry: float = 0.0
    joy: float = 0.0
    sadness: float = 0.0
    anger: float = 0.0
    fear: float = 0.0
    surprise: float = 0.0
    disgust: float = 0.0

    def __post_init__(self) -> None:
        for name, (lowest, highest) in RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and lowest <= value <= highest):
                raise VividKeysError(
                    ErrorKind.BAD_REQUEST,
                    f"The dial '{name}' is {value}, which is not between {lowest:g} and "
                    f"{highest:g}.",
                    "Choose a value in this range.",
                )

    @property
    def neutral(self) -> bool:
        """True when these dials change nothing."""
        return self == StyleDials()

    def turned(self) -> dict[str, float]:
        """The dials that are not at their default, for notes."""
        usual = StyleDials()
        return {
            name: float(getattr(self, name))
            for name in RANGES
            if getattr(self, name) != getattr(usual, name)
        }


def dials_from(values: Mapping[str, Any]) -> StyleDials:
    """The dials that `turned` noted. Raises VividKeysError(bad_request) for anything else."""
    known = {field.name for field in dataclasses.fields(StyleDials)}
    if not set(values) <= known or any(type(v) not in (int, float) for v in values.values()):
        raise VividKeysError(ErrorKind.BAD_REQUEST, "These are no style dials.", "Set them anew.")
    return StyleDials(**{name: float(value) for name, value in values.items()})
