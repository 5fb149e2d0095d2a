# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks as a tracker sees them: a little beside where they are, neighbours alike."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float64

from backend.face.template import load_template
from shared.landmarks import LANDMARK_COUNT, OUTER_EYE_CORNERS

# How far off a landmark usually is, in distances of the outer eye corners, and how far around it
# others are off the same way, metres on the template.
_OFF, _ALIKE = 0.006, 0.012


@cache
def _smoothing() -> Float64[np.ndarray, "468 468"]:
    """[468,468]: independent noise to noise whose neighbours are alike, of the same size."""
    points = load_template().vertices[:LANDMARK_COUNT]
    away = np.linalg.norm(points[:, None] - points[None], axis=2)
    weight = np.exp(-0.5 * (away / _ALIKE) ** 2)
    return np.asarray(weight / np.linalg.norm(weight, axis=1, keepdims=True))


def as_tracked(
    landmarks: Float64[np.ndarray, "478 3"], random: np.random.Generator, share: float = 1.0
) -> Float64[np.ndarray, "478 3"]:
    """Landmarks [478,3] in pixels with a tracker's error, `share` times the usual one; the irises
    stay.
    """
    right, left = OUTER_EYE_CORNERS
    size = float(np.linalg.norm(landmarks[left, :2] - landmarks[right, :2]))
    noise = _smoothing() @ random.normal(0.0, 1.0, (LANDMARK_COUNT, 2))
    tracked = landmarks.copy()
    tracked[:LANDMARK_COUNT, :2] += share * _OFF * size * noise
    return tracked
