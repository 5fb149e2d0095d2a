# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the lips are apart, and where the lower one is tucked, read from ARKit weights alone."""

from __future__ import annotations

import numpy as np

from .arkit import INDEX
from .arrays import FloatArray

# Change of the gap between the inner lips per shape, measured on ICT-FaceKit's mesh (mean height
# between landmarks 61-67, 62-66 and 63-65) in units of what jawOpen does.
APERTURE: dict[str, float] = {
    "jawOpen": 1.0,
    "mouthClose": -1.29,
    "mouthFunnel": 0.375,
    "mouthPucker": -0.045,
    "mouthRollLower": -0.085,
    "mouthRollUpper": 0.055,
    "mouthShrugLower": -0.22,
    "mouthShrugUpper": 0.16,
    "mouthLowerDown": 0.10,
    "mouthUpperUp": 0.12,
    "mouthPress": -0.04,
}
# The same on our own heads, where only shapes that part the lips count, and mouthClose takes back
# exactly what jawOpen opens. The nose lifts the upper lip with it.
PARTING: dict[str, float] = {
    "jawOpen": 1.0,
    "mouthClose": -1.0,
    "jawForward": 0.035,
    "mouthFunnel": 0.38,
    "mouthRollUpper": 0.055,
    "mouthShrugUpper": 0.16,
    "mouthLowerDown": 0.105,
    "mouthUpperUp": 0.12,
    "noseSneer": 0.10,
}
TUCK: dict[str, float] = {"mouthRollLower": 1.0, "mouthUpperUp": 0.25, "mouthLowerDown": -0.25}

# Closed is less than this share of the usual opening of the clip.
CLOSED = 0.25
_OPEN_AT_ALL = 0.05


def columns(name: str) -> tuple[int, ...]:
    """ARKit columns of a shape, or of the left and right shape of a stem."""
    if name in INDEX:
        return (INDEX[name],)
    return (INDEX[f"{name}Left"], INDEX[f"{name}Right"])


def weighted(rows: FloatArray, coefficients: dict[str, float]) -> FloatArray:
    """Sum of shapes times coefficients: rows [52, T] (one row per shape) to [T]."""
    total = np.zeros(rows.shape[1], np.float32)
    for name, coefficient in coefficients.items():
        for column in columns(name):
            total += np.float32(coefficient) * rows[column]
    return total


def aperture(rows: FloatArray) -> FloatArray:
    """Gap between the lips [T] in units of a full jawOpen, never below 0; rows [52, T]."""
    return np.maximum(weighted(rows, APERTURE), np.float32(0.0))


def usual_opening(gap: FloatArray) -> float:
    """What an open mouth is in this clip: the median of the frames [T] that are open at all."""
    opened = gap[gap > _OPEN_AT_ALL]
    usual = float(np.median(opened)) if len(opened) else 0.0
    highest = float(gap.max()) if len(gap) else 0.0
    return max(usual, 0.25 * highest, 1e-3)
