# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion of a face seen by a tracker, in the same measures as the motion of a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from backend.face.pose import head_angles
from backend.face.template import face_size, load_template
from backend.training.capture.measure import lip_gap
from backend.training.capture.pose import HeadFits, fit_heads, to_axes
from backend.training.capture.read_video import Picture
from backend.training.capture.track import Track, track_face
from shared.landmarks import LANDMARK_COUNT

AXES = ("pitch", "roll", "yaw")


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion of a face in T frames.

    gap     between the lips, relative to the distance between the outer eye corners
    angles  pitch, roll and yaw of the head relative to its median pose, degrees
    shape   median position of every landmark without the head's pose, metres
    apart   root mean square distance of bone from `shape`, millimetres
    """

    gap: Float64[np.ndarray, " T"]
    angles: Float64[np.ndarray, "T 3"]
    shape: Float64[np.ndarray, "468 3"]
    apart: Float64[np.ndarray, " T"]


def look_again(frames: Sequence[UInt8[np.ndarray, "H W 3"]], fps: float, name: str) -> Track:
    """Track rendered frames; raises VividKeysError(no_face) if no frame shows a face."""
    return track_face((Picture(p, k / fps) for k, p in enumerate(frames)), name)


def motion_of(
    landmarks: Float64[np.ndarray, "T L 3"], shape: Float64[np.ndarray, "468 3"] | None = None
) -> Motion:
    """Measures of landmarks in pixels, tracked or of a driven head (468 or more).

    The head's pose is fitted to `shape`, metres, or to the face's own median shape: the tracker's
    faces differ slightly from the mesh's, and each is measured against itself.
    """
    template = load_template()
    bone = template.rigidity[:LANDMARK_COUNT]
    points = to_axes(landmarks[:, :LANDMARK_COUNT])
    if shape is None:
        shape = np.median(fit_heads(points, template.vertices, bone).aligned, axis=0)
    fits = fit_heads(points, shape, bone)
    away = ((fits.aligned - shape) ** 2).sum(axis=2) @ (bone / bone.sum())
    return Motion(
        lip_gap(fits.aligned) / face_size(shape), _angles(fits), shape, 1000.0 * np.sqrt(away)
    )


def bone_distance(one: Float64[np.ndarray, "468 3"], other: Float64[np.ndarray, "468 3"]) -> float:
    """Root mean square distance of bone between two shapes (metres), millimetres."""
    bone = load_template().rigidity[:LANDMARK_COUNT]
    fits = fit_heads(one[None], other, bone)
    away = ((fits.aligned[0] - other) ** 2).sum(axis=1)
    return 1000.0 * float(np.sqrt(away @ bone / bone.sum()))


def _angles(fits: HeadFits) -> Float64[np.ndarray, "T 3"]:
    """Degrees, relative to the median of each angle."""
    angles = np.array([head_angles(rotation) for rotation in fits.rotation])
    angles = np.degrees(np.unwrap(angles, axis=0))
    return np.asarray(angles - np.median(angles, axis=0))
