# SPDX-License-Identifier: GPL-3.0-or-later
"""The gap between the lips and the tuck of the lower one, from ARKit weights alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arkit import INDEX

if TYPE_CHECKING:
    from jaxtyping import Float32

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
# The same on our own heads, where only shapes that part the lips count, and mouthClose exactly
# undoes what jawOpen opens. noseSneer lifts the upper lip too.
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

# Lips closer than this share of the clip's usual opening count as closed.
CLOSED = 0.25
_OPEN_AT_ALL = 0.05


def columns(name: str) -> tuple[int, ...]:
    """The ARKit columns of a shape, or of the left and right shape of a stem."""
    if name in INDEX:
        return (INDEX[name],)
    return (INDEX[f"{name}Left"], INDEX[f"{name}Right"])


def weighted(
    rows: Float32[np.ndarray, "52 T"], coefficients: dict[str, float]
) -> Float32[np.ndarray, " T"]:
    """The sum of weights times coefficients; `rows` has one row per shape."""
    total = np.zeros(rows.shape[1], np.float32)
    for name, coefficient in coefficients.items():
        for column in columns(name):
            total += np.float32(coefficient) * rows[column]
    return total


def aperture(rows: Float32[np.ndarray, "52 T"]) -> Float32[np.ndarray, " T"]:
    """The gap between the lips in units of a full jawOpen, never below 0."""
    gap: Float32[np.ndarray, " T"] = np.maximum(weighted(rows, APERTURE), np.float32(0.0))
    return gap


def usual_opening(gap: Float32[np.ndarray, " T"]) -> float:
    """How far the mouth usually opens in this clip: the median over the frames that are open."""
    opened = gap[gap > _OPEN_AT_ALL]
    usual = float(np.median(opened)) if len(opened) else 0.0
    highest = float(gap.max()) if len(gap) else 0.0
    return max(usual, 0.25 * highest, 1e-3)
