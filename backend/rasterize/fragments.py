# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rasteriser tells about every pixel, and what goes into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import VividKeysError

if TYPE_CHECKING:
    import torch

Cull = Literal["none", "back"]
Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

# Triangles of less than half this many square pixels are skipped: rounding decides what they cover.
SMALLEST_TWICE_AREA = 1e-8


@dataclass(frozen=True)
class Fragments:
    """Per pixel of a picture, row 0 on top; a stack of pictures has one more axis in front.

    face_id      int32 [H,W]: the nearest triangle's number, -1 where there is none
    depth        float32 [H,W]: its depth there (smaller is nearer), infinite where there is none
    barycentric  float32 [H,W,3]: shares of its corners, 0 where there is none
    """

    face_id: Integers
    depth: Floats
    barycentric: Floats

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Pixels that show a triangle."""
        return np.asarray(self.face_id >= 0)


@dataclass(frozen=True)
class TensorFragments:
    """The same as tensors on one device, face_id int32. Depth and barycentric carry gradients."""

    face_id: torch.Tensor
    depth: torch.Tensor
    barycentric: torch.Tensor

    @property
    def covered(self) -> torch.Tensor:
        """Pixels that show a triangle."""
        return self.face_id >= 0


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) as whole numbers, at least one pixel each."""
    width, height = int(size[0]), int(size[1])
    if width < 1 or height < 1:
        raise VividKeysError(
            "bad_request",
            f"A picture of {width} x {height} pixels has no pixels.",
            "Ask for at least one pixel across and down.",
        )
    return width, height


def checked_triangles(triangles: ArrayLike, vertex_count: int) -> Integers:
    """int32 [F,3] whose numbers all name a vertex; compiled code would read past the end."""
    numbers = np.asarray(triangles)
    if numbers.size == 0:
        return np.zeros((0, 3), np.int32)
    if numbers.ndim != 2 or numbers.shape[1] != 3:
        raise VividKeysError(
            "bad_array",
            f"Triangles are [F,3] vertex numbers, not an array of shape {numbers.shape}.",
            "Split larger polygons into triangles first.",
        )
    if numbers.min() < 0 or numbers.max() >= vertex_count:
        raise VividKeysError(
            "bad_array",
            f"A triangle names a vertex that the mesh of {vertex_count} vertices does not have.",
            "Use the triangles that belong to this mesh.",
        )
    return np.ascontiguousarray(numbers, np.int32)
