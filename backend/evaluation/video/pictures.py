# SPDX-License-Identifier: GPL-3.0-or-later
"""How alike two pictures are within a region: PSNR, SSIM and the error of their gradients.

Pictures are uint8 [H,W,3] of one size, regions bool [H,W].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Grey = NDArray[np.float32]
Region = NDArray[np.bool_]

# Equal pictures would have an endless PSNR; a mean needs a number.
HIGHEST_PSNR = 100.0
_BT601 = np.array((0.299, 0.587, 0.114), np.float32)
# Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
# structural similarity", 2004: window and constants as published, for levels 0..255.
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


@dataclass(frozen=True)
class Likeness:
    """psnr [dB, higher is better], ssim [-1..1, higher is better], gradient: mean absolute
    difference of the luminance's slopes [levels per pixel, lower is better].
    """

    psnr: float
    ssim: float
    gradient: float


def luminance(pixels: Pixels) -> Grey:
    """Levels 0..255 [H,W] of a picture, weights of BT.601."""
    return np.asarray(pixels[..., :3].astype(np.float32) @ _BT601)


def psnr(one: Pixels, other: Pixels, region: Region) -> float:
    """Over the three colours, dB; at most `HIGHEST_PSNR`."""
    away = one[region].astype(np.float64) - other[region].astype(np.float64)
    error = float((away**2).mean())
    if error <= 0.0:
        return HIGHEST_PSNR
    return min(10.0 * float(np.log10(255.0**2 / error)), HIGHEST_PSNR)


def similarity_map(one: Grey, other: Grey) -> Grey:
    """SSIM at every pixel [H,W] of two luminances."""

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        window = (_WINDOW, _WINDOW)
        soft = cv2.GaussianBlur(values, window, _SIGMA, borderType=cv2.BORDER_REFLECT)
        return np.asarray(soft, np.float64)

    # Squares of levels need more than single precision where a region is nearly even.
    first, second = one.astype(np.float64), other.astype(np.float64)
    mean, mean_other = blurred(first), blurred(second)
    variance = np.maximum(blurred(first**2) - mean**2, 0.0)
    variance_other = np.maximum(blurred(second**2) - mean_other**2, 0.0)
    together = blurred(first * second) - mean * mean_other
    above = (2.0 * mean * mean_other + _C1) * (2.0 * together + _C2)
    below = (mean**2 + mean_other**2 + _C1) * (variance + variance_other + _C2)
    return np.asarray(above / below, np.float32)


def slopes(grey: Grey) -> Grey:
    """Central differences [H,W,2] of a luminance along x and y, levels per pixel."""
    down, right = np.gradient(grey)
    return np.stack([right, down], axis=2)


def gradient_map(one: Grey, other: Grey) -> Grey:
    """Absolute difference of the slopes at every pixel [H,W], mean of both directions."""
    return np.asarray(np.abs(slopes(one) - slopes(other)).mean(axis=2))


def likeness(one: Pixels, other: Pixels, regions: dict[str, Region]) -> dict[str, Likeness]:
    """All figures in every region. What lies around a region's edge is seen by its windows."""
    grey, grey_other = luminance(one), luminance(other)
    similar, steep = similarity_map(grey, grey_other), gradient_map(grey, grey_other)
    return {
        name: Likeness(
            psnr(one, other, region), float(similar[region].mean()), float(steep[region].mean())
        )
        for name, region in regions.items()
    }
