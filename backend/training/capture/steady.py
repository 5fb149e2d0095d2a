# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the tracker's jitter from the face's motion without reopening closed lips."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from backend.face.template import load_template
from shared.landmarks import (
    LANDMARK_COUNT,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    LIP_LANDMARKS,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

from .measure import lip_gap
from .pose import smooth

# Lips close and lids fall within a tenth of a second; the rest of the face is slower.
_QUICK_SECONDS, _SLOW_SECONDS = 0.12, 0.22
_QUICK_REACH = 0.012
# Below this share of the usual opening the lips stay as they were tracked.
_CLOSING, _OPEN = 0.15, 0.4


def steady(
    displacements: Float64[np.ndarray, "T 468 3"], fps: float
) -> Float64[np.ndarray, "T 468 3"]:
    """Displacements (metres) with less noise; zero phase, closures as deep as they were."""
    slow = smooth(displacements, fps, _SLOW_SECONDS)
    quick = smooth(displacements, fps, _QUICK_SECONDS)
    gap = lip_gap(displacements)
    usual = max(float(np.percentile(gap, 80)), 1e-4)
    untouched = np.clip((_OPEN - gap / usual) / (_OPEN - _CLOSING), 0.0, 1.0)[:, None, None]
    near_lips = _near(LIP_LANDMARKS)
    near_lids = _near((*LEFT_LID_UPPER, *LEFT_LID_LOWER, *RIGHT_LID_UPPER, *RIGHT_LID_LOWER))
    lips = quick + untouched * (displacements - quick)
    return np.asarray(
        slow + near_lips * (lips - slow) + near_lids * (1.0 - near_lips) * (quick - slow)
    )


def _near(points: tuple[int, ...]) -> Float64[np.ndarray, "468 1"]:
    """1 at the given landmarks, fading to 0 around them."""
    away = load_template().distances[list(points)].min(axis=0)
    near = np.clip(1.5 - 1.5 * away / _QUICK_REACH, 0.0, 1.0)
    return np.asarray(near).reshape(LANDMARK_COUNT, 1)
