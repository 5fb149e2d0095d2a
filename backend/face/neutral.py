# SPDX-License-Identifier: GPL-3.0-or-later
"""From the tracked face to the neutral one: pose and expression removed, mouth closed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from shared.landmarks import LANDMARK_COUNT

from .arkit_basis import contacts
from .close_mouth import close_mouth
from .fit_photo import fit_photo
from .pose import Similarity, fit_similarity, head_angles, image_to_axes
from .template import load_template


@dataclass(frozen=True, eq=False)
class NeutralFace:
    """A face without the pose and the expression of its photo.

    vertices        metres, lips exactly closed
    irises          metres
    aligned         the tracked points without the head's pose but with the expression
    angles          of the head in the photo (pitch, roll, yaw), radians
    mouth_was_open  the largest gap between the lips in the photo, metres on the face
    expression      the photo's ARKit weights, 0..1, which take `vertices` to `aligned`
    to_head         moves tracked points (in our axes, pixels) to `aligned`
    """

    vertices: Float64[np.ndarray, "468 3"]
    irises: Float64[np.ndarray, "10 3"]
    aligned: Float64[np.ndarray, "478 3"]
    angles: tuple[float, float, float]
    mouth_was_open: float
    expression: Float64[np.ndarray, " 52"]
    to_head: Similarity


def neutral_face(landmarks: Float64[np.ndarray, "N C"]) -> NeutralFace:
    """Frontal face at rest, in metres, from tracked landmarks [478,3] in pixels.

    Raises VividKeysError(bad_image) if the landmarks cannot be a face.
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


def straightened_face(landmarks: Float64[np.ndarray, "478 3"]) -> Float64[np.ndarray, "468 3"]:
    """Remove pose and size by the bony landmarks alone, then close the mouth; metres.

    The smile stays. The eight numbers of `identity.py` were learned from faces made this way.
    """
    template = load_template()
    points = image_to_axes(landmarks)
    target = np.concatenate([template.vertices, template.irises])
    points = fit_similarity(points, target, template.rigidity).apply(points)
    # A person is centred on their own middle, not on the mean's.
    partner = template.mirror
    points[:, 0] -= np.average((points[:, 0] + points[partner, 0]) / 2, weights=template.rigidity)
    return close_mouth(points[:LANDMARK_COUNT])


def _opening(aligned: NDArray[np.float64]) -> float:
    gap = contacts()["lips"].gap(aligned[:LANDMARK_COUNT])[:, 2]
    return float(np.maximum(gap, 0.0).max())
