# SPDX-License-Identifier: GPL-3.0-or-later
"""The similarity of two pictures within a region: PSNR, SSIM and the error of their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

# The PSNR of equal pictures is infinite; a mean needs a finite value.
HIGHEST_PSNR = 100.0
_BT601 = np.array((0.299, 0.587, 0.114), np.float32)
# Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
# structural similarity", 2004: window and constants as published, for levels 0..255.
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


@dataclass(frozen=True)
class Likeness:
    """Figures of one region.

    psnr      dB, higher is better
    ssim      -1..1, higher is better
    gradient  mean absolute difference of the luminance's slopes, levels per pixel, lower is better
    """

    psnr: float
    ssim: float
    gradient: float


def luminance(pixels: UInt8[np.ndarray, "H W C"]) -> Float32[np.ndarray, "H W"]:
    """Luminance of a picture, 0..255, with the weights of BT.601."""
    return np.asarray(pixels[..., :3].astype(np.float32) @ _BT601)


def psnr(
    one: UInt8[np.ndarray, "H W 3"],
    other: UInt8[np.ndarray, "H W 3"],
    region: Bool[np.ndarray, "H W"],
) -> float:
    """Over the three channels, dB; at most `HIGHEST_PSNR`."""
    away = one[region].astype(np.float64) - other[region].astype(np.float64)
    error = float((away**2).mean())
    if error <= 0.0:
        return HIGHEST_PSNR
    return min(10.0 * float(np.log10(255.0**2 / error)), HIGHEST_PSNR)


def similarity_map(
    one: Float32[np.ndarray, "H W"], other: Float32[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W"]:
    """SSIM at every pixel of two luminances."""

    def blurred(values: Float64[np.ndarray, "H W"]) -> Float64[np.ndarray, "H W"]:
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


def slopes(grey: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W 2"]:
    """Central differences of a luminance along x and y, levels per pixel."""
    down, right = np.gradient(grey)
    return np.stack([right, down], axis=2)


def gradient_map(
    one: Float32[np.ndarray, "H W"], other: Float32[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W"]:
    """Absolute difference of the slopes at every pixel, mean of both directions."""
    return np.asarray(np.abs(slopes(one) - slopes(other)).mean(axis=2))


def likeness(
    one: UInt8[np.ndarray, "H W 3"],
    other: UInt8[np.ndarray, "H W 3"],
    regions: dict[str, Bool[np.ndarray, "H W"]],
) -> dict[str, Likeness]:
    """All figures in every region, whose windows reach slightly beyond its edge."""
    grey, grey_other = luminance(one), luminance(other)
    similar, steep = similarity_map(grey, grey_other), gradient_map(grey, grey_other)
    return {
        name: Likeness(
            psnr(one, other, region), float(similar[region].mean()), float(steep[region].mean())
        )
        for name, region in regions.items()
    }
