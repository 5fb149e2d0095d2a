# SPDX-License-Identifier: GPL-3.0-or-later
"""Lip contact and rest, applied after blending: sealed lips, a tucked lower lip, a closed mouth.

A weighted average cannot force contact (Cohen and Massaro 1993 blend targets by dominance), so
these are constraints on the blended curves. The articulation teacher and the decoder share them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from backend.audio_to_mesh.channels import (
    CHANNEL,
    CHANNELS,
    MOUTH_CHANNELS,
    arkit_columns,
    spread_channels,
)
from shared.arkit import INDEX

# How far the jaw stays open behind sealed lips; mouthClose compensates all of it.
SEALED_JAW = 0.35
TUCKED_JAW = 0.12
_SEAL_SHAPES = {"mouthPress": 0.25, "mouthRollLower": 0.14, "mouthRollUpper": 0.1}
_TUCK_SHAPES = {"mouthRollLower": 0.5, "mouthUpperUp": 0.15, "mouthShrugUpper": 0.06}

# Lips that rest apart, 3 mm on the mean face.
_PARTED_SHAPES = {"jawOpen": 0.08, "mouthLowerDown": 0.04}


def parted_pose(parted: float) -> Float32[np.ndarray, " C"]:
    """Channels of a mouth at rest with lips apart by `parted` (0 closed, 1 about 3 mm)."""
    pose = np.zeros(len(CHANNELS), np.float32)
    for name, value in _PARTED_SHAPES.items():
        pose[CHANNEL[name]] = value * min(max(parted, 0.0), 1.0)
    return pose


def apply_contacts(
    curves: Float32[np.ndarray, "T C"],
    seal: Float32[np.ndarray, " T"],
    tuck: Float32[np.ndarray, " T"],
    rest: Float32[np.ndarray, " T"],
    amplitude: float = 1.0,
    parted: float = 0.0,
) -> Float32[np.ndarray, "T 52"]:
    """ARKit weights from blended channel curves and contact strengths in 0..1.

    `seal` 1: lips together. The jaw keeps `SEALED_JAW` of its opening and mouthClose compensates
    exactly that (so mouthClose <= jawOpen always); what would part the lips fades out; rounding
    stays, because "boo" is rounded from its b on. `tuck` 1: lower lip under the upper teeth.
    `rest` 1: the mouth is still, and closed unless this speaker's lips rest `parted` (0..1).
    `amplitude` scales what contact adds (0 adds nothing).
    """
    curves = curves.copy()
    column = CHANNEL
    hold = 1.0 - rest
    for number in MOUTH_CHANNELS:
        curves[:, number] *= hold
    if parted > 0.0:
        curves += rest[:, None] * parted_pose(parted * min(amplitude, 1.0))
    seal = seal * hold
    # A tuck needs a nearly closed jaw and no rounding; contact is complete from half strength on.
    lowered = np.minimum(tuck * 2.0, 1.0) ** 1.5 * hold * (1.0 - seal)
    jaw = curves[:, column["jawOpen"]]
    limited = np.minimum(jaw, TUCKED_JAW * min(amplitude, 1.0))
    curves[:, column["jawOpen"]] = jaw + lowered * (limited - jaw)
    for name, share in (("mouthFunnel", 0.8), ("mouthPucker", 0.5), ("mouthLowerDown", 1.0)):
        curves[:, column[name]] *= 1.0 - share * lowered
    for name in ("mouthFunnel", "mouthLowerDown", "mouthUpperUp", "tongueOut", "mouthStretch"):
        curves[:, column[name]] *= 1.0 - seal
    curves[:, column["jawOpen"]] *= 1.0 - (1.0 - SEALED_JAW) * seal
    weights = spread_channels(curves)
    weights[:, INDEX["mouthClose"]] = seal * weights[:, INDEX["jawOpen"]]
    tucked = np.sqrt(np.clip(tuck, 0.0, 1.0)) * hold * (1.0 - seal)
    for shapes, strength in ((_SEAL_SHAPES, seal), (_TUCK_SHAPES, tucked)):
        for name, value in shapes.items():
            for target in arkit_columns(name):
                weights[:, target] += amplitude * value * strength
    return np.asarray(np.clip(weights, 0.0, 1.0))
