# SPDX-License-Identifier: GPL-3.0-or-later
"""What a face tracker sees in frames, in the same measures as what a mesh does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.video.pictures import Pixels
from backend.face.pose import head_angles
from backend.face.template import face_size, load_template
from backend.training.capture.measure import lip_gap
from backend.training.capture.pose import HeadFits, fit_heads, to_axes
from backend.training.capture.read_video import Picture
from backend.training.capture.track import Track, track_face
from shared.landmarks import LANDMARK_COUNT

Floats = NDArray[np.float64]

AXES = ("pitch", "roll", "yaw")


@dataclass(frozen=True, eq=False)
class Motion:
    """What a face does in T frames.

    gap     [T] between the lips, in distances of the outer eye corners
    angles  [T,3] pitch, roll and yaw of the head against its middle pose, degrees
    shape   [468,3] metres: the usual place of every landmark without the head's pose
    apart   [T] how far bone is from where it usually is, millimetres (root mean square)
    """

    gap: Floats
    angles: Floats
    shape: Floats
    apart: Floats


def look_again(frames: Sequence[Pixels], fps: float, name: str) -> Track:
    """Track made frames; raises VividKeysError(no_face) where no frame shows a face."""
    return track_face((Picture(p, k / fps) for k, p in enumerate(frames)), name)


def motion_of(landmarks: Floats, shape: Floats | None = None) -> Motion:
    """Measures of landmarks [T,>=468,3] in pixels, tracked or of a driven head.

    The head's pose is found against `shape` [468,3] metres, or against the face's own usual one:
    a tracker's idea of a face is not quite the mesh's, and both are taken as they are.
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


def bone_distance(one: Floats, other: Floats) -> float:
    """Millimetres between the bones of two shapes [468,3] metres, root mean square."""
    bone = load_template().rigidity[:LANDMARK_COUNT]
    fits = fit_heads(one[None], other, bone)
    away = ((fits.aligned[0] - other) ** 2).sum(axis=1)
    return 1000.0 * float(np.sqrt(away @ bone / bone.sum()))


def _angles(fits: HeadFits) -> Floats:
    """[T,3] degrees against the clip's middle frame in the sense of its angles."""
    angles = np.array([head_angles(rotation) for rotation in fits.rotation])
    angles = np.degrees(np.unwrap(angles, axis=0))
    return np.asarray(angles - np.median(angles, axis=0))
