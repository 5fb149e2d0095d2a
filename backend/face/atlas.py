# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in the one texture: the photo, and a column of painted tiles beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIDE = 1024
TILE = 192
PHOTO_WIDTH = SIDE - TILE


@dataclass(frozen=True)
class Tile:
    """A rectangle of the texture in pixels, from its upper left corner."""

    left: int
    top: int
    width: int
    height: int

    def uv(self, across: Floats, up: Floats) -> Floats:
        """Texture coordinates [N,2] of points of the tile, both 0..1, `up` from its bottom.

        Half a pixel stays free at the borders, so that neighbours do not bleed in.
        """
        x = self.left + 1.0 + np.clip(across, 0, 1) * (self.width - 2.0)
        y = self.top + 1.0 + (1.0 - np.clip(up, 0, 1)) * (self.height - 2.0)
        return np.stack([x / SIDE, 1.0 - y / SIDE], axis=-1)

    def view(self, texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The tile's pixels inside a texture [SIDE,SIDE,3]."""
        return texture[self.top : self.top + self.height, self.left : self.left + self.width]


PHOTO = Tile(0, 0, PHOTO_WIDTH, SIDE)
RIGHT_EYE = Tile(PHOTO_WIDTH, 0, TILE, TILE)
LEFT_EYE = Tile(PHOTO_WIDTH, TILE, TILE, TILE)
UPPER_TEETH = Tile(PHOTO_WIDTH, 2 * TILE, TILE, TILE // 2)
LOWER_TEETH = Tile(PHOTO_WIDTH, 2 * TILE + TILE // 2, TILE, TILE // 2)
TONGUE = Tile(PHOTO_WIDTH, 3 * TILE, TILE, TILE)
MOUTH = Tile(PHOTO_WIDTH, 4 * TILE, TILE, TILE)
NECK = Tile(PHOTO_WIDTH, 5 * TILE, TILE, SIDE - 5 * TILE)


def photo_uv(pixels: Floats) -> Floats:
    """Texture coordinates [N,2] of pixel positions [N,2] (right, down) in the photo's part."""
    x = np.clip(pixels[:, 0], 1.0, PHOTO_WIDTH - 1.0)
    y = np.clip(pixels[:, 1], 1.0, SIDE - 1.0)
    return np.stack([x / SIDE, 1.0 - y / SIDE], axis=-1)
