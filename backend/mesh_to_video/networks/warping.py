# SPDX-License-Identifier: GPL-3.0-or-later
"""Warping of pictures by a motion field, in torch: differentiable, on any device.

A flow says where each pixel comes from, minus its own position (x, then y), in pixels of a picture
of the flow's size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def sampling_grid(flow: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N H W 2"]:
    """The grid for `sample`: where each pixel comes from, -1..1 over the picture."""
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


def sample(
    picture: Float[Tensor, "N C h w"], grid: Float[Tensor, "N H W 2"]
) -> Float[Tensor, "N C H W"]:
    """A picture at the positions of a grid, by bilinear interpolation."""
    return functional.grid_sample(
        picture, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def warp(
    picture: Float[Tensor, "N C H W"], flow: Float[Tensor, "N 2 H W"]
) -> Float[Tensor, "N C H W"]:
    """A picture warped by a flow of its own size."""
    return sample(picture, sampling_grid(flow))


def lay_in(
    picture: Float[Tensor, "N 3 H W"], inside: Float[Tensor, "N 4 H W"]
) -> Float[Tensor, "N 3 H W"]:
    """The mouth's interior `inside` (colour, opacity) composited over a picture."""
    return torch.lerp(picture, inside[:, :3], inside[:, 3:])


def enlarge_flow(flow: Float[Tensor, "N C h w"], side: int) -> Float[Tensor, "N C {side} {side}"]:
    """A field resampled to another size; its values are not rescaled."""
    return functional.interpolate(flow, size=(side, side), mode="bilinear", align_corners=False)
