# SPDX-License-Identifier: GPL-3.0-or-later
"""From the tracked face to the neutral one: pose removed, mouth closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from shared.arkit import INDEX

from .arkit_basis import contacts, landmark_basis
from .pose import Similarity, fit_similarity, head_angles, image_to_axes
from .template import load_template
from .topology import LANDMARK_COUNT

Floats = NDArray[np.float64]

# Below this the lips count as closed and are only snapped together, metres on the template.
CLOSED = 0.0012
# Motions that may have opened the mouth in the photo, and how reluctantly each is believed:
# lips part before a jaw drops.
OPENERS = (
    (("jawOpen",), 1.6),
    (("mouthLowerDownLeft", "mouthLowerDownRight"), 0.35),
    (("mouthUpperUpLeft", "mouthUpperUpRight"), 0.35),
)
MOST = {"jawOpen": 0.9, "mouthLowerDownLeft": 1.2, "mouthUpperUpLeft": 1.2}


@dataclass(frozen=True, eq=False)
class NeutralFace:
    """vertices [468,3] metres, irises [10,3], the tracked points without the head's pose but
    with the expression [478,3], head angles in the photo (radians), and how far the mouth was
    open there (metres on the face). `to_head` moves the photo's points, in our axes
    (`image_to_axes`), into the head's frame."""

    vertices: Floats
    irises: Floats
    aligned: Floats
    angles: tuple[float, float, float]
    mouth_was_open: float
    to_head: Similarity


def neutral_face(landmarks: Floats) -> NeutralFace:
    """Frontal face in metres with closed lips from tracked landmarks [478,3] in pixels."""
    template = load_template()
    points = image_to_axes(landmarks)
    target = np.concatenate([template.vertices, template.irises])
    move = fit_similarity(points, target, template.rigidity)
    points = move.apply(points)
    # A person is centred on their own middle, not on the mean's.
    partner = template.mirror
    middle = np.average((points[:, 0] + points[partner, 0]) / 2, weights=template.rigidity)
    points[:, 0] -= middle
    to_head = Similarity(move.scale, move.rotation, move.shift - (middle, 0.0, 0.0))
    vertices = points[:LANDMARK_COUNT]
    opening = float(np.maximum(contacts()["lips"].gap(vertices)[:, 2], 0).max())
    vertices = close_mouth(vertices)
    return NeutralFace(
        vertices, points[LANDMARK_COUNT:], points, head_angles(move.rotation), opening, to_head
    )


def close_mouth(vertices: Floats) -> Floats:
    """Take back what opened the mouth, then bring the lips exactly together; [468,3]."""
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
