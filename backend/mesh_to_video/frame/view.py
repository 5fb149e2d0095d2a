# SPDX-License-Identifier: GPL-3.0-or-later
"""A rectangle of the photo at a resolution of its own."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Num


@dataclass(frozen=True)
class View:
    """A rectangle whose upper left corner is (left, top) in the photo's pixels.

    scale          its pixels per pixel of the photo
    width, height  in its own pixels
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    def points(self, points: Float[np.ndarray, "N dims"]) -> Float32[np.ndarray, "N dims"]:
        """Points (x, y) or (x, y, depth) of the photo in this view; depth is scaled too."""
        moved = np.array(points, np.float32)
        moved[:, 0] -= self.left
        moved[:, 1] -= self.top
        return moved * np.float32(self.scale)

    def cut(self, picture: Num[np.ndarray, "H W *C"]) -> Num[np.ndarray, "h w *C"]:
        """The photo, or anything of the photo's size, as this view shows it."""
        kernel = cv2.INTER_LINEAR if self.scale <= 1.0 else cv2.INTER_CUBIC
        if self.scale < 0.8:
            # Blurred first, to avoid aliasing.
            picture = cv2.GaussianBlur(picture, (0, 0), 0.42 / self.scale)
        half = 0.5 * self.scale - 0.5
        move = np.array(
            [
                (self.scale, 0.0, half - self.left * self.scale),
                (0.0, self.scale, half - self.top * self.scale),
            ]
        )
        return cv2.warpAffine(
            picture, move, (self.width, self.height), flags=kernel, borderMode=cv2.BORDER_REPLICATE
        )

    def into(self, picture: Num[np.ndarray, "H W *C"], other: View) -> Num[np.ndarray, "h w *C"]:
        """A picture of this view as `other` shows it, 0 outside this view."""
        scale = other.scale / self.scale
        shift_x = (self.left - other.left) * other.scale
        shift_y = (self.top - other.top) * other.scale
        half = 0.5 * scale - 0.5
        move = np.array([(scale, 0.0, half + shift_x), (0.0, scale, half + shift_y)])
        if scale < 0.8:
            picture = cv2.GaussianBlur(picture, (0, 0), 0.42 / scale)
        return cv2.warpAffine(
            picture, move, (other.width, other.height), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )  # fmt: skip
