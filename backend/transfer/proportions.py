# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a face has human proportions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

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

# The largest values on human faces: opening and width of an eye relative to the distance between
# the outer corners, norm of the identity coefficients (standard deviations), residual (metres).
_EYE_OPENING, _EYE_WIDTH, _UNUSUAL, _LEFT_OVER = 0.148, 0.362, 8.5, 0.0048

_LIDS = ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
_CORNERS = (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)


def strangeness(landmarks: FaceLandmarks) -> float:
    """How far a face is from human proportions: up to 1 is within the human range."""
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


def _distance(points: Float64[np.ndarray, "468 3"], one: int, other: int) -> float:
    return float(np.linalg.norm(points[one] - points[other]))
