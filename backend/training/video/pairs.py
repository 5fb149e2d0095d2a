# SPDX-License-Identifier: GPL-3.0-or-later
"""A training pair: two pictures of one person, and how the first became the second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import TRACKED_COUNT


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """Two pictures of the same size.

    landmarks  pixels right, down and away from the camera
    flow       optical flow from target to source, in pixels: where in the source each pixel of the
               target comes from, relative to its own position; NaN where the source does not show
               it, None where it is unknown
    name       the person and the picture; successive pairs that share the identical `source` array
               also share one portrait
    kind       "synthetic", "london", "portrait" or "clip"
    follows    the target is the next frame after the previous pair's, in the same light and with
               the same source
    """

    source: UInt8[np.ndarray, "H W 3"]
    target: UInt8[np.ndarray, "H W 3"]
    source_landmarks: Float64[np.ndarray, "478 3"]
    target_landmarks: Float64[np.ndarray, "478 3"]
    flow: Float32[np.ndarray, "H W 2"] | None
    name: str
    kind: str
    follows: bool = False

    def __post_init__(self) -> None:
        height, width = self.source.shape[:2]
        fits = (
            self.source.shape == self.target.shape == (height, width, 3)
            and self.source.dtype == self.target.dtype == np.uint8
            and self.source_landmarks.shape == (TRACKED_COUNT, 3)
            and self.target_landmarks.shape == (TRACKED_COUNT, 3)
            and (self.flow is None or self.flow.shape == (height, width, 2))
        )
        if not fits:
            raise VividKeysError(
                ErrorKind.BAD_ARRAY, f"The arrays of the training pair '{self.name}' do not match."
            )
