# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo as the texture is baked from it: a piece around the head, and where the person is."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.landmarks import FACE_OVAL, TRACKED_COUNT

from ..landmarks import quiet_native_log
from ..mediapipe_solutions import load_solution
from ..neutral import NeutralFace
from ..pose import Similarity

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

# What of the photo is kept around the face, in heights of the face: above, below, beside.
ABOVE, BELOW, BESIDE = 0.62, 0.75, 0.95
# The height of the face in the piece, pixels: larger photos are averaged, small ones enlarged.
FACE_PIXELS = (500.0, 1000.0)
# The segmentation network looks at so many pixels.
MASK_SIDE = 256

NO_POSE = Similarity(1.0, np.eye(3), np.zeros(3))

_lock = threading.Lock()
_segmenter: Any = None


@dataclass(frozen=True, eq=False)
class PhotoCrop:
    """A piece of the photo around the head.

    pixels     uint8 [H,W,3]
    person     float [H,W] 0..1: where the person is; 0 outside the photo
    points     [478,2] the landmarks in it, pixels right and down
    skin       [3] typical colour of the skin
    to_photo   from the head's frame (metres) to the piece: x right, y away, z up in its pixels
    aligned    [478,3] the tracked points in the head's frame, with the photo's expression
    """

    pixels: Pixels
    person: Floats
    points: Floats
    skin: Floats
    to_photo: Similarity = NO_POSE
    aligned: Floats = field(default_factory=lambda: np.zeros((TRACKED_COUNT, 3)))


def crop_photo(photo: Pixels, landmarks: Floats, neutral: NeutralFace) -> PhotoCrop:
    """The piece of a photo uint8 [H,W,3] around the tracked `landmarks` [478,3]."""
    outline = landmarks[list(FACE_OVAL), :2]
    low, high = outline.min(axis=0), outline.max(axis=0)
    height = max(high[1] - low[1], 1.1 * (high[0] - low[0]))
    scale = float(np.clip(height, *FACE_PIXELS) / height)
    centre = (low[0] + high[0]) / 2
    left, right = centre - BESIDE * height, centre + BESIDE * height
    top, bottom = low[1] - ABOVE * height, high[1] + BELOW * height
    size = (round((right - left) * scale), round((bottom - top) * scale))
    corner = np.array((left, top))
    pixels, there = _cut_out(photo, corner, scale, size)
    points = (landmarks[:, :2] - corner) * scale
    person = np.maximum(person_mask(pixels), _inside_outline(points, pixels.shape))
    to_axes = neutral.to_head.inverse()
    # Our z is up and a picture's rows run down.
    shift = (to_axes.shift - (corner[0], 0.0, -corner[1])) * scale
    to_photo = Similarity(to_axes.scale * scale, to_axes.rotation, shift)
    return PhotoCrop(
        pixels, person * there, points, skin_colour(pixels, points), to_photo, neutral.aligned
    )


def _cut_out(
    photo: Pixels, corner: Floats, scale: float, size: tuple[int, int]
) -> tuple[Pixels, Floats]:
    """A rectangle of the photo enlarged by `scale`, and where it lies within the photo."""
    kernel = cv2.INTER_CUBIC
    if scale < 1.0:
        # Averaged first, or single pixels of a large photo would be picked.
        if scale < 0.8:
            photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 0.45 / scale), np.uint8)
        kernel = cv2.INTER_LINEAR
    half = 0.5 * scale - 0.5
    move = np.array([(scale, 0, half - corner[0] * scale), (0, scale, half - corner[1] * scale)])
    pixels = cv2.warpAffine(photo, move, size, flags=kernel, borderMode=cv2.BORDER_REPLICATE)
    there = cv2.warpAffine(np.ones(photo.shape[:2], np.uint8), move, size, flags=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), there.astype(np.float64)


def person_mask(pixels: Pixels) -> Floats:
    """Soft mask of the person, float [H,W]; all ones where the model is not there."""
    global _segmenter
    with _lock, quiet_native_log() if _segmenter is None else nullcontext():
        if _segmenter is None:
            segmentation = load_solution("selfie_segmentation", "SelfieSegmentation")
            _segmenter = segmentation(model_selection=0)
        small = cv2.resize(pixels, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
        mask = _segmenter.process(small).segmentation_mask
    height, width = pixels.shape[:2]
    if mask is None:
        return np.ones((height, width))
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float64)


def _inside_outline(points: Floats, shape: tuple[int, ...]) -> Floats:
    """1 inside the landmark outline, 0 outside."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(FACE_OVAL)]).astype(np.int32)], 1)
    return mask.astype(np.float64)


def skin_colour(pixels: Pixels, points: Floats) -> Floats:
    """Median colour of forehead and cheeks, [3] 0..255."""
    around = [9, 151, 108, 337, 50, 280, 205, 425, 101, 330]
    height, width = pixels.shape[:2]
    patches = []
    for x, y in points[around]:
        column, row = int(np.clip(x, 4, width - 5)), int(np.clip(y, 4, height - 5))
        patches.append(pixels[row - 4 : row + 5, column - 4 : column + 5].reshape(-1, 3))
    return np.asarray(np.median(np.concatenate(patches), axis=0))
