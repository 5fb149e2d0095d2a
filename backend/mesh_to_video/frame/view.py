# SPDX-License-Identifier: GPL-3.0-or-later
"""A rectangle of the photo at a resolution of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """The rectangle whose upper left corner is (left, top) in the photo's pixels.

    scale          its pixels per pixel of the photo
    width, height  in its own pixels
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    def points(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """Points [N,2 or 3] of the photo in this view; depth is scaled too."""
        moved = np.array(points, np.float32)
        moved[:, 0] -= self.left
        moved[:, 1] -= self.top
        return moved * np.float32(self.scale)

    def cut(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The photo, or anything that lies over it [H,W,...], as this view shows it."""
        kernel = cv2.INTER_LINEAR if self.scale <= 1.0 else cv2.INTER_CUBIC
        if self.scale < 0.8:
            # Averaged first, or single pixels of a large photo would be picked.
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

    def into(self, picture: NDArray[Any], other: View) -> NDArray[Any]:
        """A picture [H,W,...] of this view as `other` shows it, 0 where this one ends."""
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
