# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks with a tracker's error, which is correlated between neighbours."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float64

from backend.face.template import load_template
from shared.landmarks import LANDMARK_COUNT, OUTER_EYE_CORNERS

# Standard deviation of the error, in distances of the outer eye corners, and its correlation
# length, metres on the template.
_OFF, _ALIKE = 0.006, 0.012


@cache
def _smoothing() -> Float64[np.ndarray, "468 468"]:
    """The matrix from independent to spatially correlated noise of the same variance."""
    points = load_template().vertices[:LANDMARK_COUNT]
    away = np.linalg.norm(points[:, None] - points[None], axis=2)
    weight = np.exp(-0.5 * (away / _ALIKE) ** 2)
    return np.asarray(weight / np.linalg.norm(weight, axis=1, keepdims=True))


def as_tracked(
    landmarks: Float64[np.ndarray, "478 3"], random: np.random.Generator, share: float = 1.0
) -> Float64[np.ndarray, "478 3"]:
    """Landmarks in pixels with `share` times a tracker's usual error, except for the irises."""
    right, left = OUTER_EYE_CORNERS
    size = float(np.linalg.norm(landmarks[left, :2] - landmarks[right, :2]))
    noise = _smoothing() @ random.normal(0.0, 1.0, (LANDMARK_COUNT, 2))
    tracked = landmarks.copy()
    tracked[:LANDMARK_COUNT, :2] += share * _OFF * size * noise
    return tracked
