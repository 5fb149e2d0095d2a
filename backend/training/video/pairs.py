# SPDX-License-Identifier: GPL-3.0-or-later
"""A training pair: two pictures of one person, and how the first became the second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.face.topology import TRACKED_COUNT
from shared.errors import ErrorKind, VividKeysError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """Two pictures of one size.

    source, target            uint8 [H,W,3]
    source_landmarks,
    target_landmarks          [478,3] pixels right, down and away from the camera
    flow                      float32 [H,W,2] or None where nobody knows it: where in the source
                              each pixel of the target comes from, minus its own place, in pixels;
                              NaN where the source does not show it
    name                      whose pictures, and which; pairs that follow each other and share
                              the very same `source` array have one portrait made for all
    kind                      "synthetic", "london", "portrait" or "clip"
    follows                   this state is close by the one of the pair before, as two pictures
                              of a film are, in the same light, with the same source
    """

    source: Pixels
    target: Pixels
    source_landmarks: Floats
    target_landmarks: Floats
    flow: Singles | None
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
                ErrorKind.BAD_ARRAY, f"The training pair '{self.name}' does not fit together."
            )
