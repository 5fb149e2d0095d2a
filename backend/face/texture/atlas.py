# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout of the texture: the skin's islands above, a strip of painted tiles below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import NDArray

Picture = TypeVar("Picture", NDArray[np.float32], NDArray[np.uint8])

SIDE = 2048
# Pixels around each tile that repeat its border, so that neighbours do not mix in mipmaps.
PADDING = 8
STRIP = 480
# How much wider the front is mapped than the sides; the back is narrower by as much.
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

    def uv(
        self, across: Float64[np.ndarray, "*batch"], up: Float64[np.ndarray, "*batch"]
    ) -> Float64[np.ndarray, "*batch 2"]:
        """Texture coordinates of points in the tile's unit square, `up` from its bottom."""
        x = self.left + PADDING + np.clip(across, 0, 1) * self.inner_width
        y = self.top + PADDING + (1.0 - np.clip(up, 0, 1)) * self.inner_height
        return np.stack([x / SIDE, 1.0 - y / SIDE], axis=-1)

    def view(self, texture: Picture) -> Picture:
        """The tile's pixels inside a texture [SIDE,SIDE,...]."""
        return texture[self.top : self.top + self.height, self.left : self.left + self.width]

    def paste(
        self, texture: UInt8[np.ndarray, "side side 3"], pixels: UInt8[np.ndarray, "H W 3"]
    ) -> None:
        """Draw a picture of any size into the tile and repeat its border around it."""
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

# The painted tiles, by the parts' names for them.
PAINTED = {
    "right_eye": Tile(1088, _TOP, 320, 320),
    "left_eye": Tile(1408, _TOP, 320, 320),
    "upper_teeth": Tile(1088, _TOP + 320, 320, 160),
    "lower_teeth": Tile(1408, _TOP + 320, 320, 160),
    "tongue": Tile(1728, _TOP, 320, 320),
    "mouth": Tile(1728, _TOP + 320, 320, 160),
}


def around_head(azimuth: Float64[np.ndarray, "*batch"]) -> Float64[np.ndarray, "*batch"]:
    """Horizontal position in the head's map: 0 in front, -0.5..0.5 for a full turn, or beyond.

    `azimuth` is in radians, 0 in front, + to the character's left.
    """
    return np.asarray((azimuth + FRONT_WIDENED * np.sin(azimuth)) / (2 * np.pi))
