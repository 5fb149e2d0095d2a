# SPDX-License-Identifier: GPL-3.0-or-later
"""Building blocks of the video's networks.

No layer depends on other pictures of a batch or keeps statistics: a frame comes out the same alone,
in a batch, in training and in use.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2


def activate(values: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
    """Leaky ReLU, in place: several times faster on a CPU than smooth activations."""
    return functional.leaky_relu(values, SLOPE, inplace=True)


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, gain: float = 1.0
) -> nn.Conv2d:
    """A convolution whose initial weights preserve variance through `activate`, times `gain`."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    layer.weight.data.mul_(gain)
    return layer


class Residual(nn.Module):
    """Two convolutions added to their input; initially close to the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        self.second = conv(width, width, gain=0.2)

    def forward(self, values: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        change: Tensor = self.second(activate(self.first(values)))
        return values + change


def double(values: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C 2*H 2*W"]:
    """Twice the resolution, by nearest neighbour."""
    return functional.interpolate(values, scale_factor=2.0, mode="nearest")


def shrink(values: Float[Tensor, "N C H W"], factor: int) -> Float[Tensor, "N C h w"]:
    """The mean of each block of `factor` by `factor` pixels."""
    return functional.avg_pool2d(values, factor)
