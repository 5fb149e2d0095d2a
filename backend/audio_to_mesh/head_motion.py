# SPDX-License-Identifier: GPL-3.0-or-later
"""Small head motion for a voice: codes of learned motion, low-passed, turned about the neck.

The motion is drawn from the head-pose codebook (`head_model`), which was learned from tracked
heads and from the process in `head_rhythm`. What is added here is geometry and safety: nothing
faster than 3 Hz, nothing farther than the photo allows, rest at the first frame.

Axes are Blender's and the face looks along -Y. Angles are Euler XYZ radians: +x nods down, +y
tips the crown to the character's left, +z turns to the character's left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from backend.audio_to_mesh.head_model import HeadPoseModel, shipped_model
from backend.audio_to_mesh.head_rhythm import GRID, slow_only, softly_limited
from backend.audio_to_mesh.loudness import loudness

_EASE_IN = 1.2

# The head turns about the neck, not about its own middle: this is the way from the joint to the
# middle of the face in metres, shortened because part of it lies in the object that is moved.
_NECK_TO_FACE = (0.0, -0.045, 0.05)


def head_motion(
    samples: NDArray[np.float32],
    fps: float,
    frame_count: int,
    seed: int,
    strength: float,
    *,
    initial: tuple[float, float, float] = (0.0, 0.0, 0.0),
    model: HeadPoseModel | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rotation [frame_count, 3] (radians) and translation [frame_count, 3] (metres).

    `samples` [N] at 16 kHz. Frame 0 is `initial`, the rotation that the motion goes on from
    (radians; rest unless given). `strength` scales what is added to it; 0 adds nothing at all.
    The same arguments give the same motion; a longer clip of the same sound begins like it.
    Raises VividKeysError(bad_file) when the weights are missing or damaged.
    """
    rotation = np.zeros((frame_count, 3), dtype=np.float32)
    rotation[:] = initial
    translation = np.zeros((frame_count, 3), dtype=np.float32)
    if frame_count == 0 or (strength == 0.0 and not any(initial)):
        return rotation, translation
    if strength == 0.0:
        translation[:] = _about_the_neck(rotation)
        return rotation, translation
    model = model or shipped_model()
    margin = 4 * GRID  # so that no filter sees an end inside the clip
    cells = int(np.ceil(frame_count / fps * GRID)) + margin
    start = np.concatenate([np.degrees(initial), np.zeros(3)])
    pose = slow_only(model.motion(loudness(samples), cells, seed, start))
    pose[:, :3] = softly_limited(pose[:, :3])

    time = np.arange(frame_count) / fps
    smooth = CubicSpline(np.arange(cells) / GRID, pose, axis=0)(time)
    ease = np.clip(time / _EASE_IN, 0.0, 1.0)
    smooth *= (strength * ease**3 * (10.0 - 15.0 * ease + 6.0 * ease**2))[:, None]
    rotation += np.radians(smooth[:, :3])
    translation[:] = smooth[:, 3:] + _about_the_neck(rotation)
    return rotation, translation


def _about_the_neck(rotation: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far the middle of the face moves [T, 3] when the head turns in its joint."""
    pitch, roll, yaw = rotation.astype(np.float64).T
    x, y, z = _NECK_TO_FACE
    # Euler XYZ: first about X, then Y, then Z.
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    x, z = x * np.cos(roll) + z * np.sin(roll), -x * np.sin(roll) + z * np.cos(roll)
    x, y = x * np.cos(yaw) - y * np.sin(yaw), x * np.sin(yaw) + y * np.cos(yaw)
    return np.column_stack([x, y, z]) - _NECK_TO_FACE
