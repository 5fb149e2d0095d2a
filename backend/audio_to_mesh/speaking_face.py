# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks of the face that speaks, in metres and facing forward, whatever its own space."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from backend.face.close_mouth import close_mouth
from backend.face.pose import fit_similarity
from backend.face.template import load_template
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh
from shared.landmarks import LANDMARK_COUNT

# A face that differs from the mean one by less than this in size (factor) and orientation (cosine)
# is used as it is.
_SAME_SIZE, _SAME_WAY = 1.4, 0.94


def speaking_landmarks(face: FaceMesh) -> Float32[np.ndarray, "468 3"]:
    """Landmarks of a face in metres, facing forward.

    They are its own if it has about the size and orientation of our heads. Those of a character in
    any unit and direction are brought to human size, turned forward, and their lips are closed.
    Raises VividKeysError(bad_array) if all of them coincide.
    """
    template = load_template()
    points = face.landmarks.astype(np.float64)
    if not np.ptp(points, axis=0).any():
        raise VividKeysError(
            ErrorKind.BAD_ARRAY,
            "The landmarks of the face are all at one point.",
            "Make its keys again.",
        )
    weights = template.rigidity[:LANDMARK_COUNT]
    move = fit_similarity(points, template.vertices, weights)
    turned = np.diag(move.rotation).min() < _SAME_WAY
    if not turned and 1.0 / _SAME_SIZE < move.scale < _SAME_SIZE:
        return face.landmarks
    return close_mouth(move.apply(points)).astype(np.float32)
