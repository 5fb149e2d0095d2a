# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks are told about a pose of the face: a texture of places, and maps of the lips.

A projection texture shows in the inner face which point of the face is seen (its normalised
coordinates as a colour) and outside of it the picture. Maps of the lips show where their
landmarks are, as soft dots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.face.topology import LIP_LANDMARKS, LIP_ROWS
from backend.mesh_to_video.settings import LIP_MAPS, MOTION_SIDE

# Width of a dot where the map is `MOTION_SIDE` wide, pixels.
DOT = 1.5


def coordinate_code(
    vertices: NDArray[np.float32], members: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Colours [V, 3] of vertices [V, 3]: each axis from 0 to 1 over those in `members` [M].

    Others are beyond these bounds or at them: clipped. An axis along which the members have no
    extent becomes 0.
    """
    own = vertices[members]
    least = own.min(axis=0)
    extent = own.max(axis=0) - least
    scale = np.divide(1.0, extent, out=np.zeros_like(extent), where=extent > 0.0)
    return np.clip((vertices - least) * scale, 0.0, 1.0).astype(np.float32)


def projection_texture(
    code: NDArray[np.float32], mask: NDArray[np.float32], outer: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`code` [H, W, 3] where `mask` [H, W] is 1, `outer` [H, W, 3] where it is 0; all in 0..1."""
    share = mask[..., None]
    return (code * share + outer * (1.0 - share)).astype(np.float32)


def _halves() -> NDArray[np.float32]:
    """[LIP_MAPS, K]: which landmark is a dot in which map. The middle one is in both halves."""
    belongs = np.zeros((LIP_MAPS, len(LIP_LANDMARKS)), np.float32)
    start = 0
    for number, row in enumerate(LIP_ROWS):
        middle = len(row) // 2
        belongs[2 * number, start : start + middle + 1] = 1.0
        belongs[2 * number + 1, start + middle : start + len(row)] = 1.0
        start += len(row)
    return belongs


BELONGS = _halves()


def _dots(points: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """[size, size, LIP_MAPS]: the sum of the dots of each map."""
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    width = np.float32(DOT * size / MOTION_SIDE)
    # A round dot is the product of one curve along x and one along y.
    across = np.exp(-0.5 * ((centres[None, :] - points[:, :1]) / width) ** 2)
    down = np.exp(-0.5 * ((centres[None, :] - points[:, 1:2]) / width) ** 2)
    maps = (BELONGS[:, None, :] * down.T[None]) @ across
    return np.ascontiguousarray(maps.transpose(1, 2, 0))


def lip_maps(
    driving: NDArray[np.float32], reference: NDArray[np.float32], size: int = MOTION_SIDE
) -> NDArray[np.float32]:
    """Soft dots of the lips' landmarks as they are driven, minus those of the photo.

    driving, reference  [468 or more, 2] all landmarks in pixels of the map, x right, y down, pixel
                        centres at +0.5

    Returns [size, size, LIP_MAPS]: outer upper right half, outer upper left half, outer lower
    right, outer lower left, then the same of the inner edge.
    """
    chosen = list(LIP_LANDMARKS)
    driven = _dots(np.asarray(driving[chosen], np.float32), size)
    return driven - _dots(np.asarray(reference[chosen], np.float32), size)
