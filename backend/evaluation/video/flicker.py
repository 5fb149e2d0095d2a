# SPDX-License-Identifier: GPL-3.0-or-later
"""Flicker: what changes from frame to frame where nothing should."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from backend.evaluation.video.pictures import luminance
from backend.evaluation.video.regions import background_region, in_plane_fit, rigid_region

# Smaller regions are not measured, pixels.
_FEWEST = 50


def flicker(
    pictures: Sequence[Float32[np.ndarray, "H W"]], region: Bool[np.ndarray, "H W"]
) -> float:
    """Mean absolute second difference in time of luminances within a region, levels.

    It is 0 for a still picture and for one that brightens evenly; noise that is independent in
    every picture, with standard deviation s, gives about 1.95 s. nan for fewer than three pictures
    or a very small region.
    """
    if len(pictures) < 3 or np.count_nonzero(region) < _FEWEST:
        return float("nan")
    values = np.stack([picture[region] for picture in pictures]).astype(np.float64)
    return float(np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2]).mean())


def background_flicker(
    frames: Sequence[UInt8[np.ndarray, "H W 3"]], landmarks: Float64[np.ndarray, "T 478 3"]
) -> float:
    """Flicker of the background around the head."""
    region = background_region(landmarks, frames[0].shape[:2])
    return flicker([luminance(frame) for frame in frames], region)


def skin_flicker(
    frames: Sequence[UInt8[np.ndarray, "H W 3"]],
    landmarks: Float64[np.ndarray, "T L 3"],
    rigidity: Float64[np.ndarray, " V"],
) -> float:
    """Flicker of the skin over bone once the head's motion in the picture is removed.

    Videos that are compared need the same landmarks. `rigidity` weights the landmarks of the
    template by how little they move relative to the skull.
    """
    height, width = frames[0].shape[:2]
    target = landmarks[0]
    # Stabilised frames may leave the picture; only what is always visible counts.
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
