# SPDX-License-Identifier: GPL-3.0-or-later
"""Close lips that were apart in a photo, by undoing the motions that opened them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.optimize import nnls

from shared.arkit import INDEX
from shared.landmarks import LANDMARK_COUNT

from .arkit_basis import contacts, landmark_basis

# Below this the lips count as closed and are only snapped together, metres on the template.
CLOSED = 0.0012
# Motions that may have opened the mouth in the photo, and the cost of each: lips part before a
# jaw drops.
OPENERS = (
    (("jawOpen",), 1.6),
    (("mouthLowerDownLeft", "mouthLowerDownRight"), 0.35),
    (("mouthUpperUpLeft", "mouthUpperUpRight"), 0.35),
)
MOST = {"jawOpen": 0.9, "mouthLowerDownLeft": 1.2, "mouthUpperUpLeft": 1.2}


def close_mouth(vertices: Float64[np.ndarray, "468 3"]) -> Float64[np.ndarray, "468 3"]:
    """Undo what opened the mouth, then bring the lips exactly together; metres."""
    lips = contacts()["lips"]
    gap = lips.gap(vertices)[:, 2]
    if gap.max() > CLOSED:
        basis = landmark_basis(vertices)
        motions = [sum(basis[INDEX[name]] for name in names) for names, _ in OPENERS]
        columns = np.stack([lips.gap(motion)[:, 2] for motion in motions], axis=1)
        size = np.linalg.norm(columns[:, 0])
        reluctance = np.diag([0.02 * size * cost for _, cost in OPENERS])
        weights, _ = nnls(
            np.concatenate([columns, reluctance]),
            np.concatenate([np.maximum(gap, 0), np.zeros(len(OPENERS))]),
        )
        for weight, motion, (names, _) in zip(weights, motions, OPENERS, strict=True):
            vertices = vertices - min(weight, MOST[names[0]]) * motion
    middle = (vertices[lips.upper] + vertices[lips.lower]) / 2
    move_upper = middle - vertices[lips.upper]
    move_lower = middle - vertices[lips.lower]
    still = np.zeros((LANDMARK_COUNT, 3))
    return np.asarray(vertices + lips.corrected(still, move_upper, move_lower))
