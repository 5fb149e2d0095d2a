# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a person extends beyond the rim of the face in the photo."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from shared.landmarks import FACE_OVAL

from ..texture.photo_crop import PhotoCrop


def outward(points: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, "N 2"]:
    """Unit directions from the middle of the rim in the photo to each of its points."""
    away = points - points.mean(axis=0)
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


def reach_of_person(crop: PhotoCrop) -> Float64[np.ndarray, " 36"]:
    """How far the person extends outward from each point of the rim, pixels."""
    points = crop.points[list(FACE_OVAL)]
    away = outward(points)
    height, width = crop.person.shape
    face_height = float(np.ptp(points[:, 1]))
    reach = np.empty(len(points))
    steps = np.arange(2.0, 0.62 * face_height, 2.0)
    for k, (point, way) in enumerate(zip(points, away, strict=True)):
        path = point + steps[:, None] * way
        column = np.clip(path[:, 0].astype(int), 0, width - 1)
        row = np.clip(path[:, 1].astype(int), 0, height - 1)
        outside = np.flatnonzero(
            (crop.person[row, column] < 0.6)
            | (path[:, 0] < 4) | (path[:, 0] > width - 5)
            | (path[:, 1] < 4) | (path[:, 1] > height - 5)
        )  # fmt: skip
        reach[k] = steps[outside[0]] if len(outside) else steps[-1]
    # Below is the neck, not the head; and neighbouring values should not jump.
    down = np.clip(away[:, 1], 0, 1)
    reach = np.minimum(reach, face_height * (0.62 - 0.42 * down))
    for _ in range(3):
        reach = (np.roll(reach, 1) + 2 * reach + np.roll(reach, -1)) / 4
    return np.asarray(reach)
