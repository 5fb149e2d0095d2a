# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks of the face that speaks, in metres and looking ahead, whatever space it came in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.face.close_mouth import close_mouth
from backend.face.pose import fit_similarity
from backend.face.template import load_template
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh
from shared.landmarks import LANDMARK_COUNT

# A face that differs from the mean one by less in size (factor) and turn (cosine) stands as ours.
_SAME_SIZE, _SAME_WAY = 1.4, 0.94


def speaking_landmarks(face: FaceMesh) -> NDArray[np.float32]:
    """Landmarks [468,3] of a face: its own where it stands as our heads do; those of a character
    in any unit and direction are brought to human size, ahead, with closed lips.

    Raises VividKeysError(bad_array) where all of them lie in one place.
    """
    template = load_template()
    points = face.landmarks.astype(np.float64)
    if not np.ptp(points, axis=0).any():
        raise VividKeysError(
            ErrorKind.BAD_ARRAY,
            "The landmarks of the face lie in one place.",
            "Make its keys again.",
        )
    weights = template.rigidity[:LANDMARK_COUNT]
    move = fit_similarity(points, template.vertices, weights)
    turned = np.diag(move.rotation).min() < _SAME_WAY
    if not turned and 1.0 / _SAME_SIZE < move.scale < _SAME_SIZE:
        return face.landmarks
    return close_mouth(move.apply(points)).astype(np.float32)
