# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pose of the face is presented to the networks: a coordinate texture, and maps of the lips.

A projection texture shows, inside the face, which point of it is visible (its normalised
coordinates as a colour), and outside the picture. Maps of the lips show their landmarks as soft
dots.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Integer

from backend.mesh_to_video.settings import LIP_MAPS, MOTION_SIDE
from shared.landmarks import LIP_LANDMARKS, LIP_ROWS

# Width of a dot where the map is `MOTION_SIDE` wide, pixels.
DOT = 1.5


def coordinate_code(
    vertices: Float32[np.ndarray, "V 3"], members: Integer[np.ndarray, " N"]
) -> Float32[np.ndarray, "V 3"]:
    """Colours of vertices: each coordinate scaled to 0..1 over those with indices `members`.

    Other vertices are clipped to this range. An axis along which the members have no extent
    becomes 0.
    """
    own = vertices[members]
    least = own.min(axis=0)
    extent = own.max(axis=0) - least
    scale = np.divide(1.0, extent, out=np.zeros_like(extent), where=extent > 0.0)
    return np.asarray(np.clip((vertices - least) * scale, 0.0, 1.0), np.float32)


def projection_texture(
    code: Float32[np.ndarray, "H W 3"],
    mask: Float32[np.ndarray, "H W"],
    outer: Float32[np.ndarray, "H W 3"],
) -> Float32[np.ndarray, "H W 3"]:
    """`code` where `mask` is 1, `outer` where it is 0; all in 0..1."""
    share = mask[..., None]
    return np.asarray(code * share + outer * (1.0 - share), np.float32)


def _halves() -> Float32[np.ndarray, "maps landmarks"]:
    """1 where a landmark is a dot in a map. The middle one of a row is in both halves."""
    belongs = np.zeros((LIP_MAPS, len(LIP_LANDMARKS)), np.float32)
    start = 0
    for number, row in enumerate(LIP_ROWS):
        middle = len(row) // 2
        belongs[2 * number, start : start + middle + 1] = 1.0
        belongs[2 * number + 1, start + middle : start + len(row)] = 1.0
        start += len(row)
    return belongs


BELONGS = _halves()


def _dots(
    points: Float32[np.ndarray, "landmarks 2"], size: int
) -> Float32[np.ndarray, "{size} {size} maps"]:
    """The sum of the dots of each map."""
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    width = np.float32(DOT * size / MOTION_SIDE)
    # A round dot is the product of a Gaussian along x and one along y.
    across = np.exp(-0.5 * ((centres[None, :] - points[:, :1]) / width) ** 2)
    down = np.exp(-0.5 * ((centres[None, :] - points[:, 1:2]) / width) ** 2)
    maps = (BELONGS[:, None, :] * down.T[None]) @ across
    return np.ascontiguousarray(maps.transpose(1, 2, 0))


def lip_maps(
    driving: Float32[np.ndarray, "L 2"],
    reference: Float32[np.ndarray, "L 2"],
    size: int = MOTION_SIDE,
) -> Float32[np.ndarray, "{size} {size} maps"]:
    """Soft dots at the lips' landmarks as they are driven, minus those of the photo.

    driving, reference  all landmarks (468 or more) in pixels of the map, x right, y down, pixel
                        centres at +0.5

    Returns `LIP_MAPS` maps: right and left half of the upper outer edge, right and left half of
    the lower outer edge, then the same for the inner edge.
    """
    chosen = list(LIP_LANDMARKS)
    driven = _dots(np.asarray(driving[chosen], np.float32), size)
    return np.asarray(driven - _dots(np.asarray(reference[chosen], np.float32), size))
