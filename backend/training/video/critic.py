# SPDX-License-Identifier: GPL-3.0-or-later
"""The patch discriminator (critic) for pictures of mouths and eyes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from backend.mesh_to_video.networks.layers import activate, conv


class PatchCritic(nn.Module):
    """Scores a picture, given the composite that it was made from, per 8 x 8 pixels.

    Spectral normalisation bounds its gradients; there is no batch normalisation.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 40, 64)) -> None:
        super().__init__()
        first, second, third = widths
        self.layers = nn.ModuleList(
            [
                spectral_norm(conv(24, first)),
                spectral_norm(conv(first, second, stride=2)),
                spectral_norm(conv(second, third, stride=2)),
            ]
        )
        self.score = spectral_norm(conv(third, 1))

    def forward(
        self, pictures: Float[Tensor, "N 3 H W"], composite: Float[Tensor, "N 3 H W"]
    ) -> tuple[Float[Tensor, "N 1 _ _"], list[Float[Tensor, "N _ _ _"]]]:
        """Scores at an eighth of the size, and the features of each layer."""
        both = torch.cat([pictures, composite], dim=1) - 0.5
        values, found = functional.pixel_unshuffle(both, 2), []
        for layer in self.layers:
            values = activate(layer(values))
            found.append(values)
        return self.score(values), found
