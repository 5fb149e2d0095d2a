# SPDX-License-Identifier: GPL-3.0-or-later
"""Weak perspective: the pose and the size of a head in a photo, and their removal.

All code that reads a photo assumes the same camera, a long lens, because the focal length cannot
be known from one picture. A point X of the head (metres, frontal, +Z up, the face looks along -Y,
the character's left is +X) projects to

    pixels = (R X + t) / s        R head's rotation, t shift in metres, s metres per pixel

with x to the right and -z down in the picture, and y the relative depth, in pixels as well.
`image_to_axes` converts tracked landmarks to these axes. So a photo's landmarks are a rotated,
scaled and shifted copy of the head, and a `Similarity` maps them back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64


@dataclass(frozen=True, eq=False)
class Similarity:
    """The map `points @ rotation.T * scale + shift`."""

    scale: float
    rotation: Float64[np.ndarray, "3 3"]
    shift: Float64[np.ndarray, " 3"]

    def apply(self, points: Float[np.ndarray, "*batch 3"]) -> Float64[np.ndarray, "*batch 3"]:
        """Map points."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift)

    def inverse(self) -> Similarity:
        """The inverse map."""
        scale, rotation = 1.0 / self.scale, self.rotation.T
        return Similarity(scale, rotation, -scale * rotation @ self.shift)


def image_to_axes(landmarks: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
    """Convert picture axes (right, down, away) to ours (x right, y away, z up).

    The character's left is the picture's right, so +X is the character's left.
    """
    return np.stack([landmarks[:, 0], landmarks[:, 2], -landmarks[:, 1]], axis=1)


def fit_similarity(
    source: Float64[np.ndarray, "N 3"],
    target: Float64[np.ndarray, "N 3"],
    weights: Float64[np.ndarray, " N"],
) -> Similarity:
    """Fit the similarity that maps `source` onto `target` with least squared error.

    Weighted form of Umeyama, "Least-squares estimation of transformation parameters between
    two point patterns", 1991.
    """
    share = (weights / weights.sum())[:, None]
    source_centre = (share * source).sum(axis=0)
    target_centre = (share * target).sum(axis=0)
    from_points, to_points = source - source_centre, target - target_centre
    u, stretch, vt = np.linalg.svd((share * to_points).T @ from_points)
    keep = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * keep) @ vt
    scale = float((stretch * keep).sum() / (share * from_points**2).sum())
    return Similarity(scale, rotation, target_centre - scale * rotation @ source_centre)


def head_angles(rotation: Float64[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """Euler XYZ angles in radians (x pitch, y roll, z yaw) of the head in the photo.

    `rotation` is the one that made the photo's landmarks frontal; the head's own is its inverse.
    """
    head = rotation.T
    pitch = np.arctan2(head[2, 1], head[2, 2])
    roll = np.arctan2(-head[2, 0], np.hypot(head[2, 1], head[2, 2]))
    yaw = np.arctan2(head[1, 0], head[0, 0])
    return float(pitch), float(roll), float(yaw)
