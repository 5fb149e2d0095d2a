# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on batches of pictures on a device, matching OpenCV's on the CPU.

Positions in pictures are in pixels whose centres lie at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, Num
from torch import Tensor
from torch.nn import functional

from backend.mesh_to_video.frame.mouth_interior import box_around
from backend.mesh_to_video.frame.view import View

# Sides of boxes are multiples of this, so that blocks of memory can be reused.
BOX_STEP = 8


def as_planes(
    picture: Num[np.ndarray, "H W"] | Num[np.ndarray, "H W C"], device: torch.device
) -> Float32[Tensor, "1 channels H W"]:
    """A picture as a batch of one on the device."""
    values = np.atleast_3d(np.asarray(picture, np.float32))
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)[None])).to(device)


def sampled(
    picture: Float32[Tensor, "pictures C h w"],
    x: Float32[Tensor, "B H W"],
    y: Float32[Tensor, "B H W"],
    mode: str,
) -> Float32[Tensor, "B C H W"]:
    """B pictures, or one for all, sampled at positions; `mode` is "bilinear" or "bicubic".

    Pixels of the border are repeated outside the picture.
    """
    height, width = picture.shape[-2:]
    grid = torch.stack([x * (2.0 / width) - 1.0, y * (2.0 / height) - 1.0], dim=-1)
    return functional.grid_sample(
        picture.expand(len(grid), -1, -1, -1),
        grid,
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )


class Placing:
    """`View.into` for batches of pictures: blurring and sampling are one matrix per axis."""

    def __init__(self, view: View, other: View, device: torch.device) -> None:
        scale = other.scale / view.scale
        shift_x = (view.left - other.left) * other.scale
        shift_y = (view.top - other.top) * other.scale
        down = _line(view.height, other.height, scale, shift_y)
        across = _line(view.width, other.width, scale, shift_x).T
        self._down = torch.from_numpy(down).to(device)
        self._across = torch.from_numpy(np.ascontiguousarray(across)).to(device)

    def __call__(self, picture: Float32[Tensor, "B C h w"]) -> Float32[Tensor, "B C H W"]:
        """Pictures of the first view as the other shows them, 0 outside the first."""
        return self._down @ picture @ self._across


def _line(
    count: int, wanted: int, scale: float, shift: float
) -> Float32[np.ndarray, "{wanted} {count}"]:
    """The weights with which each pixel of the other view takes the pixels of a line."""
    place = (np.arange(wanted) + 0.5 - shift) / scale - 0.5
    first = np.floor(place).astype(int)
    share = place - first
    matrix = np.zeros((wanted, count))
    for index, weight in ((first, 1 - share), (first + 1, share)):
        rows = np.flatnonzero((index >= 0) & (index < count))
        matrix[rows, index[rows]] += weight[rows]
    if scale < 0.8:
        matrix = matrix @ _blur_matrix(count, 0.42 / scale)
    return matrix.astype(np.float32)


def gaussian(sigma: float) -> Float32[np.ndarray, " K"]:
    """The kernel that OpenCV uses for floating-point pictures; `sigma` in pixels."""
    size = round(sigma * 8 + 1) | 1
    return np.asarray(cv2.getGaussianKernel(size, sigma), np.float32)[:, 0]


def _blur_matrix(count: int, sigma: float) -> Float64[np.ndarray, "{count} {count}"]:
    """Blurs a line that is reflected at its ends."""
    kernel = gaussian(sigma)
    half = len(kernel) // 2
    matrix = np.zeros((count, count))
    period = max(2 * (count - 1), 1)
    for offset, weight in enumerate(kernel):
        source = np.abs(np.arange(count) + offset - half) % period
        source = np.minimum(source, period - source) if count > 1 else source * 0
        matrix[np.arange(count), source] += weight
    return matrix


def gaussians(sigmas: list[float]) -> Float32[np.ndarray, "B K"]:
    """Kernels of several widths, the shorter ones padded with 0."""
    kernels = [gaussian(sigma) for sigma in sigmas]
    longest = max(len(kernel) for kernel in kernels)
    return np.stack([np.pad(kernel, (longest - len(kernel)) // 2) for kernel in kernels])


def blurred(
    picture: Float32[Tensor, "B 1 H W"], kernels: Float32[Tensor, "B K"]
) -> Float32[Tensor, "B 1 H W"]:
    """Each picture blurred by its own kernel along both axes, reflected at its border."""
    half, count = kernels.shape[1] // 2, len(picture)
    # A picture narrower than the kernel cannot be reflected that far.
    mode = "reflect" if half < min(picture.shape[2:]) else "replicate"
    wider = functional.pad(picture, (half, half, half, half), mode=mode).transpose(0, 1)
    down, across = kernels[:, None, :, None], kernels[:, None, None, :]
    made = functional.conv2d(functional.conv2d(wider, down, groups=count), across, groups=count)
    return made.transpose(0, 1)


def box_blurred(picture: Float32[Tensor, "B C H W"], reach: int) -> Float32[Tensor, "B C H W"]:
    """The mean over a square of `2 reach + 1` pixels around each, reflected at the border."""
    size = 2 * reach + 1
    wider = functional.pad(picture, (reach, reach, reach, reach), mode="reflect")
    return functional.avg_pool2d(functional.avg_pool2d(wider, (size, 1), 1), (1, size), 1)


def ellipse(reach: int) -> list[tuple[int, int]]:
    """OpenCV's ellipse `2 reach + 1` wide as a union of rectangles: half widths, half heights."""
    size = 2 * reach + 1
    rows = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)).sum(axis=1) // 2
    return [
        (int(width), int(np.abs(np.flatnonzero(rows >= width) - reach).max()))
        for width in np.unique(rows)
    ]


def eroded(
    mask: Float32[Tensor, "B 1 H W"], rectangles: list[tuple[int, int]]
) -> Float32[Tensor, "B 1 H W"]:
    """A mask of 0 and 1 eroded by a union of rectangles, see `ellipse`.

    Pixels outside the picture do not count as outside the mask.
    """
    outside = 1.0 - mask
    found = outside
    for width, height in rectangles:
        wider = functional.max_pool2d(outside, (1, 2 * width + 1), 1, (0, width))
        wider = functional.max_pool2d(wider, (2 * height + 1, 1), 1, (height, 0))
        found = torch.maximum(found, wider)
    return 1.0 - found


def inside_polygon(
    ring: Float32[Tensor, "B N 2"], width: int, height: int
) -> Bool[Tensor, "B {height} {width}"]:
    """Which pixels have their centre inside the polygons."""
    after = ring.roll(-1, dims=1)
    x, y, next_x, next_y = (value[..., None] for value in (*ring.unbind(-1), *after.unbind(-1)))
    row = torch.arange(height, device=ring.device) + 0.5
    crossed = (y <= row) != (next_y <= row)
    at = x + (row - y) * (next_x - x) / torch.where(crossed, next_y - y, 1.0)
    first = torch.ceil(at - 0.5).clamp(0, width).long()
    # Each edge toggles inside and outside, from where it crosses a row to the row's end.
    turns = torch.zeros((len(ring), height, width + 1), device=ring.device)
    turns.scatter_add_(2, first.transpose(1, 2), crossed.transpose(1, 2).to(turns.dtype))
    return turns.cumsum(dim=2)[..., :width] % 2 > 0.5


@dataclass(frozen=True, eq=False)
class Boxes:
    """One rectangle of the same size in each of B pictures.

    left, top      its corner, on the device; `corners` is a copy in main memory
    width, height  its size
    own            left, top, right and bottom of the part that each picture needs
    present        1, or 0 for a picture that needs none
    """

    left: Int64[Tensor, " B"]
    top: Int64[Tensor, " B"]
    width: int
    height: int
    own: Int64[Tensor, "B 4"]
    present: Float32[Tensor, " B"]
    corners: Float32[np.ndarray, "B 1 2"]

    def corner(self) -> Float32[Tensor, "B 1 3"]:
        """The corner as (left, top, 0), to be subtracted from points (x, y, depth)."""
        zero = torch.zeros_like(self.left)
        return torch.stack([self.left, self.top, zero], dim=1)[:, None].float()

    def rows(self) -> Int64[Tensor, "B h"]:
        return self.top[:, None] + torch.arange(self.height, device=self.top.device)

    def columns(self) -> Int64[Tensor, "B w"]:
        return self.left[:, None] + torch.arange(self.width, device=self.left.device)

    def take(self, picture: Float32[Tensor, "B C H W"]) -> Float32[Tensor, "B C h w"]:
        """The rectangles of pictures."""
        return picture[self._index(picture)]

    def put(self, picture: Float32[Tensor, "B C H W"], values: Float32[Tensor, "B C h w"]) -> None:
        """Write `values` into the rectangles of pictures, in place."""
        picture[self._index(picture)] = values

    def _index(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        number = torch.arange(len(picture), device=picture.device)[:, None, None, None]
        channel = torch.arange(picture.shape[1], device=picture.device)[None, :, None, None]
        return number, channel, self.rows()[:, None, :, None], self.columns()[:, None, None, :]


def boxes_around(
    rings: Float32[np.ndarray, "B N dims"],
    wanted: list[bool],
    view: View,
    margin: float,
    device: torch.device,
) -> Boxes | None:
    """Boxes around points as `box_around` finds them; None if no picture needs one."""
    found = [
        box_around(ring, view.width, view.height, margin) if want else None
        for ring, want in zip(rings, wanted, strict=True)
    ]
    there = [box for box in found if box is not None]
    if not there:
        return None
    width = _stepped(max(box[2] - box[0] for box in there), view.width)
    height = _stepped(max(box[3] - box[1] for box in there), view.height)
    own = np.array([box or there[0] for box in found], np.int64)
    left = np.minimum(own[:, 0], view.width - width)
    top = np.minimum(own[:, 1], view.height - height)

    def tensor(values: Num[np.ndarray, ...]) -> Tensor:
        return torch.from_numpy(values).to(device)

    present = np.array([box is not None for box in found], np.float32)
    corners = np.stack([left, top], axis=1)[:, None].astype(np.float32)
    return Boxes(tensor(left), tensor(top), width, height, tensor(own), tensor(present), corners)


def _stepped(length: int, most: int) -> int:
    return min(-(-length // BOX_STEP) * BOX_STEP, most)
