# SPDX-License-Identifier: GPL-3.0-or-later
"""Small head motion for a voice: codes of learned motion, smoothed, turned about the neck.

The motion is drawn from the head-pose codebook (`head_model`), which was learned from tracked
heads and from the process in `head_rhythm`. This module adds geometry and limits: nothing jumps,
nothing turns farther than the photo allows, and the first frame is at rest. It streams, and how
the sound is cut does not affect the motion.

Axes are Blender's and the face looks along -Y. Angles are Euler XYZ radians: +x nods down, +y
tips the crown to the character's left, +z turns to the character's left.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64

from backend.audio_to_mesh.beats import GRID
from backend.audio_to_mesh.head_codebook import HOP
from backend.audio_to_mesh.head_listening import HEAD_WAITS, HeadListener
from backend.audio_to_mesh.head_model import HeadPoseModel, HeadPoseWalk, shipped_model
from backend.audio_to_mesh.head_rhythm import softly_limited
from backend.audio_to_mesh.loudness import LOUDNESS_RATE, LoudnessStream

_EASE_IN = 1.2
_BEHIND, _AHEAD = 1, 2  # cells of the grid before and after a moment that its pose depends on
_PIECE = 60 * 16_000

LOOK_AHEAD = HEAD_WAITS / LOUDNESS_RATE + _AHEAD / GRID
"""Most seconds of sound after a frame that are needed before it is final."""

# The head turns about the neck, not about its own centre: the vector from the joint to the centre
# of the face in metres, shortened because part of it lies within the object that is moved.
_NECK_TO_FACE = (0.0, -0.045, 0.05)

Curves = tuple[Float32[np.ndarray, "T 3"], Float32[np.ndarray, "T 3"]]
"""Rotation (radians) and translation (metres)."""


class HeadMotionStream:
    """Head motion for sound in pieces of any size.

    `initial` is the rotation of frame 0 that the motion continues from (radians; by default rest),
    `strength` scales what is added to it (0 adds nothing at all), `liveliness` goes from calm (-1)
    to lively (1) heads. Raises VividKeysError(bad_file) when the weights are missing or damaged.
    """

    def __init__(
        self,
        fps: float,
        seed: int,
        strength: float,
        *,
        initial: tuple[float, float, float] = (0.0, 0.0, 0.0),
        liveliness: float = 0.0,
        model: HeadPoseModel | None = None,
    ) -> None:
        self._fps, self._strength, self._initial = fps, strength, initial
        self._loudness, self._listener = LoudnessStream(), HeadListener()
        self._walk: HeadPoseWalk | None = None
        if strength:
            start = np.concatenate([np.degrees(initial), np.zeros(3)])
            self._walk = HeadPoseWalk(model or shipped_model(), seed, start, liveliness)
        # Poses on the grid from `_first_cell` on; the first one also stands in for those before it.
        self._cells = np.zeros((_BEHIND + 1, 6))
        self._first_cell = -_BEHIND
        self._samples = 0
        self.frames = 0

    def push(self, samples: Float32[np.ndarray, " S"]) -> Curves:
        """Rotation and translation of the frames that are final now; `samples` at 16 kHz."""
        parts = [self._given(0)]
        for start in range(0, len(samples), _PIECE):
            piece = samples[start : start + _PIECE]
            self._samples += len(piece)
            if self._walk is None:
                known = self._samples / 16_000 - LOOK_AHEAD
                parts.append(self._given(math.floor(known * self._fps) + 1 - self.frames))
            else:
                levels = self._loudness.push(piece)
                parts.append(self._walked(self._walk.push(self._listener.push(levels))))
        return _joined(parts)

    def finish(self, frame_count: int) -> Curves:
        """The remaining frames, up to `frame_count` in all; silence follows the sound."""
        parts = [self._given(0)]
        if self._walk is not None and frame_count > self.frames:
            rows = self._listener.push(self._loudness.finish())
            parts.append(self._walked(self._walk.push(rows)))
            cells = math.ceil((frame_count - 1) / self._fps * GRID) + _AHEAD + 1
            rows = self._listener.finish(-(-cells // HOP))
            parts.append(self._walked(self._walk.push(rows)))
        rotation, translation = _joined(parts)
        count = frame_count - self.frames
        if count < 0:
            return rotation[:count], translation[:count]
        return _joined([(rotation, translation), self._given(count)])

    def _given(self, count: int) -> Curves:
        """Frames at the initial pose, which are all there is when the strength is 0."""
        count = max(count, 0) if self._walk is None else 0
        self.frames += count
        rotation = np.tile(np.array(self._initial, np.float32), (count, 1))
        return rotation, _about_the_neck(rotation).astype(np.float32)

    def _walked(self, poses: Float64[np.ndarray, "cells 6"]) -> Curves:
        self._cells = np.concatenate([self._cells, poses])
        # A cell needs `_AHEAD` more after it; frames up to the last cell that has them are final.
        last = self._first_cell + len(self._cells) - 1 - _AHEAD
        until = max(math.ceil((last + 1) / GRID * self._fps - 1e-9), self.frames)
        time = np.arange(self.frames, until) / self._fps
        cell = np.minimum(np.floor(time * GRID + 1e-9).astype(np.int64), last)
        share = np.clip(time * GRID - cell, 0.0, 1.0)[:, None]
        at = cell - self._first_cell
        # A cubic B-spline: smooth, with bounded support, and a low-pass filter.
        around = [self._cells[at + offset] for offset in range(-_BEHIND, _AHEAD + 1)]
        weights = (
            (1.0 - share) ** 3,
            3.0 * share**3 - 6.0 * share**2 + 4.0,
            -3.0 * share**3 + 3.0 * share**2 + 3.0 * share + 1.0,
            share**3,
        )
        smooth = np.zeros((len(time), 6))
        for weight, poses_there in zip(weights, around, strict=True):
            smooth += weight / 6.0 * poses_there
        smooth[:, :3] = softly_limited(smooth[:, :3])
        ease = np.clip(time / _EASE_IN, 0.0, 1.0)
        smooth *= (self._strength * ease**3 * (10.0 - 15.0 * ease + 6.0 * ease**2))[:, None]
        rotation = (np.array(self._initial) + np.radians(smooth[:, :3])).astype(np.float32)
        translation = smooth[:, 3:] + _about_the_neck(rotation)
        self.frames = until
        passed = max(math.floor(until / self._fps * GRID) - _BEHIND - 1 - self._first_cell, 0)
        self._cells = self._cells[passed:]
        self._first_cell += passed
        return rotation, translation.astype(np.float32)


def head_motion(
    samples: Float32[np.ndarray, " S"],
    fps: float,
    frame_count: int,
    seed: int,
    strength: float,
    *,
    initial: tuple[float, float, float] = (0.0, 0.0, 0.0),
    liveliness: float = 0.0,
    model: HeadPoseModel | None = None,
) -> Curves:
    """Rotation (radians) and translation (metres) of `frame_count` frames.

    `samples` at 16 kHz; for the other arguments see `HeadMotionStream`. The same arguments give
    the same motion; a longer clip of the same sound begins with it, up to the last `LOOK_AHEAD`.
    """
    stream = HeadMotionStream(
        fps, seed, strength, initial=initial, liveliness=liveliness, model=model
    )
    rotation, translation = _joined([stream.push(samples), stream.finish(frame_count)])
    return rotation[:frame_count], translation[:frame_count]


def _joined(
    parts: list[tuple[Float32[np.ndarray, "_ 3"], Float32[np.ndarray, "_ 3"]]],
) -> Curves:
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _about_the_neck(rotation: Float32[np.ndarray, "T 3"]) -> Float64[np.ndarray, "T 3"]:
    """Displacement in metres of the centre of the face when the head turns about the neck."""
    pitch, roll, yaw = rotation.astype(np.float64).T
    x, y, z = _NECK_TO_FACE
    # Euler XYZ: first about X, then Y, then Z.
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    x, z = x * np.cos(roll) + z * np.sin(roll), -x * np.sin(roll) + z * np.cos(roll)
    x, y = x * np.cos(yaw) - y * np.sin(yaw), x * np.sin(yaw) + y * np.cos(yaw)
    return np.column_stack([x, y, z]) - _NECK_TO_FACE
