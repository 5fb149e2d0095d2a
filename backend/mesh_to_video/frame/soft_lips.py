# SPDX-License-Identifier: GPL-3.0-or-later
"""Lips that are away from where the photo shows them are drawn a little softer.

A camera's exposure softens lips in speech, and how a mesh moves them is right to about that much
only: an edge that is sharp beside its place looks worse than one that is soft. Lips at rest stay
as the photo shows them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.face.topology import LIP_LANDMARKS, OUTER_LIP_LOWER, OUTER_LIP_UPPER

from .portrait import Portrait
from .surroundings import Surroundings
from .view import View

Singles = NDArray[np.float32]

LIPS = list(LIP_LANDMARKS)
OUTLINE = [*OUTER_LIP_UPPER, *OUTER_LIP_LOWER[::-1]]
# Width of the blur: this share of how far the lips are from where bone alone would bring them, but
# never more than this share of the face's height, nor than so many pixels of the video.
SHARE, MOST, MOST_PIXELS = 0.5, 0.007, 1.0
# Around the lips it is whole up to the first distance and gone from the second on, in heights of
# the face.
WHOLE, GONE = 0.1, 0.2
# A narrower blur changes nothing; pixels.
LEAST = 0.2


class Softness(NamedTuple):
    """A blur of `width` pixels where `mask` [h,w] is 1, with its corner at `left`, `top`."""

    left: int
    top: int
    width: float
    mask: Singles


class SoftLips:
    """Softens the lips of a portrait's frames in one view."""

    def __init__(self, portrait: Portrait, view: View, surroundings: Surroundings) -> None:
        self._view, self._surroundings = view, surroundings
        self._source = portrait.source[LIPS]
        tall = portrait.face_height * view.scale
        self._most = min(MOST * tall, MOST_PIXELS)
        self._whole, self._gone = WHOLE * tall, GONE * tall

    def of(self, vertices: Singles) -> Softness | None:
        """How soft the driven head [V,3], in the photo's pixels, is drawn; None for not at all."""
        by_bone = self._surroundings.head_motion(vertices).apply(self._source)
        away = np.linalg.norm(vertices[LIPS] - by_bone, axis=1).mean() * self._view.scale
        width = min(SHARE * float(away), self._most)
        if width < LEAST:
            return None
        outline = self._view.points(vertices[OUTLINE])[:, :2]
        border = int(np.ceil(self._gone)) + 1
        low = np.floor(outline.min(axis=0)).astype(int) - border
        high = np.ceil(outline.max(axis=0)).astype(int) + border
        left, top = (int(value) for value in np.maximum(low, 0))
        right, bottom = min(high[0], self._view.width), min(high[1], self._view.height)
        if right - left < 2 or bottom - top < 2:
            return None
        beside = np.ones((bottom - top, right - left), np.uint8)
        corners = np.round(outline - (left, top) - 0.5).astype(np.int32)
        cv2.fillPoly(beside, [corners], 0)
        far = cv2.distanceTransform(beside, cv2.DIST_L2, cv2.DIST_MASK_5)
        share = np.clip((self._gone - far) / (self._gone - self._whole), 0, 1)
        return Softness(left, top, width, np.asarray(share * share * (3 - 2 * share), np.float32))

    def soften(self, colour: Singles, vertices: Singles) -> None:
        """Blur the lips of a frame [H,W,3] of the driven head; changes it."""
        softness = self.of(vertices)
        if softness is None:
            return
        height, width = softness.mask.shape
        part = colour[softness.top : softness.top + height, softness.left : softness.left + width]
        blurred = cv2.GaussianBlur(part, (0, 0), softness.width, borderType=cv2.BORDER_REFLECT_101)
        part += softness.mask[..., None] * (blurred - part)
