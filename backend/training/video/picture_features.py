# SPDX-License-Identifier: GPL-3.0-or-later
"""A perceptual loss without a downloaded network: features of a small denoiser.

It is trained on the training pictures to remove noise and fill grey patches, and so learns edges,
skin and facial features. Afterwards its encoder is frozen, and pictures are compared by its
features.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backend.mesh_to_video.networks.layers import activate, conv, double


class PictureFeatures(nn.Module):
    """Encoder and decoder of the denoiser, at 1/2, 1/4 and 1/8 of the size."""

    def __init__(self, widths: tuple[int, int, int] = (24, 40, 64)) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = conv(12, first)
        self.down = nn.ModuleList([conv(first, second, stride=2), conv(second, third, stride=2)])
        self.up = nn.ModuleList([conv(third, second), conv(second, first)])
        self.answer = conv(first, 12, gain=0.3)

    def features(self, pictures: Float[Tensor, "N 3 H W"]) -> list[Float[Tensor, "N _ _ _"]]:
        """Features of three levels, normalised per pixel so that brightness counts less."""
        levels = [activate(self.stem(functional.pixel_unshuffle(pictures - 0.5, 2)))]
        for layer in self.down:
            levels.append(activate(layer(levels[-1])))
        return [functional.normalize(values, dim=1, eps=1e-3) for values in levels]

    def forward(self, pictures: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
        """The restored pictures."""
        values = activate(self.stem(functional.pixel_unshuffle(pictures - 0.5, 2)))
        for layer in self.down:
            values = activate(layer(values))
        for layer in self.up:
            values = double(activate(layer(values)))
        return functional.pixel_shuffle(self.answer(values), 2) + 0.5


def spoil(pictures: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """Add noise everywhere, and make a fifth of the 8 x 8 pixel blocks grey."""
    count, _, height, width = pictures.shape
    noise = torch.randn_like(pictures) * 0.06
    hidden = torch.rand(count, 1, height // 8, width // 8, device=pictures.device) < 0.2
    hidden = hidden.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    return torch.where(hidden, 0.5, pictures + noise)


def perceptual_error(
    network: PictureFeatures, made: Float[Tensor, "N 3 H W"], real: Float[Tensor, "N 3 H W"]
) -> Float[Tensor, ""]:
    """The distance of two sets of pictures in the network's features."""
    with torch.no_grad():
        wanted = network.features(real)
    found = network.features(made)
    parts = [(a - b).abs().sum(dim=1).mean() for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean()
