# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions of a picture from its landmarks: face, mouth, background and rigid skin.

Landmarks (478, or the first 468 of them) are in pixels: right, down, away from the camera.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float64

from shared.landmarks import CHIN, FACE_OVAL, OUTER_EYE_CORNERS, OUTER_LIP_LOWER, OUTER_LIP_UPPER

Size = tuple[int, int]

# The oval of landmarks runs inside the outline of the face, where a seam would be.
_FACE_GROWN = 1.12
_MOUTH_GROWN = 1.6
# The box of closed lips is flat, but the chin below moves with them: the least height per width.
_FLATTEST_MOUTH = 0.6
# Hair and ears lie within the oval enlarged by this factor; the rest is background.
_HEAD_GROWN = 1.9
# Skin over bone that speech hardly moves: forehead, bridge of the nose, cheekbones.
_RIGID_PATCHES = (
    (109, 338, 337, 336, 9, 107, 108),
    (168, 351, 412, 399, 248, 195, 3, 174, 188, 122),
    (116, 117, 118, 123),
    (345, 346, 347, 352),
)


def face_region(landmarks: Float64[np.ndarray, "L 3"], size: Size) -> Bool[np.ndarray, "H W"]:
    """The oval of the face, slightly enlarged; `size` is (height, width)."""
    return _filled(_grown(landmarks[list(FACE_OVAL), :2], _FACE_GROWN), size)


def mouth_region(landmarks: Float64[np.ndarray, "L 3"], size: Size) -> Bool[np.ndarray, "H W"]:
    """The box of the lips, enlarged about its centre."""
    lips = landmarks[[*OUTER_LIP_UPPER, *OUTER_LIP_LOWER], :2]
    low, high = lips.min(axis=0), lips.max(axis=0)
    half = _MOUTH_GROWN * (high - low) / 2
    half[1] = max(half[1], _FLATTEST_MOUTH * half[0])
    middle = (low + high) / 2
    region = np.zeros(size, np.bool_)
    region[box(np.stack([middle - half, middle + half]), size)] = True
    return region


def face_box(landmarks: Float64[np.ndarray, "L 3"], size: Size) -> tuple[slice, slice]:
    """Rows and columns of the face."""
    return box(_grown(landmarks[list(FACE_OVAL), :2], _FACE_GROWN), size)


def background_region(
    landmarks: Float64[np.ndarray, "T L 3"], size: Size
) -> Bool[np.ndarray, "H W"]:
    """The picture beside and above the head, away from where it is in any of the frames.

    Nothing below the chin belongs to it: shoulders move. It may be empty.
    """
    region = np.ones(size, np.bool_)
    for face in landmarks:
        oval = face[list(FACE_OVAL), :2]
        region &= ~_filled(_grown(oval, _HEAD_GROWN), size)
    lowest = int(np.clip(landmarks[:, CHIN, 1].min(), 0, size[0]))
    region[lowest:] = False
    return region


def rigid_region(landmarks: Float64[np.ndarray, "L 3"], size: Size) -> Bool[np.ndarray, "H W"]:
    """Skin over bone that speech hardly moves."""
    region = np.zeros(size, np.bool_)
    for patch in _RIGID_PATCHES:
        region |= _filled(landmarks[list(patch), :2], size)
    return region


def in_plane_fit(
    landmarks: Float64[np.ndarray, "N 3"],
    target: Float64[np.ndarray, "L 3"],
    rigidity: Float64[np.ndarray, " V"],
) -> Float64[np.ndarray, "2 3"]:
    """The rotation, scale and shift in the picture that move rigid landmarks onto `target`."""
    share = rigidity[: len(target)] / rigidity[: len(target)].sum()
    source, wanted = landmarks[: len(target), :2], target[:, :2]
    centre, goal = share @ source, share @ wanted
    away, there = source - centre, wanted - goal
    # Complex numbers: rotation and scale in one factor.
    one, two = away @ (1, 1j), there @ (1, 1j)
    factor = (share * np.conj(one) * two).sum() / (share * np.abs(one) ** 2).sum()
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([turn, (goal - turn @ centre)[:, None]], axis=1)


def face_width(landmarks: Float64[np.ndarray, "L 3"]) -> float:
    """Distance between the outer eye corners in the picture, pixels."""
    right, left = OUTER_EYE_CORNERS
    return float(np.hypot(*(landmarks[left, :2] - landmarks[right, :2])))


def box(points: Float64[np.ndarray, "N 2"], size: Size) -> tuple[slice, slice]:
    """Rows and columns around points (x, y), inside the picture."""
    low = np.floor(points.min(axis=0)).astype(int)
    high = np.ceil(points.max(axis=0)).astype(int)
    height, width = size
    top, bottom = np.clip((low[1], high[1]), 0, height)
    left, right = np.clip((low[0], high[0]), 0, width)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _grown(points: Float64[np.ndarray, "N 2"], factor: float) -> Float64[np.ndarray, "N 2"]:
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return np.asarray(middle + factor * (points - middle))


def _filled(points: Float64[np.ndarray, "N 2"], size: Size) -> Bool[np.ndarray, "H W"]:
    """The inside of the points' convex hull; pixel centres are at +0.5."""
    hull = cv2.convexHull((points - 0.5).astype(np.float32))
    picture = np.zeros(size, np.uint8)
    cv2.fillConvexPoly(picture, np.round(hull).astype(np.int32), 1)
    return np.asarray(picture > 0)
