# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to stacks of pictures on a device, as OpenCV does it to one on the CPU.

Pictures are float32 [B,C,H,W]; places in them are pixels whose centres lie at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from backend.mesh_to_video.frame.mouth_interior import box_around
from backend.mesh_to_video.frame.view import View

Singles = NDArray[np.float32]

# Sides of boxes are multiples of this, so that the same blocks of memory serve again.
BOX_STEP = 8


def as_planes(picture: NDArray[np.generic], device: torch.device) -> Tensor:
    """A picture [H,W] or [H,W,C] as float32 [1,C,H,W] on the device."""
    values = np.atleast_3d(np.asarray(picture, np.float32))
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)[None])).to(device)


def sampled(picture: Tensor, x: Tensor, y: Tensor, mode: str) -> Tensor:
    """A picture [B or 1,C,h,w] at places [B,H,W], "bilinear" or "bicubic"; its border goes on."""
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
    """`View.into` for stacks of pictures: blurring and sampling are one matrix per axis."""

    def __init__(self, view: View, other: View, device: torch.device) -> None:
        scale = other.scale / view.scale
        shift_x = (view.left - other.left) * other.scale
        shift_y = (view.top - other.top) * other.scale
        down = _line(view.height, other.height, scale, shift_y)
        across = _line(view.width, other.width, scale, shift_x).T
        self._down = torch.from_numpy(down).to(device)
        self._across = torch.from_numpy(np.ascontiguousarray(across)).to(device)

    def __call__(self, picture: Tensor) -> Tensor:
        """Pictures [B,C,h,w] of the one view as the other shows them, 0 where the first ends."""
        return self._down @ picture @ self._across


def _line(count: int, wanted: int, scale: float, shift: float) -> Singles:
    """[wanted,count]: what each pixel of the other view takes from a line of this one."""
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


def gaussian(sigma: float) -> Singles:
    """The weights that OpenCV chooses for floating-point pictures."""
    size = round(sigma * 8 + 1) | 1
    return np.asarray(cv2.getGaussianKernel(size, sigma), np.float32)[:, 0]


def _blur_matrix(count: int, sigma: float) -> NDArray[np.float64]:
    """[count,count]: a line blurred, reflected at its ends."""
    kernel = gaussian(sigma)
    half = len(kernel) // 2
    matrix = np.zeros((count, count))
    period = max(2 * (count - 1), 1)
    for offset, weight in enumerate(kernel):
        source = np.abs(np.arange(count) + offset - half) % period
        source = np.minimum(source, period - source) if count > 1 else source * 0
        matrix[np.arange(count), source] += weight
    return matrix


def gaussians(sigmas: list[float]) -> Singles:
    """The same for several widths, [B,K], 0 beyond the ends of the shorter ones."""
    kernels = [gaussian(sigma) for sigma in sigmas]
    longest = max(len(kernel) for kernel in kernels)
    return np.stack([np.pad(kernel, (longest - len(kernel)) // 2) for kernel in kernels])


def blurred(picture: Tensor, kernels: Tensor) -> Tensor:
    """Each picture [B,1,H,W] blurred by its own weights [B,K] along both axes, reflected at its
    border.
    """
    half, count = kernels.shape[1] // 2, len(picture)
    # What is narrower than the blur cannot be reflected so far.
    mode = "reflect" if half < min(picture.shape[2:]) else "replicate"
    wider = functional.pad(picture, (half, half, half, half), mode=mode).transpose(0, 1)
    down, across = kernels[:, None, :, None], kernels[:, None, None, :]
    made = functional.conv2d(functional.conv2d(wider, down, groups=count), across, groups=count)
    return made.transpose(0, 1)


def box_blurred(picture: Tensor, reach: int) -> Tensor:
    """The mean of the square of `2 reach + 1` pixels around each, reflected at the border."""
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


def eroded(mask: Tensor, rectangles: list[tuple[int, int]]) -> Tensor:
    """A mask [B,1,H,W] of 0 and 1 less all that is within a union of rectangles of its outside.
    What is beyond the picture does not count.
    """
    outside = 1.0 - mask
    found = outside
    for width, height in rectangles:
        wider = functional.max_pool2d(outside, (1, 2 * width + 1), 1, (0, width))
        wider = functional.max_pool2d(wider, (2 * height + 1, 1), 1, (height, 0))
        found = torch.maximum(found, wider)
    return 1.0 - found


def inside_polygon(ring: Tensor, width: int, height: int) -> Tensor:
    """Which pixels' middles lie within the polygons [B,N,2]: bool [B,height,width]."""
    after = ring.roll(-1, dims=1)
    x, y, next_x, next_y = (value[..., None] for value in (*ring.unbind(-1), *after.unbind(-1)))
    row = torch.arange(height, device=ring.device) + 0.5
    crossed = (y <= row) != (next_y <= row)
    at = x + (row - y) * (next_x - x) / torch.where(crossed, next_y - y, 1.0)
    first = torch.ceil(at - 0.5).clamp(0, width).long()
    # Every edge turns inside to outside, from where it crosses a row to the row's end.
    turns = torch.zeros((len(ring), height, width + 1), device=ring.device)
    turns.scatter_add_(2, first.transpose(1, 2), crossed.transpose(1, 2).to(turns.dtype))
    return turns.cumsum(dim=2)[..., :width] % 2 > 0.5


@dataclass(frozen=True, eq=False)
class Boxes:
    """One rectangle of the same size in each picture of a stack.

    left, top  [B] where it begins; width, height its size
    own        [B,4] left, top, right and bottom of what each picture needs, within it
    present    [B] 1, or 0 for a picture that needs none
    corners    [B,1,2] left and top beside the device
    """

    left: Tensor
    top: Tensor
    width: int
    height: int
    own: Tensor
    present: Tensor
    corners: Singles

    def corner(self) -> Tensor:
        """[B,1,3] to be taken from points [B,V,3]."""
        zero = torch.zeros_like(self.left)
        return torch.stack([self.left, self.top, zero], dim=1)[:, None].float()

    def rows(self) -> Tensor:
        return self.top[:, None] + torch.arange(self.height, device=self.top.device)

    def columns(self) -> Tensor:
        return self.left[:, None] + torch.arange(self.width, device=self.left.device)

    def take(self, picture: Tensor) -> Tensor:
        """[B,C,h,w] of [B,C,H,W]."""
        return picture[self._index(picture)]

    def put(self, picture: Tensor, values: Tensor) -> None:
        """Write [B,C,h,w] into [B,C,H,W]."""
        picture[self._index(picture)] = values

    def _index(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        number = torch.arange(len(picture), device=picture.device)[:, None, None, None]
        channel = torch.arange(picture.shape[1], device=picture.device)[None, :, None, None]
        return number, channel, self.rows()[:, None, :, None], self.columns()[:, None, None, :]


def boxes_around(
    rings: Singles, wanted: list[bool], view: View, margin: float, device: torch.device
) -> Boxes | None:
    """Boxes around points [B,N,>=2] as `box_around` finds them; None where no picture needs one."""
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

    def tensor(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(device)

    present = np.array([box is not None for box in found], np.float32)
    corners = np.stack([left, top], axis=1)[:, None].astype(np.float32)
    return Boxes(tensor(left), tensor(top), width, height, tensor(own), tensor(present), corners)


def _stepped(length: int, most: int) -> int:
    return min(-(-length // BOX_STEP) * BOX_STEP, most)
