# SPDX-License-Identifier: GPL-3.0-or-later
"""The sharpness of a picture, without a reference.

`cpbd` is the cumulative probability of blur detection of Narvekar and Karam, "A no-reference
image blur metric based on the cumulative probability of blur detection (CPBD)", IEEE Transactions
on Image Processing 20(9), 2011, written from the formulas there: the share of edges at which a
viewer would not notice blur. The width of an edge is Marziliano's: from the nearest local minimum
to the nearest local maximum along the row.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from backend.evaluation.video.pictures import slopes

# A block counts if more than this share of its pixels lies on edges.
BLOCK, _EDGE_SHARE = 64, 0.002
# The width at which blur is just noticed, in blocks up to and above this contrast; levels, pixels.
_LOW_CONTRAST, _WIDTH_LOW, _WIDTH_HIGH = 50.0, 5.0, 3.0
_BETA = 3.6
# Blur is just noticed with this probability: 1 - 1/e.
_JUST_NOTICED = 0.63
# Canny's thresholds on the length of Sobel's gradient, levels.
_CANNY = (50.0, 130.0)


def cpbd(grey: Float32[np.ndarray, "H W"], region: Bool[np.ndarray, "H W"] | None = None) -> float:
    """0 (blurred) .. 1 (sharp) for a luminance of 0..255; nan if there are no edges.

    Only edges inside `region` count.
    """
    widths, low_contrast = edge_widths(grey, region)
    if not len(widths):
        return float("nan")
    noticed = np.where(low_contrast, _WIDTH_LOW, _WIDTH_HIGH)
    probability = 1.0 - np.exp(-((widths / noticed) ** _BETA))
    # In whole percents, as the histogram of the paper.
    return float(np.mean(np.round(probability, 2) <= _JUST_NOTICED))


def edge_widths(
    grey: Float32[np.ndarray, "H W"], region: Bool[np.ndarray, "H W"] | None = None
) -> tuple[Float64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Widths of all upright edges in blocks with edges, pixels.

    The second array says whether an edge's block has low contrast.
    """
    # In whole levels: nobody sees the faint ends of a ramp.
    levels = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    edges = cv2.Canny(levels, *_CANNY, L2gradient=True) > 0
    if region is not None:
        edges &= region
    across = cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, 1, 0)
    along = cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, 0, 1)
    # The width is measured along the row, so only nearly upright edges have one.
    upright = edges & (np.abs(across) > np.abs(along) * 2.4)
    width = _widths(levels, np.sign(across))
    found, low = [], []
    height, wide = grey.shape
    # A picture smaller than a block is one block.
    for top in _corners(height):
        for left in _corners(wide):
            block = slice(top, top + BLOCK), slice(left, left + BLOCK)
            if edges[block].mean() <= _EDGE_SHARE:
                continue
            here = width[block][upright[block]]
            found.append(here)
            contrast = float(np.ptp(grey[block]))
            low.append(np.full(len(here), contrast <= _LOW_CONTRAST))
    if not found:  # a picture without edges
        return np.zeros(0), np.zeros(0, np.bool_)
    return np.concatenate(found), np.concatenate(low)


def _corners(length: int) -> range:
    return range(0, max(length - BLOCK, 0) + 1, BLOCK)


def _widths(
    grey: UInt8[np.ndarray, "H W"], sign: Float32[np.ndarray, "H W"]
) -> Float64[np.ndarray, "H W"]:
    """Distance along the row between the local extremes left and right of each pixel, pixels.

    Brightness rises (`sign` 1) or falls (-1) from left to right.
    """
    step = np.diff(grey.astype(np.int16), axis=1)
    total = np.zeros(grey.shape)
    for direction in (1.0, -1.0):
        goes_on = direction * step > 0
        # The number of consecutive steps in this direction up to, and from, each pixel.
        before, after = np.zeros(grey.shape), np.zeros(grey.shape)
        for column in range(1, grey.shape[1]):
            before[:, column] = np.where(goes_on[:, column - 1], before[:, column - 1] + 1, 0)
        for column in range(grey.shape[1] - 2, -1, -1):
            after[:, column] = np.where(goes_on[:, column], after[:, column + 1] + 1, 0)
        total = np.where(sign == direction, before + after, total)
    return total


def gradient_energy(
    grey: Float32[np.ndarray, "H W"], region: Bool[np.ndarray, "H W"] | None = None
) -> float:
    """Mean squared slope, levels² per pixel²; falls with blur and rises with noise."""
    energy = (slopes(grey) ** 2).sum(axis=2)
    return float((energy if region is None else energy[region]).mean())
