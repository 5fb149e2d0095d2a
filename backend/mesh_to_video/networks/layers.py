# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks of the video are built from.

No layer looks at other pictures of a batch or keeps statistics: a frame looks the same alone, in
a batch, in training and afterwards.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2


def activate(values: Tensor) -> Tensor:
    """Leaky ReLU in place: several times quicker on a CPU than smooth ones."""
    return functional.leaky_relu(values, SLOPE, inplace=True)


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, gain: float = 1.0
) -> nn.Conv2d:
    """A convolution that keeps the size of values through `activate`, times `gain`."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    layer.weight.data.mul_(gain)
    return layer


class Residual(nn.Module):
    """Two convolutions added to their input; begins near the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        self.second = conv(width, width, gain=0.2)

    def forward(self, values: Tensor) -> Tensor:
        return values + self.second(activate(self.first(values)))


def double(values: Tensor) -> Tensor:
    """Twice the size."""
    return functional.interpolate(values, scale_factor=2.0, mode="nearest")


def shrink(values: Tensor, factor: int) -> Tensor:
    """The mean of each square of `factor` pixels."""
    return functional.avg_pool2d(values, factor)
