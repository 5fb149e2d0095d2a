# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion network: normalised log-mel features to curves, lip events, classes and phones.

Convolutions only, so a frame depends on +-`CONTEXT` frames and nothing else: long audio can be
cut into pieces that overlap by that much, with the very same result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.audio.log_mel import BANDS
from backend.audio_to_mesh.channels import CHANNELS, CLASSES, EVENTS


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the network; kept in the weight file so that it can be built again."""

    bands: int = BANDS
    width: int = 192
    kernel: int = 5
    groups: int = 4
    dilations: tuple[int, ...] = (1, 1, 2, 1, 2, 4, 1, 1)
    head_width: int = 96
    channels: int = len(CHANNELS)
    events: int = len(EVENTS)
    classes: int = len(CLASSES)
    phones: int = 41

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def context(self) -> int:
        """Frames at 100 Hz on either side that can influence a frame."""
        half = self.kernel // 2
        inner = half * sum(self.dilations)
        # Two convolutions at the ends, the inner ones at half the rate, one frame of alignment.
        return half + half + 2 * inner + 1


@dataclass(frozen=True)
class Outputs:
    """Raw outputs at 100 Hz, all [B, T, n]: `curves` in 0..1, the others logits."""

    curves: Tensor
    events: Tensor
    classes: Tensor
    phones: Tensor


class _Block(nn.Module):
    """Layer norm, grouped dilated convolution, gated linear unit, residual."""

    def __init__(self, shape: NetworkShape, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.width)
        self.convolution = nn.Conv1d(
            shape.width,
            shape.width,
            shape.kernel,
            padding=dilation * (shape.kernel // 2),
            dilation=dilation,
            groups=shape.groups,
        )
        self.linear = nn.Linear(shape.width, 2 * shape.width)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.convolution(self.norm(x).transpose(1, 2)))
        return x + functional.glu(self.linear(inner.transpose(1, 2)), dim=-1)


class MotionNetwork(nn.Module):
    """Log-mel [B, T, bands], T even, to `Outputs` of the same T."""

    def __init__(self, shape: NetworkShape | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape = shape or NetworkShape()
        half = shape.kernel // 2
        self.first = nn.Conv1d(shape.bands, shape.width, shape.kernel, padding=half)
        self.second = nn.Conv1d(shape.width, shape.width, shape.kernel, stride=2, padding=half)
        self.dropout = nn.Dropout1d(dropout)
        self.blocks = nn.ModuleList(_Block(shape, dilation) for dilation in shape.dilations)
        self.norm = nn.LayerNorm(shape.width)
        self.widen = nn.Linear(shape.width, 2 * shape.head_width)
        self.skip = nn.Linear(shape.width, shape.head_width)
        outputs = shape.channels + shape.events + shape.classes + shape.phones
        self.head = nn.Linear(shape.head_width, outputs)

    def forward(self, features: Tensor) -> Outputs:
        batch, frames, _ = features.shape
        fine = functional.relu(self.first(features.transpose(1, 2)))
        x = self.dropout(functional.relu(self.second(fine))).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        # Each frame at 50 Hz speaks for two at 100 Hz.
        wide = self.widen(self.norm(x)).reshape(batch, frames, self.shape.head_width)
        hidden = functional.gelu(wide + self.skip(fine.transpose(1, 2)))
        sizes = [self.shape.channels, self.shape.events, self.shape.classes, self.shape.phones]
        curves, events, classes, phones = self.head(hidden).split(sizes, dim=-1)
        return Outputs(torch.sigmoid(curves), events, classes, phones)
