# SPDX-License-Identifier: GPL-3.0-or-later
"""What a photo tells about the light in a mouth that it does not show."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from shared.landmarks import INNER_LIP_LOWER, INNER_LIP_UPPER, OUTER_LIP_LOWER, OUTER_LIP_UPPER

from .portrait import Portrait

# Painted teeth are made brighter or darker by at most this factor.
LARGEST_GAIN = 1.8
# Teeth are about as bright as the whites of the eyes, which the photo shows: where these lie in
# the eye's tile (distance from its centre, in half sides), and the colour for which painted teeth
# need no correction.
WHITE_NEAR, WHITE_FAR = 0.36, 0.56
USUAL_WHITE = np.array((150.0, 142.0, 137.0), np.float32)


def light_of_eyes(portrait: Portrait) -> Float32[np.ndarray, " 3"]:
    """Factors per channel for painted teeth in this photo, from the whites of the eyes."""
    whites = []
    for side in ("left", "right"):
        tile = portrait.rig.tiles[f"{side}_eye"].astype(np.float32)
        place = (np.arange(len(tile)) + 0.5) / len(tile) * 2 - 1
        x, y = np.meshgrid(place, place)
        away = np.hypot(x, y)
        white = (away > WHITE_NEAR) & (away < WHITE_FAR) & (np.abs(y) < 0.35 * np.abs(x))
        level = tile[white] @ np.array((0.3, 0.6, 0.1), np.float32)
        bright = level >= np.percentile(level, 65)
        whites.append(tile[white][bright].mean(axis=0))
    painted = portrait.rig.tiles["upper_teeth"].astype(np.float32).max(axis=(0, 1)).mean()
    ratio = np.mean(whites, axis=0) / USUAL_WHITE * (222.0 / float(painted))
    return np.asarray(np.clip(ratio, 1 / LARGEST_GAIN, LARGEST_GAIN), np.float32)


def lip_colour(portrait: Portrait) -> Float32[np.ndarray, " 3"]:
    """Median colour of the red of the lips in the photo, 0..255."""
    height, width = portrait.pixels.shape[:2]
    places = []
    for edge, outer in ((INNER_LIP_UPPER, OUTER_LIP_UPPER), (INNER_LIP_LOWER, OUTER_LIP_LOWER)):
        inner, border = portrait.landmarks[list(edge), :2], portrait.landmarks[list(outer), :2]
        places.append((0.5 * inner + 0.5 * border)[2:-2])
    points = np.concatenate(places).astype(int)
    column, row = np.clip(points[:, 0], 0, width - 1), np.clip(points[:, 1], 0, height - 1)
    return np.asarray(np.median(portrait.pixels[row, column].astype(np.float32), axis=0))
