# SPDX-License-Identifier: GPL-3.0-or-later
"""How sharp a picture is, without another one to compare it with.

`cpbd` is the cumulative probability of blur detection of Narvekar and Karam, "A no-reference
image blur metric based on the cumulative probability of blur detection (CPBD)", IEEE Transactions
on Image Processing 20(9), 2011, written from the formulas there: the share of edges at which a
viewer would not notice blur. The width of an edge is Marziliano's: from the nearest local minimum
to the nearest local maximum along the row.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.evaluation.video.pictures import Grey, Region, slopes

# A block is looked at when this share of its pixels lies on edges.
BLOCK, _EDGE_SHARE = 64, 0.002
# Up to this contrast within a block, widths up to the first count as sharp, above it the second.
_LOW_CONTRAST, _WIDTH_LOW, _WIDTH_HIGH = 50.0, 5.0, 3.0
_BETA = 3.6
# Blur is just noticed with this probability: 1 - 1/e.
_JUST_NOTICED = 0.63
# Canny's thresholds on the length of Sobel's gradient, levels.
_CANNY = (50.0, 130.0)


def cpbd(grey: Grey, region: Region | None = None) -> float:
    """0 (blurred) .. 1 (sharp) of a luminance [H,W] 0..255; nan where there is no edge.

    `region` bool [H,W]: only the edges inside of it count.
    """
    widths, low_contrast = edge_widths(grey, region)
    if not len(widths):
        return float("nan")
    noticed = np.where(low_contrast, _WIDTH_LOW, _WIDTH_HIGH)
    probability = 1.0 - np.exp(-((widths / noticed) ** _BETA))
    # In whole percents, as the histogram of the paper.
    return float(np.mean(np.round(probability, 2) <= _JUST_NOTICED))


def edge_widths(
    grey: Grey, region: Region | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Widths in pixels of all upright edges in blocks that have edges, and whether their block has
    little contrast.
    """
    # In whole levels: the faint ends of a ramp are nothing that anybody sees.
    levels = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    edges = cv2.Canny(levels, *_CANNY, L2gradient=True) > 0
    if region is not None:
        edges &= region
    across = cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, 1, 0)
    along = cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, 0, 1)
    # The width is taken along the row, so only edges that are nearly upright have one.
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
    if not found:  # an even picture
        return np.zeros(0), np.zeros(0, np.bool_)
    return np.concatenate(found), np.concatenate(low)


def _corners(length: int) -> range:
    return range(0, max(length - BLOCK, 0) + 1, BLOCK)


def _widths(grey: NDArray[np.uint8], sign: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pixels [H,W] from the extreme left of each place to the one right of it, along the row,
    where brightness goes the way `sign` says.
    """
    step = np.diff(grey.astype(np.int16), axis=1)
    total = np.zeros(grey.shape)
    for direction in (1.0, -1.0):
        goes_on = direction * step > 0
        # How many steps in a row go this way up to, and from, each pixel.
        before, after = np.zeros(grey.shape), np.zeros(grey.shape)
        for column in range(1, grey.shape[1]):
            before[:, column] = np.where(goes_on[:, column - 1], before[:, column - 1] + 1, 0)
        for column in range(grey.shape[1] - 2, -1, -1):
            after[:, column] = np.where(goes_on[:, column], after[:, column + 1] + 1, 0)
        total = np.where(sign == direction, before + after, total)
    return total


def gradient_energy(grey: Grey, region: Region | None = None) -> float:
    """Mean squared slope, levels² per pixel²; falls with blur and rises with noise."""
    energy = (slopes(grey) ** 2).sum(axis=2)
    return float((energy if region is None else energy[region]).mean())
