# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the photo that the texture is baked from: a crop around the head, and a mask."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import NDArray

from shared.landmarks import FACE_OVAL, TRACKED_COUNT

from ..landmarks import quiet_native_log
from ..mediapipe_solutions import load_solution
from ..neutral import NeutralFace
from ..pose import Similarity

# Margins of the crop around the face, in heights of the face: above, below, beside.
ABOVE, BELOW, BESIDE = 0.62, 0.75, 0.95
# The height of the face in the crop, pixels: larger photos are averaged, small ones enlarged.
FACE_PIXELS = (500.0, 1000.0)
# Side of the segmentation network's input, pixels.
MASK_SIDE = 256

NO_POSE = Similarity(1.0, np.eye(3), np.zeros(3))

_lock = threading.Lock()
_segmenter: Any = None


@dataclass(frozen=True, eq=False)
class PhotoCrop:
    """A crop of the photo around the head.

    person     0..1, where the person is; 0 outside the photo
    points     the landmarks in the crop, pixels right and down
    skin       typical colour of the skin, 0..255
    to_photo   from the head's frame (metres) to the crop: x right, y away, z up in its pixels
    aligned    the tracked points in the head's frame, with the photo's expression
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    person: Float64[np.ndarray, "H W"]
    points: Float64[np.ndarray, "478 2"]
    skin: Float64[np.ndarray, " 3"]
    to_photo: Similarity = NO_POSE
    aligned: Float64[np.ndarray, "478 3"] = field(
        default_factory=lambda: np.zeros((TRACKED_COUNT, 3))
    )


def crop_photo(
    photo: UInt8[np.ndarray, "H W 3"], landmarks: Float64[np.ndarray, "478 3"], neutral: NeutralFace
) -> PhotoCrop:
    """Crop a photo around the tracked `landmarks`."""
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
    photo: NDArray[np.uint8], corner: NDArray[np.float64], scale: float, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A rectangle of the photo enlarged by `scale`, and where it lies within the photo."""
    kernel = cv2.INTER_CUBIC
    if scale < 1.0:
        # Averaged first; otherwise single pixels of a large photo would be sampled.
        if scale < 0.8:
            photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 0.45 / scale), np.uint8)
        kernel = cv2.INTER_LINEAR
    half = 0.5 * scale - 0.5
    move = np.array([(scale, 0, half - corner[0] * scale), (0, scale, half - corner[1] * scale)])
    pixels = cv2.warpAffine(photo, move, size, flags=kernel, borderMode=cv2.BORDER_REPLICATE)
    there = cv2.warpAffine(np.ones(photo.shape[:2], np.uint8), move, size, flags=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), there.astype(np.float64)


def person_mask(pixels: UInt8[np.ndarray, "H W 3"]) -> Float64[np.ndarray, "H W"]:
    """Soft mask of the person, 0..1; all ones if the model gives none."""
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


def _inside_outline(points: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 inside the landmark outline, 0 outside."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points[list(FACE_OVAL)]).astype(np.int32)], 1)
    return mask.astype(np.float64)


def skin_colour(
    pixels: UInt8[np.ndarray, "H W 3"], points: Float64[np.ndarray, "478 2"]
) -> Float64[np.ndarray, " 3"]:
    """Median colour of forehead and cheeks, 0..255."""
    around = [9, 151, 108, 337, 50, 280, 205, 425, 101, 330]
    height, width = pixels.shape[:2]
    patches = []
    for x, y in points[around]:
        column, row = int(np.clip(x, 4, width - 5)), int(np.clip(y, 4, height - 5))
        patches.append(pixels[row - 4 : row + 5, column - 4 : column + 5].reshape(-1, 3))
    return np.asarray(np.median(np.concatenate(patches), axis=0))
