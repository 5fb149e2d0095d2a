# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's pose in every frame, from the bony landmarks, and the face with the pose removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.signal import savgol_filter

from backend.face.pose import head_angles
from backend.face.template import load_template

# A landmark this far from where it should be counts half, metres.
_DOUBTFUL = 0.002
_ROUNDS = 6
# The focal length cannot be known from a film; this is a typical one, in units of the frame's
# longer side. It only decides how a change of size translates into metres towards the camera.
_FOCAL_LENGTH = 1.3
# Heads hardly move above 5 Hz; their distance is measured less precisely than the rest.
_SMOOTH_SECONDS, _SMOOTH_DEPTH_SECONDS = 0.28, 0.6


@dataclass(frozen=True, eq=False)
class HeadFits:
    """The similarity that moves each frame's points onto a face, and the result.

    `scale` is in metres per pixel, `shift` and `aligned` in metres.
    """

    scale: Float64[np.ndarray, " T"]
    rotation: Float64[np.ndarray, "T 3 3"]
    shift: Float64[np.ndarray, "T 3"]
    aligned: Float64[np.ndarray, "T N 3"]


def to_axes(landmarks: Float64[np.ndarray, "*batch 3"]) -> Float64[np.ndarray, "*batch 3"]:
    """Picture axes (right, down, away) to ours (x right, y away, z up)."""
    return np.stack([landmarks[..., 0], landmarks[..., 2], -landmarks[..., 1]], axis=-1)


def fit_heads(
    points: Float64[np.ndarray, "T N 3"],
    target: Float64[np.ndarray, "N 3"],
    rigidity: Float64[np.ndarray, " N"] | None = None,
) -> HeadFits:
    """Align every frame's `points` to `target` (metres), robustly.

    `rigidity` weighs each landmark by how firmly it sits on bone (the template's unless given);
    outliers, such as a raised brow, are weighted down in their frame.
    """
    bone = load_template().rigidity if rigidity is None else rigidity
    weights = np.broadcast_to(bone, points.shape[:2])
    for _ in range(_ROUNDS):
        fits = _fit(points, target, weights)
        away = np.linalg.norm(fits.aligned - target, axis=2)
        weights = bone / (1.0 + (away / _DOUBTFUL) ** 2)
    return fits


def _fit(
    points: Float64[np.ndarray, "T N 3"],
    target: Float64[np.ndarray, "N 3"],
    weights: Float64[np.ndarray, "T N"],
) -> HeadFits:
    """Umeyama's weighted fit for all frames at once."""
    share = (weights / weights.sum(axis=1, keepdims=True))[:, :, None]
    from_centre = (share * points).sum(axis=1)
    to_centre = (share * target).sum(axis=1)
    source = points - from_centre[:, None]
    wanted = target - to_centre[:, None]
    u, stretch, vt = np.linalg.svd(np.swapaxes(share * wanted, 1, 2) @ source)
    keep = np.ones_like(stretch)
    keep[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * keep[:, None, :]) @ vt
    scale = (stretch * keep).sum(axis=1) / (share * source**2).sum(axis=(1, 2))
    turned = scale[:, None, None] * points @ np.swapaxes(rotation, 1, 2)
    shift = to_centre - scale[:, None] * np.einsum("tij,tj->ti", rotation, from_centre)
    return HeadFits(scale, rotation, shift, turned + shift[:, None])


def head_motion_of(
    fits: HeadFits, size: tuple[int, int], fps: float
) -> tuple[Float64[np.ndarray, "T 3"], Float64[np.ndarray, "T 3"]]:
    """The head's pose relative to the first frame, in the frame of that head.

    Rotation (Euler XYZ, radians) and translation (metres) in Blender's axes; `size` is the
    (width, height) of the frames in pixels. Lightly smoothed, without delay.
    """
    head = np.swapaxes(fits.rotation, 1, 2)
    relative = head[0].T @ head
    angles = np.array([head_angles(rotation.T) for rotation in relative])
    rotation = smooth(np.unwrap(angles, axis=0), fps, _SMOOTH_SECONDS)
    # The face's origin relative to the camera: pixels from the centre of the picture, in metres.
    place = -np.einsum("tij,tj->ti", head, fits.shift)
    place[:, 0] -= fits.scale * size[0] / 2
    place[:, 2] += fits.scale * size[1] / 2
    place[:, 1] = fits.scale * _FOCAL_LENGTH * max(size)
    place[:, 1] = smooth(place[:, 1:2], fps, _SMOOTH_DEPTH_SECONDS)[:, 0]
    place = smooth(place, fps, _SMOOTH_SECONDS)
    translation = (place - place[0]) @ head[0]
    return rotation - rotation[0], translation


def smooth(
    curves: Float64[np.ndarray, " T *values"], fps: float, seconds: float, order: int = 2
) -> Float64[np.ndarray, " T *values"]:
    """Savitzky-Golay filter over about `seconds`: zero phase, peaks nearly preserved."""
    length = round(seconds * fps) // 2 * 2 + 1
    length = min(length, (len(curves) - 1) // 2 * 2 + 1)
    if length <= order:
        return curves
    return np.asarray(savgol_filter(curves, length, order, axis=0, mode="interp"))
