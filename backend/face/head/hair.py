# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair as a cap: the scalp moved out to the outline that the head has in the photo."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from shared.landmarks import FACE_OVAL, LANDMARK_COUNT

from ..template import load_template
from ..texture.photo_crop import PhotoCrop
from .head_grid import head_grid
from .head_shape import load_shell
from .photo_outline import outward, reach_of_person

Floats = NDArray[np.float64]

# Middle of the skull on the template, metres.
MIDDLE = np.array((0.0, 0.030, 0.045))
# The outline of the hair against the bare skull.
HAIR_RANGE = (1.0, 1.28)
# The hair rises from nothing to its thickness within these distances, metres: from the face,
# from the ears, and above the nape.
FROM_FACE = (0.008, 0.065)
FROM_EARS = (0.004, 0.045)
ABOVE_NAPE = (-0.035, 0.040)


def with_hair(landmarks: Floats, shell: Floats, crop: PhotoCrop | None) -> Floats:
    """The shell [count,3] around a face [468,3] with the volume of the hair in the photo."""
    if crop is None:
        return shell
    thick = hair_volume(landmarks, shell, crop)
    middle = _middle(landmarks)
    return np.asarray(shell + (shell - middle) * ((thick - 1.0) * scalp())[:, None])


def _middle(landmarks: Floats) -> Floats:
    rim = list(FACE_OVAL)
    return MIDDLE + landmarks[rim].mean(axis=0) - load_template().vertices[rim].mean(axis=0)


@lru_cache(maxsize=1)
def scalp() -> Floats:
    """How much each vertex of the shell is scalp, [count] 0..1."""
    grid, shell = head_grid(), load_shell()
    rim = load_template().vertices[list(FACE_OVAL)]
    ears = np.concatenate([shell[ring[1] - LANDMARK_COUNT] for ring, _ in grid.ears])
    share = _rise(cKDTree(rim).query(shell)[0], FROM_FACE)
    share *= _rise(cKDTree(ears).query(shell)[0], FROM_EARS)
    share *= _rise(shell[:, 2], ABOVE_NAPE)
    result = np.zeros(grid.count)
    result[grid.part["skull"]] = share[grid.part["skull"]]
    return result


def _rise(value: Floats, between: tuple[float, float]) -> Floats:
    low, high = between
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def hair_volume(landmarks: Floats, shell: Floats, crop: PhotoCrop) -> Floats:
    """How much larger than the bare skull the head's outline is in the photo, [count].

    Only above the ears: below, long hair, neck and collar hide the head's own outline.
    """
    rim = list(FACE_OVAL)
    points = crop.points[rim]
    metres_per_pixel = float(np.ptp(landmarks[rim, 0]) / max(np.ptp(points[:, 0]), 1e-6))
    out = outward(points) * reach_of_person(crop)[:, None] * metres_per_pixel
    border = landmarks[rim][:, [0, 2]] + out * (1, -1)
    middle = _middle(landmarks)[[0, 2]]
    ways = np.radians(np.arange(0, 360, 10))
    found = _radius_by_way(border - middle, ways, np.median)
    skull = head_grid().part["skull"]
    bare = _radius_by_way(shell[skull][:, [0, 2]] - middle, ways, np.max)
    above = np.clip(np.sin(ways) / 0.5 + 0.45, 0, 1)
    volume = 1.0 + (np.clip(found / bare, *HAIR_RANGE) - 1.0) * above
    for _ in range(3):
        volume = (np.roll(volume, 1) + 2 * volume + np.roll(volume, -1)) / 4
    flat = shell[:, [0, 2]] - middle
    angle = np.arctan2(flat[:, 1], flat[:, 0]) % (2 * np.pi)
    own = np.interp(angle, np.append(ways, 2 * np.pi), np.append(volume, volume[0]))
    # Seen from behind all ways meet in the middle, so the hair is as thick as on average there.
    upper = volume[(ways > 0.3) & (ways < np.pi - 0.3)].mean()
    out_there = np.clip(np.linalg.norm(flat, axis=1) / 0.06, 0, 1) ** 2
    return np.asarray(upper + (own - upper) * out_there)


def _radius_by_way(flat: Floats, ways: Floats, choose: Callable[[Floats], float]) -> Floats:
    """Distance from the middle of points [N,2] by direction; gaps are filled from beside."""
    angle, size = np.arctan2(flat[:, 1], flat[:, 0]), np.linalg.norm(flat, axis=1)
    found = np.full(len(ways), np.nan)
    for k, way in enumerate(ways):
        near = np.abs((angle - way + np.pi) % (2 * np.pi) - np.pi) < np.radians(9)
        if near.any():
            found[k] = choose(size[near])
    known = np.flatnonzero(~np.isnan(found))
    return np.asarray(np.interp(np.arange(len(ways)), known, found[known], period=len(ways)))
