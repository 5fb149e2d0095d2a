# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion network: normalised log-mel features and a style to curves, offsets and lip events.

One encoder processes the sound. Its heads classify what is heard (lip events, articulatory classes,
phones); three branches predict what the face does, as in VividTalk: lips and jaw, the rest of the
face, and offsets of the lip region in a compact basis. The style (see `speaker`) modulates the
branches.

Convolutions only, so a frame depends on +-`NetworkShape.context` frames and nothing else: long
audio can be cut into pieces that overlap by that much, with exactly the same result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional

from backend.audio.log_mel import BANDS
from backend.audio_to_mesh.channels import CLASSES, EVENTS, FACE_CHANNELS, MOUTH_CHANNELS
from backend.audio_to_mesh.speaker import OFFSETS, STYLE_SIZE


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the network; kept in the weight file so that it can be built again."""

    bands: int = BANDS
    width: int = 192
    kernel: int = 5
    groups: int = 4
    dilations: tuple[int, ...] = (1, 1, 2, 1, 2, 4, 1, 1)
    head_width: int = 96
    branch_width: int = 48
    style: int = STYLE_SIZE
    style_width: int = 32
    lips: int = len(MOUTH_CHANNELS)
    face: int = len(FACE_CHANNELS)
    offsets: int = OFFSETS
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
        # Two convolutions at the input, the inner ones at half the rate, one frame of alignment,
        # and the small convolution of the branches.
        return half + half + 2 * inner + 1 + 1


@dataclass(frozen=True)
class Outputs:
    """Raw outputs at 100 Hz.

    `curves` are in 0..1 (lips and jaw, then the rest of the face), `offsets` in units of the
    basis, the others are logits.
    """

    curves: Float32[Tensor, "B T C"]
    offsets: Float32[Tensor, "B T K"]
    events: Float32[Tensor, "B T 3"]
    classes: Float32[Tensor, "B T classes"]
    phones: Float32[Tensor, "B T P"]


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

    def forward(self, x: Float32[Tensor, "B T D"]) -> Float32[Tensor, "B T D"]:
        inner = functional.relu(self.convolution(self.norm(x).transpose(1, 2)))
        return x + functional.glu(self.linear(inner.transpose(1, 2)), dim=-1)


class _Branch(nn.Module):
    """What is heard to some outputs: a straight line, and beside it a path that style modulates.

    Scale and shift of the inner features come from the style embedding (feature-wise linear
    modulation, Perez et al. 2018). The second path begins at zero.
    """

    def __init__(self, shape: NetworkShape, outputs: int) -> None:
        super().__init__()
        width = shape.branch_width
        self.direct = nn.Linear(shape.head_width, outputs)
        self.narrow = nn.Linear(shape.head_width, width)
        self.blend = nn.Conv1d(width, width, 3, padding=1)
        self.out = nn.Linear(width, outputs)
        self.modulation = nn.Linear(shape.style_width, 4 * width)
        for zero in (self.out, self.modulation):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(
        self, hidden: Float32[Tensor, "B T head"], style: Float32[Tensor, "B 1 D"]
    ) -> Float32[Tensor, "B T N"]:
        """The branch's outputs from hidden features and an embedded style."""
        scale, shift, late_scale, late_shift = self.modulation(style).chunk(4, dim=-1)
        inner = functional.gelu(self.narrow(hidden) * (1.0 + scale) + shift)
        blended = self.blend(inner.transpose(1, 2)).transpose(1, 2)
        blended = functional.gelu(blended * (1.0 + late_scale) + late_shift)
        result: Float32[Tensor, "B T N"] = self.direct(hidden) + self.out(blended)
        return result


class MotionNetwork(nn.Module):
    """From normalised log-mel features, T even, and a style to `Outputs` of the same T.

    `profile` is the usual spectrum that features are relative to at the beginning of a recording
    (see `backend.audio.reference`); it is kept here because it belongs to the weights.
    """

    profile: Float32[Tensor, " bands"]

    def __init__(self, shape: NetworkShape | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape = shape or NetworkShape()
        half = shape.kernel // 2
        self.register_buffer("profile", torch.full((shape.bands,), -10.0))
        self.first = nn.Conv1d(shape.bands, shape.width, shape.kernel, padding=half)
        self.second = nn.Conv1d(shape.width, shape.width, shape.kernel, stride=2, padding=half)
        self.dropout = nn.Dropout1d(dropout)
        self.blocks = nn.ModuleList(_Block(shape, dilation) for dilation in shape.dilations)
        self.norm = nn.LayerNorm(shape.width)
        self.widen = nn.Linear(shape.width, 2 * shape.head_width)
        self.skip = nn.Linear(shape.width, shape.head_width)
        self.recognition = nn.Linear(shape.head_width, shape.events + shape.classes + shape.phones)
        self.style = nn.Linear(shape.style, shape.style_width)
        self.lips = _Branch(shape, shape.lips)
        self.face = _Branch(shape, shape.face)
        self.offsets = _Branch(shape, shape.offsets)

    def forward(
        self, features: Float32[Tensor, "B T bands"], style: Float32[Tensor, "B D"]
    ) -> Outputs:
        hidden = self.encode(features)
        sizes = [self.shape.events, self.shape.classes, self.shape.phones]
        events, classes, phones = self.recognition(hidden).split(sizes, dim=-1)
        curves, offsets = self.move(hidden, style)
        return Outputs(
            curves=curves, offsets=offsets, events=events, classes=classes, phones=phones
        )

    def encode(self, features: Float32[Tensor, "B T bands"]) -> Float32[Tensor, "B T head"]:
        """Hidden features of what is heard."""
        batch, frames, _ = features.shape
        fine = functional.relu(self.first(features.transpose(1, 2)))
        x = self.dropout(functional.relu(self.second(fine))).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        # Each frame at 50 Hz becomes two at 100 Hz.
        wide = self.widen(self.norm(x)).reshape(batch, frames, self.shape.head_width)
        return functional.gelu(wide + self.skip(fine.transpose(1, 2)))

    def move(
        self, hidden: Float32[Tensor, "B T head"], style: Float32[Tensor, "B D"]
    ) -> tuple[Float32[Tensor, "B T C"], Float32[Tensor, "B T K"]]:
        """Curves in 0..1 and offsets, from hidden features and a style."""
        embedding = functional.gelu(self.style(style))[:, None]
        curves = [branch(hidden, embedding) for branch in (self.lips, self.face)]
        offsets: Float32[Tensor, "B T K"] = self.offsets(hidden, embedding)
        return torch.sigmoid(torch.cat(curves, dim=-1)), offsets
