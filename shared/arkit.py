# SPDX-License-Identifier: GPL-3.0-or-later
"""The 52 ARKit blendshapes: names, order, groups and the left/right pairs.

The order is Apple's, which Azure's viseme service uses too. (Live Link Face files swap a few
columns; `formats.py` finds them by name.)
"""

from __future__ import annotations


def _both_sides(*stems: str) -> tuple[str, ...]:
    return tuple(stem + side for stem in stems for side in ("Left", "Right"))


def _eye(side: str) -> tuple[str, ...]:
    stems = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
    return tuple(f"eye{stem}{side}" for stem in stems)


EYES: tuple[str, ...] = _eye("Left") + _eye("Right")
JAW: tuple[str, ...] = ("jawForward", "jawLeft", "jawRight", "jawOpen")
MOUTH: tuple[str, ...] = (
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    *_both_sides("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    *_both_sides("mouthPress", "mouthLowerDown", "mouthUpperUp"),
)
BROWS: tuple[str, ...] = (
    *_both_sides("browDown"),
    "browInnerUp",
    *_both_sides("browOuterUp"),
)
CHEEKS_AND_NOSE: tuple[str, ...] = ("cheekPuff", *_both_sides("cheekSquint", "noseSneer"))
TONGUE: tuple[str, ...] = ("tongueOut",)

ARKIT_NAMES: tuple[str, ...] = EYES + JAW + MOUTH + BROWS + CHEEKS_AND_NOSE + TONGUE
INDEX: dict[str, int] = {name: position for position, name in enumerate(ARKIT_NAMES)}

LEFT_RIGHT_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (name, name.removesuffix("Left") + "Right") for name in ARKIT_NAMES if name.endswith("Left")
)
