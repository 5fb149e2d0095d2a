# SPDX-License-Identifier: GPL-3.0-or-later
"""`soft_lips` for a batch of frames; masks and widths of the blur are computed on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from backend.mesh_to_video.frame.soft_lips import SoftLips

from .motion import Poses
from .pictures import blurred, gaussians


def soften(
    lips: SoftLips, colour: Float32[Tensor, "B 3 H W"], poses: Poses
) -> Float32[Tensor, "B 3 H W"]:
    """Frames with softened lips."""
    found = [lips.of(vertices) for vertices in poses.host]
    there = [one for one in found if one is not None]
    if not there:
        return colour
    left, top = min(one.left for one in there), min(one.top for one in there)
    right = max(one.left + one.mask.shape[1] for one in there)
    bottom = max(one.top + one.mask.shape[0] for one in there)
    # One rectangle for all frames; one that needs no blur has an empty mask.
    masks = np.zeros((len(found), 1, bottom - top, right - left), np.float32)
    for mask, one in zip(masks, found, strict=True):
        if one is not None:
            rows, columns = one.mask.shape
            y, x = one.top - top, one.left - left
            mask[0, y : y + rows, x : x + columns] = one.mask
    kernels = gaussians([one.width if one is not None else there[0].width for one in found])
    weights = torch.from_numpy(kernels).to(colour.device)
    part = colour[..., top:bottom, left:right]
    soft = torch.cat([blurred(part[:, channel : channel + 1], weights) for channel in range(3)], 1)
    colour = colour.clone()
    colour[..., top:bottom, left:right] = torch.lerp(
        part, soft, torch.from_numpy(masks).to(colour.device)
    )
    return colour
