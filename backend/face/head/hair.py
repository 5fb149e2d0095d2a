# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair as a cap: the scalp moved out to the head's outline in the photo."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from shared.landmarks import FACE_OVAL, LANDMARK_COUNT

from ..template import load_template
from ..texture.photo_crop import PhotoCrop
from .head_grid import head_grid
from .head_shape import load_shell
from .photo_outline import outward, reach_of_person

# Middle of the skull on the template, metres.
MIDDLE = np.array((0.0, 0.030, 0.045))
# Limits of the hair's outline relative to the bare skull.
HAIR_RANGE = (1.0, 1.28)
# The hair goes from nothing to full thickness over these distances, metres: from the face, from
# the ears, and above the nape.
FROM_FACE = (0.008, 0.065)
FROM_EARS = (0.004, 0.045)
ABOVE_NAPE = (-0.035, 0.040)


def with_hair(
    landmarks: Float64[np.ndarray, "468 3"],
    shell: Float64[np.ndarray, "N 3"],
    crop: PhotoCrop | None,
) -> Float64[np.ndarray, "N 3"]:
    """Give the shell around a face the volume of the hair in the photo; metres."""
    if crop is None:
        return shell
    thick = hair_volume(landmarks, shell, crop)
    middle = _middle(landmarks)
    return np.asarray(shell + (shell - middle) * ((thick - 1.0) * scalp())[:, None])


def _middle(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    rim = list(FACE_OVAL)
    moved = MIDDLE + landmarks[rim].mean(axis=0) - load_template().vertices[rim].mean(axis=0)
    return np.asarray(moved)


@lru_cache(maxsize=1)
def scalp() -> Float64[np.ndarray, " N"]:
    """How much each vertex of the shell is scalp, 0..1."""
    grid, shell = head_grid(), load_shell()
    rim = load_template().vertices[list(FACE_OVAL)]
    ears = np.concatenate([shell[ring[1] - LANDMARK_COUNT] for ring, _ in grid.ears])
    share = _rise(cKDTree(rim).query(shell)[0], FROM_FACE)
    share *= _rise(cKDTree(ears).query(shell)[0], FROM_EARS)
    share *= _rise(shell[:, 2], ABOVE_NAPE)
    result = np.zeros(grid.count)
    result[grid.part["skull"]] = share[grid.part["skull"]]
    return result


def _rise(value: NDArray[np.float64], between: tuple[float, float]) -> NDArray[np.float64]:
    low, high = between
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def hair_volume(
    landmarks: Float64[np.ndarray, "468 3"], shell: Float64[np.ndarray, "N 3"], crop: PhotoCrop
) -> Float64[np.ndarray, " N"]:
    """How much larger the head's outline in the photo is than the bare skull, as a factor.

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
    # Seen from behind all directions meet in the middle, so the hair has average thickness there.
    upper = volume[(ways > 0.3) & (ways < np.pi - 0.3)].mean()
    out_there = np.clip(np.linalg.norm(flat, axis=1) / 0.06, 0, 1) ** 2
    return np.asarray(upper + (own - upper) * out_there)


def _radius_by_way(
    flat: NDArray[np.float64],
    ways: NDArray[np.float64],
    choose: Callable[[NDArray[np.float64]], float],
) -> NDArray[np.float64]:
    """Distance of points [N,2] from the middle, by direction; gaps are interpolated."""
    angle, size = np.arctan2(flat[:, 1], flat[:, 0]), np.linalg.norm(flat, axis=1)
    found = np.full(len(ways), np.nan)
    for k, way in enumerate(ways):
        near = np.abs((angle - way + np.pi) % (2 * np.pi) - np.pi) < np.radians(9)
        if near.any():
            found[k] = choose(size[near])
    known = np.flatnonzero(~np.isnan(found))
    return np.asarray(np.interp(np.arange(len(ways)), known, found[known], period=len(ways)))
