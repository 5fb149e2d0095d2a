# SPDX-License-Identifier: GPL-3.0-or-later
"""A perceptual measure that needs no downloaded network: features of a small denoiser.

It learns on the training pictures to restore what noise and grey patches took from them, and so
knows edges, skin and features of faces. Afterwards its encoder is kept as it is and pictures are
compared by what it sees.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backend.mesh_to_video.networks.layers import activate, conv, double


class PictureFeatures(nn.Module):
    """Encoder and decoder of the denoiser, at a half, a quarter and an eighth of the size."""

    def __init__(self, widths: tuple[int, int, int] = (24, 40, 64)) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = conv(12, first)
        self.down = nn.ModuleList([conv(first, second, stride=2), conv(second, third, stride=2)])
        self.up = nn.ModuleList([conv(third, second), conv(second, first)])
        self.answer = conv(first, 12, gain=0.3)

    def features(self, pictures: Float[Tensor, "N 3 H W"]) -> list[Float[Tensor, "N _ _ _"]]:
        """Three levels; each pixel's features have length 1, so that light counts less."""
        levels = [activate(self.stem(functional.pixel_unshuffle(pictures - 0.5, 2)))]
        for layer in self.down:
            levels.append(activate(layer(levels[-1])))
        return [functional.normalize(values, dim=1, eps=1e-3) for values in levels]

    def forward(self, pictures: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
        """Pictures as they were before they were spoilt."""
        values = activate(self.stem(functional.pixel_unshuffle(pictures - 0.5, 2)))
        for layer in self.down:
            values = activate(layer(values))
        for layer in self.up:
            values = double(activate(layer(values)))
        return functional.pixel_shuffle(self.answer(values), 2) + 0.5


def spoil(pictures: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """Noise everywhere, and a fifth of the squares of 8 pixels grey."""
    count, _, height, width = pictures.shape
    noise = torch.randn_like(pictures) * 0.06
    hidden = torch.rand(count, 1, height // 8, width // 8, device=pictures.device) < 0.2
    hidden = hidden.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    return torch.where(hidden, 0.5, pictures + noise)


def perceptual_error(
    network: PictureFeatures, made: Float[Tensor, "N 3 H W"], real: Float[Tensor, "N 3 H W"]
) -> Float[Tensor, ""]:
    """How differently the network sees two sets of pictures."""
    with torch.no_grad():
        wanted = network.features(real)
    found = network.features(made)
    parts = [(a - b).abs().sum(dim=1).mean() for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean()
