# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels of the motion network, and how they become the 52 ARKit weights.

A channel drives one ARKit shape or a left and right pair alike.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from shared.arkit import ARKIT_NAMES, INDEX

# Continuous channels, which the network regresses. Lip contact is kept apart (see `contact`),
# because an average over uncertain frames would never close a mouth.
CHANNELS: tuple[str, ...] = (
    "jawOpen",
    "jawForward",
    "mouthFunnel",
    "mouthPucker",
    "mouthLowerDown",
    "mouthUpperUp",
    "mouthStretch",
    "mouthSmile",
    "mouthDimple",
    "tongueOut",
    "cheekSquint",
    "browInnerUp",
    "browOuterUp",
)
CHANNEL: dict[str, int] = {name: number for number, name in enumerate(CHANNELS)}

# Lips and jaw come first; the rest is expression that follows stress.
MOUTH_CHANNELS: tuple[int, ...] = tuple(range(10))
FACE_CHANNELS: tuple[int, ...] = tuple(range(10, len(CHANNELS)))

# Shapes that follow a channel: the muscle around the eye lifts both the cheek and the lid.
ALONG: dict[str, tuple[str, float]] = {"eyeSquint": ("cheekSquint", 0.6)}

CLASSES: tuple[str, ...] = (
    "silence",
    "bilabial",
    "labiodental",
    "round",
    "open",
    "mid",
    "close",
    "other",
)
EVENTS: tuple[str, ...] = ("bilabial", "labiodental", "silence")


def arkit_columns(name: str) -> tuple[int, ...]:
    """ARKit columns of a channel: the shape itself, or its left and right version."""
    if name in INDEX:
        return (INDEX[name],)
    return (INDEX[f"{name}Left"], INDEX[f"{name}Right"])


def spread_channels(curves: Float32[np.ndarray, "T C"]) -> Float32[np.ndarray, "T 52"]:
    """ARKit weights from channel curves (in the order of `CHANNELS`); other columns are zero."""
    weights = np.zeros((len(curves), len(ARKIT_NAMES)), np.float32)
    for number, name in enumerate(CHANNELS):
        for column in arkit_columns(name):
            weights[:, column] = curves[:, number]
    for name, (leader, share) in ALONG.items():
        for column in arkit_columns(name):
            weights[:, column] = np.float32(share) * curves[:, CHANNEL[leader]]
    return weights
