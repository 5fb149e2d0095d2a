# SPDX-License-Identifier: GPL-3.0-or-later
"""Lips are slightly blurred when they move away from where the photo shows them.

A camera's exposure blurs lips in speech, and the mesh moves them with an error of about that size:
a sharp edge in the wrong place looks worse than a soft one. Lips at rest stay as the photo shows
them.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from shared.landmarks import LIP_LANDMARKS, OUTER_LIP_LOWER, OUTER_LIP_UPPER

from .portrait import Portrait
from .surroundings import Surroundings
from .view import View

LIPS = list(LIP_LANDMARKS)
OUTLINE = [*OUTER_LIP_UPPER, *OUTER_LIP_LOWER[::-1]]
# Width of the blur: this share of the lips' distance from where the rigid head alone would put
# them, at most this share of the face's height and this many pixels of the video.
SHARE, MOST, MOST_PIXELS = 0.5, 0.007, 1.0
# The blur has its full strength up to the first distance from the lips and ends at the second, in
# heights of the face.
WHOLE, GONE = 0.1, 0.2
# A narrower blur makes no difference; pixels.
LEAST = 0.2


class Softness(NamedTuple):
    """A blur of `width` pixels where `mask` is 1; the mask's corner is at `left`, `top`."""

    left: int
    top: int
    width: float
    mask: Float32[np.ndarray, "h w"]


class SoftLips:
    """Softens the lips of a portrait's frames in one view."""

    def __init__(self, portrait: Portrait, view: View, surroundings: Surroundings) -> None:
        self._view, self._surroundings = view, surroundings
        self._source = portrait.source[LIPS]
        tall = portrait.face_height * view.scale
        self._most = min(MOST * tall, MOST_PIXELS)
        self._whole, self._gone = WHOLE * tall, GONE * tall

    def of(self, vertices: Float32[np.ndarray, "V 3"]) -> Softness | None:
        """The blur for a driven head, in the photo's pixels; None where it is not needed."""
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

    def soften(
        self, colour: Float32[np.ndarray, "H W 3"], vertices: Float32[np.ndarray, "V 3"]
    ) -> None:
        """Blur the lips of a driven head in a frame, in place."""
        softness = self.of(vertices)
        if softness is None:
            return
        height, width = softness.mask.shape
        part = colour[softness.top : softness.top + height, softness.left : softness.left + width]
        blurred = cv2.GaussianBlur(part, (0, 0), softness.width, borderType=cv2.BORDER_REFLECT_101)
        part += softness.mask[..., None] * (blurred - part)
