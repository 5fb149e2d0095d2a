# SPDX-License-Identifier: GPL-3.0-or-later
"""From the tracked face to the neutral one: pose removed, expression undone, mouth closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.landmarks import LANDMARK_COUNT

from .arkit_basis import contacts
from .close_mouth import close_mouth
from .fit_photo import fit_photo
from .pose import Similarity, fit_similarity, head_angles, image_to_axes
from .template import load_template

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NeutralFace:
    """A face without the pose and the expression of its photo.

    vertices       [468,3] metres, lips exactly closed
    irises         [10,3] metres
    aligned        [478,3] the tracked points without the head's pose but with the expression
    angles         of the head in the photo (pitch, roll, yaw), radians
    mouth_was_open how far, metres on the face
    expression     [52] the photo's ARKit weights, 0..1: what `vertices` lack of `aligned`
    to_head        moves tracked points (in our axes, pixels) to `aligned`
    """

    vertices: Floats
    irises: Floats
    aligned: Floats
    angles: tuple[float, float, float]
    mouth_was_open: float
    expression: Floats
    to_head: Similarity


def neutral_face(landmarks: Floats) -> NeutralFace:
    """Frontal face at rest, in metres, from tracked landmarks [478,3] in pixels.

    Raises VividKeysError(bad_image) where the landmarks are no face.
    """
    fit = fit_photo(landmarks)
    return NeutralFace(
        vertices=fit.vertices,
        irises=fit.irises,
        aligned=fit.aligned,
        angles=head_angles(fit.to_head.rotation),
        mouth_was_open=_opening(fit.aligned),
        expression=fit.expression,
        to_head=fit.to_head,
    )


def straightened_face(landmarks: Floats) -> Floats:
    """[468,3] metres: pose and size removed by the bony landmarks alone, then the mouth closed.

    The smile stays. The eight numbers of `identity.py` were learned from faces made so.
    """
    template = load_template()
    points = image_to_axes(landmarks)
    target = np.concatenate([template.vertices, template.irises])
    points = fit_similarity(points, target, template.rigidity).apply(points)
    # A person is centred on their own middle, not on the mean's.
    partner = template.mirror
    points[:, 0] -= np.average((points[:, 0] + points[partner, 0]) / 2, weights=template.rigidity)
    return close_mouth(points[:LANDMARK_COUNT])


def _opening(aligned: Floats) -> float:
    gap = contacts()["lips"].gap(aligned[:LANDMARK_COUNT])[:, 2]
    return float(np.maximum(gap, 0.0).max())
