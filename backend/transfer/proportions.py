# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a face has human proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.face.identity import aligned_landmarks, identity_coefficients, landmarks_of
from backend.face.template import face_size, load_template
from shared.landmarks import (
    LANDMARK_COUNT,
    LEFT_EYE_CORNERS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_EYE_CORNERS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)

from .find_landmarks import FaceLandmarks

Floats = NDArray[np.float64]

# The most that human faces show: opening and width of an eye over the distance of the outer
# corners, length of the identity coefficients (standard deviations), what they leave (metres).
_EYE_OPENING, _EYE_WIDTH, _UNUSUAL, _LEFT_OVER = 0.148, 0.362, 8.5, 0.0048

_LIDS = ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
_CORNERS = (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)


def strangeness(landmarks: FaceLandmarks) -> float:
    """How far a face is from human proportions: below 1 within what people show, above 1 not."""
    points = aligned_landmarks(landmarks.places.astype(np.float64))
    coefficients = identity_coefficients(points)
    weights = load_template().rigidity[:LANDMARK_COUNT] * (0.2 + landmarks.confidence)
    off = ((points - landmarks_of(coefficients)) ** 2).sum(axis=1)
    left_over = float(np.sqrt((weights * off).sum() / weights.sum()))
    size = face_size(points)
    opening = sum(_distance(points, *lids) for lids in _LIDS) / (2 * size)
    width = sum(_distance(points, *corners) for corners in _CORNERS) / (2 * size)
    return max(
        opening / _EYE_OPENING,
        width / _EYE_WIDTH,
        float(np.linalg.norm(coefficients)) / _UNUSUAL,
        left_over / _LEFT_OVER,
    )


def is_stylised(landmarks: FaceLandmarks) -> bool:
    """Whether the proportions are those of a cartoon rather than of a person."""
    return strangeness(landmarks) > 1.0


def _distance(points: Floats, one: int, other: int) -> float:
    return float(np.linalg.norm(points[one] - points[other]))
