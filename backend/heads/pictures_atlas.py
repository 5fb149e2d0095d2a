# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the pictures of all materials into one, because a FaceMesh has a single texture."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float64, Int, UInt8

from backend.mesh_files import Material

MOST = 4096
FLAT = 16  # side of a material without a picture
_GAP = 2


def pack(
    materials: tuple[Material, ...],
    uvs: Float[np.ndarray, "F 3 2"],
    material: Int[np.ndarray, " F"],
) -> tuple[UInt8[np.ndarray, "S S 3"], Float64[np.ndarray, "F 3 2"]]:
    """The packed picture, and the texture coordinates in it.

    `uvs` are the coordinates in the materials' own pictures, `material` is given per triangle.
    """
    pictures = [
        np.full((FLAT, FLAT, 3), np.round(np.array(entry.colour) * 255), np.uint8)
        if entry.picture is None
        else entry.picture
        for entry in materials
    ]
    scale = 1.0
    while True:
        sizes = [_size(picture, scale) for picture in pictures]
        places, side = _shelves(sizes)
        if side <= MOST:
            break
        scale *= 0.84
    atlas = np.zeros((side, side, 3), np.uint8)
    placed = np.zeros((len(uvs), 3, 2))
    for number, (picture, (x, y), (height, width)) in enumerate(
        zip(pictures, places, sizes, strict=True)
    ):
        fitted = picture
        if picture.shape[:2] != (height, width):
            fitted = np.asarray(
                cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
        atlas[y : y + height, x : x + width] = fitted
        chosen = material == number
        # A repeating picture is stored once, starting at the tile in which the triangle begins.
        own = uvs[chosen] - np.floor(uvs[chosen].min(axis=1, keepdims=True) + 1e-6)
        own = np.clip(own, 0.0, 1.0)
        placed[chosen, :, 0] = (x + 0.5 + own[..., 0] * (width - 1)) / side
        placed[chosen, :, 1] = 1.0 - (y + 0.5 + (1.0 - own[..., 1]) * (height - 1)) / side
    return atlas, placed


def _size(picture: UInt8[np.ndarray, "H W 3"], scale: float) -> tuple[int, int]:
    height, width = picture.shape[:2]
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shelves(sizes: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], int]:
    """Shelf packing: upper left corners (x, y) of rectangles, and the side of the square."""
    area = sum((height + _GAP) * (width + _GAP) for height, width in sizes)
    across = max(max(width for _, width in sizes) + _GAP, int(np.ceil(np.sqrt(area))))
    places: dict[int, tuple[int, int]] = {}
    x = y = shelf = 0
    for number in sorted(range(len(sizes)), key=lambda n: -sizes[n][0]):
        height, width = sizes[number]
        if x + width > across:
            x, y, shelf = 0, y + shelf, 0
        places[number] = (x, y)
        x, shelf = x + width + _GAP, max(shelf, height + _GAP)
    side = max(across, y + shelf)
    return [places[number] for number in range(len(sizes))], side
