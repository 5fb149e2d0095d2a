# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame of the video, whole: the person in motion over their background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .photo_warp import PhotoWarp
from .portrait import Portrait
from .settings import RenderSettings
from .surroundings import Surroundings
from .view import View

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GREEN = (0, 177, 64)
# How much "blur" blurs the background, as a share of the picture's longer side.
BLUR = 0.025


class FrameRenderer:
    """Renders frames of a portrait; every frame is made from its own vertices alone."""

    def __init__(self, portrait: Portrait, settings: RenderSettings) -> None:
        height, width = portrait.pixels.shape[:2]
        longest = max(height, width)
        wanted = settings.size or longest
        self._scale = min(1.0, wanted / longest)
        self.size = (max(2, round(width * self._scale)), max(2, round(height * self._scale)))
        self._alpha = settings.background == "alpha"
        around = Surroundings(portrait)
        whole = View(0.0, 0.0, self._scale, *self.size)
        self._still, self._behind = _still_picture(portrait, whole, settings.background)
        self._box = _pixel_box(around.box, self._scale, self.size)
        left, top, right, bottom = self._box
        view = View(left / self._scale, top / self._scale, self._scale, right - left, bottom - top)
        self._warp = PhotoWarp(portrait, view, around, settings.parts)

    def frame(self, vertices: Singles) -> Pixels:
        """The picture uint8 [H,W,3] (4 with alpha) of the driven head [V,3]."""
        layers = self._warp.draw(vertices)
        left, top, right, bottom = self._box
        picture = self._still.copy()
        box = picture[top:bottom, left:right]
        if self._alpha:
            alpha = layers.alpha[..., None]
            straight = layers.colour / np.maximum(alpha, 1 / 255)
            box[..., :3] = np.clip(straight + 0.5, 0, 255)
            box[..., 3] = layers.alpha * 255 + 0.5
        else:
            behind = self._behind[top:bottom, left:right]
            mixed = layers.colour + (1 - layers.alpha[..., None]) * behind
            box[:] = np.clip(mixed + 0.5, 0, 255)
        return picture


def _still_picture(portrait: Portrait, view: View, background: str) -> tuple[Pixels, Singles]:
    """The whole picture while nothing moves, and what is behind the person [H,W,3]."""
    photo = np.asarray(view.cut(portrait.pixels), np.float32)
    plate = np.asarray(view.cut(portrait.plate), np.float32)
    alpha = np.clip(view.cut(portrait.person), 0, 1)[..., None]
    layer = photo - (1 - alpha) * plate
    if background == "alpha":
        straight = np.clip(layer / np.maximum(alpha, 1 / 255) + 0.5, 0, 255)
        return np.dstack([straight, alpha * 255 + 0.5]).astype(np.uint8), plate
    if background == "green":
        plate = np.broadcast_to(np.array(GREEN, np.float32), plate.shape)
    elif background == "blur":
        plate = cv2.GaussianBlur(plate, (0, 0), BLUR * max(plate.shape))
    still = np.clip(layer + (1 - alpha) * plate + 0.5, 0, 255)
    return still.astype(np.uint8), np.ascontiguousarray(plate)


def _pixel_box(
    box: tuple[float, float, float, float], scale: float, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Whole pixels of the video around a box of the photo, within the picture."""
    left, top = (max(0, int(np.floor(value * scale))) for value in box[:2])
    right = min(size[0], int(np.ceil(box[2] * scale)))
    bottom = min(size[1], int(np.ceil(box[3] * scale)))
    return left, top, right, bottom
