# SPDX-License-Identifier: GPL-3.0-or-later
"""Texture coordinates of skull, ears and neck in the frontal photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import atlas
from .head_grid import COLUMNS, NECK_ROW, head_grid
from .photo_outline import outward, reach_of_person
from .texture import PhotoCrop
from .topology import FACE_OVAL, LANDMARK_COUNT

Floats = NDArray[np.float64]

# How far from the rim towards the border of the hair the rows look into the photo.
LOOK_ROWS = (0.0, 1.0, 3.0, 6.0, 10.0, 15.0)
# Columns from here to the chin show skin alone.
SKIN_FROM = 9
LOOK_OUT = (0.05, 0.22, 0.45, 0.66, 0.84, 0.96)


def shell_uvs(landmarks: Floats, shell: Floats, uvs: Floats, crop: PhotoCrop | None) -> Floats:
    """Coordinates [count,2]: outward from the rim above, the skin below the jaw for the neck."""
    grid = head_grid()
    rim = list(FACE_OVAL)
    result = np.tile(uvs[rim].mean(axis=0), (grid.count, 1))
    row, column = np.nonzero(grid.rows[1:] >= 0)
    number = grid.rows[1:][row, column] - LANDMARK_COUNT
    if crop is None:
        result[number] = uvs[rim][column]
        return result
    points = crop.points[rim]
    face_height = float(np.ptp(points[:, 1]))
    away = outward(points)
    inside = np.maximum(0.94 * reach_of_person(crop) - 0.02 * face_height, 0.01 * face_height)
    look = np.interp(row + 1, LOOK_ROWS, LOOK_OUT)
    result[number] = atlas.photo_uv(
        points[column] + away[column] * (inside[column] * look)[:, None]
    )
    # The neck shows the strip of skin under the chin, narrower towards the sides; from the jaw's
    # rim on the picture runs over into it.
    low = (row + 1 >= NECK_ROW) | ((column >= SKIN_FROM) & (column <= COLUMNS - SKIN_FROM))
    own = number[low]
    across = np.clip((shell[own, 0] - landmarks[152, 0]) / 0.06, -1, 1) * 0.13 * face_height
    down = 0.05 + 0.10 * np.clip((landmarks[152, 2] - shell[own, 2]) / 0.06, 0, 1)
    strip = points[COLUMNS // 2] + np.stack([across, down * face_height], axis=-1)
    start = points[column[low]] + away[column[low]] * (-0.03 * face_height)
    share = np.clip((row[low] + 1) / 9.0, 0, 1)[:, None]
    share[row[low] + 1 >= NECK_ROW] = 1.0
    result[own] = atlas.photo_uv(start + (strip - start) * share)
    below = np.setdiff1d(grid.part["neck"], number)
    result[below] = atlas.photo_uv(np.tile(strip.mean(axis=0), (len(below), 1)))
    # Ears as the photo shows them from the front.
    scale = np.ptp(points[:, 0]) / np.ptp(landmarks[rim, 0])
    for side, landmark in (("left_ear", 454), ("right_ear", 234)):
        own = grid.part[side]
        shift = (shell[own] - landmarks[landmark])[:, [0, 2]] * (0.4, -0.6) * scale
        result[own] = atlas.photo_uv(crop.points[landmark] + shift)
    return result
