# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in the one texture: the skin's islands above, a strip of painted tiles below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Value = TypeVar("Value", np.float32, np.uint8)

SIDE = 2048
# Pixels around everything that repeat its border, so that smaller copies of the texture do not
# mix neighbours.
PADDING = 8
STRIP = 480
# How much wider the front is than the sides of the head's map; the back is narrower by as much.
FRONT_WIDENED = 0.6


@dataclass(frozen=True)
class Tile:
    """A rectangle of the texture in pixels, from its upper left corner."""

    left: int
    top: int
    width: int
    height: int

    @property
    def inner_width(self) -> int:
        """Width without the padding, pixels."""
        return self.width - 2 * PADDING

    @property
    def inner_height(self) -> int:
        """Height without the padding, pixels."""
        return self.height - 2 * PADDING

    def uv(self, across: Floats, up: Floats) -> Floats:
        """Texture coordinates [...,2] of points of the tile, both 0..1, `up` from its bottom."""
        x = self.left + PADDING + np.clip(across, 0, 1) * self.inner_width
        y = self.top + PADDING + (1.0 - np.clip(up, 0, 1)) * self.inner_height
        return np.stack([x / SIDE, 1.0 - y / SIDE], axis=-1)

    def view(self, texture: NDArray[Value]) -> NDArray[Value]:
        """The tile's pixels inside a texture [SIDE,SIDE,...]."""
        return texture[self.top : self.top + self.height, self.left : self.left + self.width]

    def paste(self, texture: Pixels, pixels: Pixels) -> None:
        """Put a picture of any size into the tile and repeat its border around it."""
        inner = cv2.resize(pixels, (self.inner_width, self.inner_height),
                           interpolation=cv2.INTER_AREA)  # fmt: skip
        self.view(texture)[:] = cv2.copyMakeBorder(
            inner, PADDING, PADDING, PADDING, PADDING, cv2.BORDER_REPLICATE
        )


_TOP = SIDE - STRIP
# The skin: once round the head, the neck under it, the top of the skull, below the skull, ears.
HEAD = Tile(0, 0, SIDE, 1304)
NECK = Tile(0, 1304, SIDE, _TOP - 1304)
CROWN = Tile(0, _TOP, STRIP, STRIP)
RIGHT_EAR = Tile(480, _TOP, 304, 368)
LEFT_EAR = Tile(784, _TOP, 304, 368)
BELOW = Tile(480, _TOP + 368, 112, 112)

# What is painted, by the names that the parts give.
PAINTED = {
    "right_eye": Tile(1088, _TOP, 320, 320),
    "left_eye": Tile(1408, _TOP, 320, 320),
    "upper_teeth": Tile(1088, _TOP + 320, 320, 160),
    "lower_teeth": Tile(1408, _TOP + 320, 320, 160),
    "tongue": Tile(1728, _TOP, 320, 320),
    "mouth": Tile(1728, _TOP + 320, 320, 160),
}


def around_head(azimuth: Floats) -> Floats:
    """Place across the head's map, 0 in front and -0.5..0.5 once round; may go on beyond that.

    `azimuth` is in radians, 0 in front, + to the character's left.
    """
    return np.asarray((azimuth + FRONT_WIDENED * np.sin(azimuth)) / (2 * np.pi))
