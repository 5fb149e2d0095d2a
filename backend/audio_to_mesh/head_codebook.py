# SPDX-License-Identifier: GPL-3.0-or-later
"""The two head-pose networks: a codebook of short motions, and the mapping that chooses among them.

As in VividTalk (arXiv 2312.01841, section 3.2): a VQ-VAE learns a finite set of head motions, and
a mapping network queries that set from the sound and the pose so far, while the decoder stays
fixed. Sizes, windows, the residual second level and the sampling are this project's choices; the
paper leaves them open.

A window is `WINDOW` steps of the 20 Hz grid, and windows begin every `HOP` steps: each moment lies
in two windows. A window's motion is [WINDOW, 6]: rotation and sway after each step relative to
the window's first frame, in `UNITS`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

WINDOW, HOP = 12, 6
# Degrees of pitch, roll and yaw, and metres of sway, that count as one.
UNITS = (3.0, 3.0, 3.0, 0.012, 0.012, 0.012)
# What the mapping network hears of a window: loudness and speech (every other step) and stressed
# beats (every step), from 0.4 s before its first frame on. More of what follows would mean waiting
# for it.
HEARD_BEFORE, SOUND_AFTER, BEATS_AFTER = 8, 10, 12
HEARD = 2 * HEARD_BEFORE + SOUND_AFTER + BEATS_AFTER


@dataclass(frozen=True)
class HeadPoseShape:
    """Sizes of both networks; kept in the weight file so that they can be built again."""

    codes: int = 128
    """Entries of each of the two levels of the codebook."""
    code_size: int = 16
    width: int = 128
    """Hidden units of encoder and decoder."""
    state: int = 96
    """Hidden units of the mapping network."""

    def as_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return asdict(self)


class Codebook(nn.Module):
    """Two levels of `codes` vectors; the second quantises the residual of the first.

    The vectors are moving averages of what was assigned to them (van den Oord et al. 2017,
    arXiv 1711.00937, appendix A.1), not trained by gradients.
    """

    codes: Float32[Tensor, "2 N D"]
    counts: Float32[Tensor, "2 N"]
    sums: Float32[Tensor, "2 N D"]

    def __init__(self, shape: HeadPoseShape) -> None:
        super().__init__()
        size = (2, shape.codes, shape.code_size)
        self.register_buffer("codes", torch.randn(size) * 0.5)
        self.register_buffer("counts", torch.ones(size[:2]))
        self.register_buffer("sums", self.codes.clone())

    def nearest(self, rest: Float32[Tensor, "B D"], level: int) -> Int64[Tensor, " B"]:
        """Indices of the codes of a level that are closest to `rest`."""
        return torch.cdist(rest, self.codes[level]).argmin(dim=1)

    def forward(
        self, z: Float32[Tensor, "B D"]
    ) -> tuple[Int64[Tensor, "B 2"], Float32[Tensor, "B D"]]:
        """Quantise `z`: the chosen codes, and their sums."""
        first = self.nearest(z, 0)
        second = self.nearest(z - self.codes[0][first], 1)
        return torch.stack([first, second], 1), self.codes[0][first] + self.codes[1][second]

    def follow(self, z: Float32[Tensor, "B D"], chosen: Int64[Tensor, "B 2"], decay: float) -> None:
        """Move the codes towards the rows of `z` that chose them."""
        rest = z
        for level in range(2):
            hits = functional.one_hot(chosen[:, level], self.codes.shape[1]).to(z.dtype)
            before = self.codes[level][chosen[:, level]]
            self.counts[level].mul_(decay).add_(hits.sum(0), alpha=1.0 - decay)
            self.sums[level].mul_(decay).add_(hits.T @ rest, alpha=1.0 - decay)
            self.codes[level].copy_(self.sums[level] / self.counts[level].clamp(min=1e-3)[:, None])
            rest = rest - before

    def revive(self, z: Float32[Tensor, "B D"], least: float) -> int:
        """Replace codes used less than `least` times per batch by rows of `z`; returns how many."""
        revived = 0
        rest = z
        for level in range(2):
            dead = torch.nonzero(self.counts[level] < least)[:, 0]
            chosen = self.nearest(rest, level)
            if len(dead):
                fresh = rest[torch.randint(len(rest), (len(dead),))]
                self.codes[level][dead] = fresh
                self.counts[level][dead] = 1.0
                self.sums[level][dead] = fresh
                revived += len(dead)
            rest = rest - self.codes[level][chosen]
        return revived


class HeadPoseVae(nn.Module):
    """Encoder, codebook and decoder of windows [B, WINDOW, 6] in `UNITS`."""

    def __init__(self, shape: HeadPoseShape) -> None:
        super().__init__()
        size = WINDOW * 6
        self.encoder = nn.Sequential(
            nn.Linear(size + 1, shape.width),
            nn.GELU(),
            nn.Linear(shape.width, shape.width),
            nn.GELU(),
            nn.Linear(shape.width, shape.code_size),
        )
        self.decoder = nn.Sequential(
            nn.Linear(shape.code_size, shape.width),
            nn.GELU(),
            nn.Linear(shape.width, shape.width),
            nn.GELU(),
            nn.Linear(shape.width, size + 1),
        )
        self.codebook = Codebook(shape)

    def encode(self, motion: Float32[Tensor, "B T 6"]) -> Float32[Tensor, "B D"]:
        """Encode windows; shape and magnitude go in separately, so that calm motion counts too."""
        flat = motion.flatten(1)
        size = flat.square().mean(1, keepdim=True).add(1e-4).sqrt()
        z: Float32[Tensor, "B D"] = self.encoder(torch.cat([flat / size, size.log()], 1))
        return z

    def decode(self, codes: Float32[Tensor, "B D"]) -> Float32[Tensor, "B T 6"]:
        """Decode sums of codes to windows of motion."""
        out = self.decoder(codes)
        motion: Tensor = out[:, :-1] * torch.exp(out[:, -1:].clamp(-6.0, 3.0))
        return motion.reshape(-1, WINDOW, 6)

    def every_motion(self) -> Float32[Tensor, "N T 6"]:
        """The motion of every pair of codes, the second varying fastest.

        With the pose space as a table, generating motion needs no decoder.
        """
        first, second = self.codebook.codes
        return self.decode((first[:, None] + second[None]).flatten(0, 1))


class HeadPoseMapping(nn.Module):
    """Predicts the next codes from sound, the two previous windows, the pose so far and a style."""

    def __init__(self, shape: HeadPoseShape) -> None:
        super().__init__()
        codes, state = shape.codes, shape.state
        self.listen = nn.Sequential(
            nn.Linear(HEARD, state), nn.GELU(), nn.Linear(state, state), nn.GELU()
        )
        self.sound = nn.Linear(state, state)
        # Rows for the first and second level of the last window, then of the one before it; one
        # more row stands for 'there was none'.
        self.before = nn.ParameterList(
            nn.Parameter(torch.randn(codes + 1, state) * 0.3) for _ in range(4)
        )
        self.pose = nn.Linear(6, state, bias=False)
        self.style = nn.Linear(1, state, bias=False)
        self.hidden = nn.Linear(state, state)
        self.first = nn.Linear(state, codes)
        self.given = nn.Parameter(torch.randn(codes, state) * 0.1)
        self.second = nn.Linear(state, codes)

    def forward(
        self,
        heard: Float[Tensor, "B heard"],
        before: Int64[Tensor, "B 4"],
        pose: Float[Tensor, "B 6"],
        style: Float[Tensor, "B 1"],
        first: Int64[Tensor, " B"],
    ) -> tuple[Float[Tensor, "B codes"], Float[Tensor, "B codes"]]:
        """Logits of the first and of the second code.

        `heard` has `HEARD` columns, `before` holds code indices, `pose` is the pose at the
        window's first frame in `UNITS`, `style` how lively the head is (-1 calm, 0 average,
        1 lively), and `first` the first code that was chosen.
        """
        total = self.sound(self.listen(heard)) + self.pose(pose) + self.style(style)
        for column, rows in enumerate(self.before):
            total = total + rows[before[:, column]]
        inner = torch.tanh(total)
        inner = inner + torch.tanh(self.hidden(inner))
        return self.first(inner), self.second(torch.tanh(inner + self.given[first]))
