# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin for a head without a photo: an even grey with a hint of red on the lips, and soft brows."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from shared.landmarks import OUTER_LIP_RING

from .fill import grain, uneven
from .paint import GREY_SKIN
from .shading import blurred
from .texels import COARSE, HeadLayout, enlarged

LIP = np.array((1.0, 0.88, 0.865), np.float32)
BROW = np.array((0.66, 0.65, 0.64), np.float32)
BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
# Standard deviation of the skin's unevenness, of 255.
GRAIN = 2.0


def plain_skin(layout: HeadLayout) -> UInt8[np.ndarray, "side side 3"]:
    """Paint the texture."""
    lips = _inside(layout, OUTER_LIP_RING, 2.5)
    brows = np.maximum(*(_inside(layout, brow, 2.4) for brow in BROWS))
    tint = 1.0 + lips[..., None] * (LIP - 1.0) + brows[..., None] * (BROW - 1.0)
    colour = enlarged(np.asarray(GREY_SKIN * tint + 0.5, np.uint8))
    return uneven(colour, grain().skin, GRAIN)


def _inside(layout: HeadLayout, ring: tuple[int, ...], soft: float) -> NDArray[np.float32]:
    mask = np.zeros((COARSE, COARSE), np.float32)
    cv2.fillPoly(mask, [np.round(layout.at_vertex[list(ring)]).astype(np.int32)], 1.0)
    return blurred(mask, soft)
