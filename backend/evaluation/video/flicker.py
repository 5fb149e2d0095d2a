# SPDX-License-Identifier: GPL-3.0-or-later
"""Flicker: what changes from picture to picture where nothing should."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.evaluation.video.pictures import Grey, Pixels, Region, luminance
from backend.evaluation.video.regions import background_region, in_plane_fit, rigid_region

Floats = NDArray[np.float64]

# A region of fewer pixels says nothing.
_FEWEST = 50


def flicker(pictures: Sequence[Grey], region: Region) -> float:
    """Mean absolute second difference in time of luminances [H,W] within a region, levels.

    A still picture has none, and neither has one that brightens evenly; noise that is new in
    every picture, with standard deviation s, has about 1.95 s. nan for fewer than three pictures
    or a region of a few pixels.
    """
    if len(pictures) < 3 or np.count_nonzero(region) < _FEWEST:
        return float("nan")
    values = np.stack([picture[region] for picture in pictures]).astype(np.float64)
    return float(np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2]).mean())


def background_flicker(frames: Sequence[Pixels], landmarks: Floats) -> float:
    """Flicker beside the head, frames uint8 [H,W,3] with landmarks [T,478,3]."""
    region = background_region(landmarks, frames[0].shape[:2])
    return flicker([luminance(frame) for frame in frames], region)


def skin_flicker(frames: Sequence[Pixels], landmarks: Floats, rigidity: Floats) -> float:
    """Flicker of the skin over bone once the head's motion in the picture is taken out.

    The same landmarks [T,478,3] have to be given for videos that are compared.
    """
    height, width = frames[0].shape[:2]
    target = landmarks[0]
    # The frame may leave the picture's edge; only what is always there counts.
    region = rigid_region(target, (height, width))
    steady = []
    for frame, face in zip(frames, landmarks, strict=True):
        move = in_plane_fit(face, target, rigidity)
        # Pixel centres lie at +0.5 in landmarks and at whole numbers in OpenCV.
        move[:, 2] += move[:, :2] @ (0.5, 0.5) - 0.5
        moved = cv2.warpAffine(
            luminance(frame), move, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        steady.append(np.asarray(moved, np.float32))
    return flicker(steady, region)
