# SPDX-License-Identifier: GPL-3.0-or-later
"""A rasteriser's result for every pixel, and the checks of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32
from numpy.typing import ArrayLike

from shared.errors import VividKeysError

if TYPE_CHECKING:
    import torch

Cull = Literal["none", "back"]

# Triangles of less than half this many square pixels are skipped: rounding decides what they cover.
SMALLEST_TWICE_AREA = 1e-8


@dataclass(frozen=True)
class Fragments:
    """Per pixel of a picture, row 0 on top; a batch of pictures has one more axis in front.

    face_id      index of the nearest triangle, -1 where there is none
    depth        its depth there (smaller is nearer), infinite where there is none
    barycentric  shares of its corners, 0 where there is none
    """

    face_id: Int32[np.ndarray, "*B H W"]
    depth: Float32[np.ndarray, "*B H W"]
    barycentric: Float32[np.ndarray, "*B H W 3"]

    @property
    def covered(self) -> Bool[np.ndarray, "*B H W"]:
        """Pixels that show a triangle."""
        return np.asarray(self.face_id >= 0)


@dataclass(frozen=True)
class TensorFragments:
    """`Fragments` as tensors on one device; depth and barycentric carry gradients."""

    face_id: Int32[torch.Tensor, "*B H W"]
    depth: Float32[torch.Tensor, "*B H W"]
    barycentric: Float32[torch.Tensor, "*B H W 3"]

    @property
    def covered(self) -> Bool[torch.Tensor, "*B H W"]:
        """Pixels that show a triangle."""
        return self.face_id >= 0


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Check a (width, height) to be integers of at least one pixel."""
    width, height = int(size[0]), int(size[1])
    if width < 1 or height < 1:
        raise VividKeysError(
            "bad_request",
            f"A picture of {width} x {height} pixels has no pixels.",
            "Ask for at least one pixel across and down.",
        )
    return width, height


def checked_triangles(triangles: ArrayLike, vertex_count: int) -> Int32[np.ndarray, "F 3"]:
    """Check that all indices are those of vertices; compiled code would read past the end."""
    numbers = np.asarray(triangles)
    if numbers.size == 0:
        return np.zeros((0, 3), np.int32)
    if numbers.ndim != 2 or numbers.shape[1] != 3:
        raise VividKeysError(
            "bad_array",
            f"Triangles are [F,3] vertex indices, not an array of shape {numbers.shape}.",
            "Split larger polygons into triangles first.",
        )
    if numbers.min() < 0 or numbers.max() >= vertex_count:
        raise VividKeysError(
            "bad_array",
            f"A triangle uses a vertex that the mesh of {vertex_count} vertices does not have.",
            "Use the triangles that belong to this mesh.",
        )
    return np.ascontiguousarray(numbers, np.int32)
