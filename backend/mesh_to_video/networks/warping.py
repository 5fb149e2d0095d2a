# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures moved by a motion field, in torch: differentiable, on any device.

A flow [N, 2, H, W] says in pixels of a picture of that size where each pixel comes from, minus its
own place (x, then y).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sampling_grid(flow: Tensor) -> Tensor:
    """[N, H, W, 2] for `sample`: where each pixel comes from, -1..1 over the picture."""
    height, width = flow.shape[-2:]
    across = (torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5)[None, None, :]
    down = (torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5)[None, :, None]
    return torch.stack(
        [
            (flow[:, 0] + across) * (2.0 / width) - 1.0,
            (flow[:, 1] + down) * (2.0 / height) - 1.0,
        ],
        dim=-1,
    )


def sample(picture: Tensor, grid: Tensor) -> Tensor:
    """A picture [N, C, h, w] at the places of a grid [N, H, W, 2]: [N, C, H, W], bilinear."""
    return functional.grid_sample(
        picture, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """A picture [N, C, H, W] moved by a flow [N, 2, H, W] of its own size."""
    return sample(picture, sampling_grid(flow))


def lay_in(picture: Tensor, inside: Tensor) -> Tensor:
    """The mouth's interior `inside` [N, 4, H, W] (colours, cover) over a picture [N, 3, H, W]."""
    return torch.lerp(picture, inside[:, :3], inside[:, 3:])


def enlarge_flow(flow: Tensor, side: int) -> Tensor:
    """A field [N, C, h, w] at another size; its values stay, whatever pixels they are in."""
    return functional.interpolate(flow, size=(side, side), mode="bilinear", align_corners=False)
