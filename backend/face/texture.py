# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture: the photo turned upright around the face, what lies behind it painted over."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from . import atlas
from .landmarks import quiet_native_log
from .layout import frontal_layout, warp_photo, with_hidden_side
from .topology import FACE_OVAL

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_lock = threading.Lock()
_segmenter: Any = None


@dataclass(frozen=True, eq=False)
class PhotoCrop:
    """The photo's part of the texture.

    pixels     uint8 [1024,832,3], background replaced by the nearest hair, skin or cloth
    person     float [1024,832] 0..1: where the person was
    points     [478,2] the landmarks in it, pixels right and down
    skin       [3] typical colour of the skin
    """

    pixels: Pixels
    person: Floats
    points: Floats
    skin: Floats


def crop_photo(photo: Pixels, landmarks: Floats, aligned: Floats) -> PhotoCrop:
    """Bring a photo into the texture's layout and clean the surroundings of the face.

    `landmarks` [478,3] in pixels of the photo, `aligned` [478,3] the same without the head's
    pose, in metres.
    """
    points = frontal_layout(aligned)
    cut = warp_photo(photo, landmarks, points)
    person = np.maximum(person_mask(cut), _inside_outline(points, grow=1.0))
    cut = with_hidden_side(cut, points, landmarks)
    skin = skin_colour(cut, points)
    cut = _without_background(cut, person)
    return PhotoCrop(_with_neck(cut, points, skin), person, points, skin)


def person_mask(pixels: Pixels) -> Floats:
    """Soft mask of the person, float [H,W]; all ones where the model is not there."""
    global _segmenter
    with _lock, quiet_native_log() if _segmenter is None else nullcontext():
        if _segmenter is None:
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

            _segmenter = SelfieSegmentation(model_selection=0)
        mask = _segmenter.process(pixels).segmentation_mask
    if mask is None:
        return np.ones(pixels.shape[:2])
    return np.asarray(mask, np.float64)


def _inside_outline(points: Floats, grow: float) -> Floats:
    """1 inside the landmark outline, 0 outside."""
    outline = points[list(FACE_OVAL)]
    centre = outline.mean(axis=0)
    polygon = np.round(centre + (outline - centre) * grow).astype(np.int32)
    mask = np.zeros((atlas.SIDE, atlas.PHOTO_WIDTH), np.uint8)
    cv2.fillPoly(mask, [polygon], 1)
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


def _without_background(pixels: Pixels, person: Floats) -> Pixels:
    """Replace the background by the nearest pixels of the person, smeared softly outward."""
    step = 4
    small = cv2.resize(pixels, (atlas.PHOTO_WIDTH // step, atlas.SIDE // step),
                       interpolation=cv2.INTER_AREA).astype(np.float32)  # fmt: skip
    inside = cv2.resize(person, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    # A little inside the border, where no background shines through the hair.
    sure = cv2.erode((inside > 0.8).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not sure.any():
        return pixels
    rows, columns = distance_transform_edt(~sure, return_distances=False, return_indices=True)
    filled = small[rows, columns]
    smooth = np.stack([gaussian_filter(filled[..., c], 3.0) for c in range(3)], axis=-1)
    filled = np.where(sure[..., None], filled, smooth)
    large = cv2.resize(filled, (atlas.PHOTO_WIDTH, atlas.SIDE), interpolation=cv2.INTER_LINEAR)
    keep = cv2.resize(gaussian_filter(sure.astype(np.float32), 1.2), large.shape[1::-1],
                      interpolation=cv2.INTER_LINEAR)  # fmt: skip
    keep = np.clip(keep, 0, 1)[..., None]
    return np.asarray(large + keep * (pixels - large) + 0.5, np.uint8)


def _with_neck(pixels: Pixels, points: Floats, skin: Floats) -> Pixels:
    """Below the jaw fade collars and beards' ends into the skin's colour, a little darker."""
    height, width = pixels.shape[:2]
    jaw = points[[234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365,
                  397, 288, 361, 323, 454]]  # fmt: skip
    order = np.argsort(jaw[:, 0])
    line = np.interp(np.arange(width), jaw[order, 0], jaw[order, 1])
    face_height = float(points[152, 1] - points[10, 1])
    # Only the rows below the ears can change.
    top = int(np.clip(line.min(), 0, height - 1))
    below = (np.arange(top, height, dtype=np.float32)[:, None] - line[None]) / max(face_height, 1.0)
    # Beside the face there is hair, not neck.
    middle, half = points[152, 0], (points[454, 0] - points[234, 0]) / 2
    beside = np.clip((np.abs(np.arange(width) - middle) / max(half, 1.0) - 0.55) / 0.3, 0, 1)
    share = np.clip((below - 0.03) / 0.12, 0, 1)
    share = share * share * (3 - 2 * share) * (1.0 - beside * beside * (3 - 2 * beside))[None]
    share = share.astype(np.float32)[..., None]
    shade = (0.90 - 0.10 * np.clip(below, 0, 1)).astype(np.float32)[..., None]
    result = pixels.copy()
    mixed = pixels[top:] * (1 - share) + skin.astype(np.float32) * shade * share
    result[top:] = (mixed + 0.5).astype(np.uint8)
    return result


def build_texture(crop: PhotoCrop | None, tiles: dict[atlas.Tile, Pixels]) -> Pixels:
    """Photo and painted tiles in one picture uint8 [1024,1024,3]."""
    texture = np.full((atlas.SIDE, atlas.SIDE, 3), 160, np.uint8)
    if crop is not None:
        atlas.PHOTO.view(texture)[:] = crop.pixels
    for tile, pixels in tiles.items():
        tile.view(texture)[:] = pixels
    return texture
