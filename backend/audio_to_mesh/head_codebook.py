# SPDX-License-Identifier: GPL-3.0-or-later
"""The two networks of the head: a codebook of short motions, and the choice among them.

As in VividTalk (arXiv 2312.01841, section 3.2): a VQ-VAE learns a finite set of head motions, and
a mapping network asks that set for motion by the sound and the pose so far, while the decoder
stays as it is. Sizes, windows, the residual second level and the sampling are this project's
choices; the paper leaves them open.

A window is `WINDOW` steps of the 20 Hz grid, and windows begin every `HOP` steps: each moment lies
in two windows. A window's motion is [WINDOW, 6]: rotation and sway after each step relative to
the window's first frame, in `UNITS`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW, HOP = 12, 6
# Degrees of pitch, roll and yaw, and metres of sway, that count as one.
UNITS = (3.0, 3.0, 3.0, 0.012, 0.012, 0.012)
# What the mapping network hears of a window: its surroundings from 0.4 s before its first frame
# on, as loudness and speech (every other step) and stressed beats (every step). Later sound would
# have to be waited for.
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
    """Two levels of `codes` vectors; the second holds what the first leaves over.

    The vectors are moving averages of what was assigned to them (van den Oord et al. 2017,
    arXiv 1711.00937, appendix A.1), not trained by gradients.
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, shape: HeadPoseShape) -> None:
        super().__init__()
        size = (2, shape.codes, shape.code_size)
        self.register_buffer("codes", torch.randn(size) * 0.5)
        self.register_buffer("counts", torch.ones(size[:2]))
        self.register_buffer("sums", self.codes.clone())

    def nearest(self, rest: Tensor, level: int) -> Tensor:
        """Number [B] of the code of a level that is closest to `rest` [B, D]."""
        return torch.cdist(rest, self.codes[level]).argmin(dim=1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z [B, D] to chosen codes [B, 2] and their sum [B, D]."""
        first = self.nearest(z, 0)
        second = self.nearest(z - self.codes[0][first], 1)
        return torch.stack([first, second], 1), self.codes[0][first] + self.codes[1][second]

    def follow(self, z: Tensor, chosen: Tensor, decay: float) -> None:
        """Move the codes towards the z [B, D] that chose them."""
        rest = z
        for level in range(2):
            hits = functional.one_hot(chosen[:, level], self.codes.shape[1]).to(z.dtype)
            before = self.codes[level][chosen[:, level]]
            self.counts[level].mul_(decay).add_(hits.sum(0), alpha=1.0 - decay)
            self.sums[level].mul_(decay).add_(hits.T @ rest, alpha=1.0 - decay)
            self.codes[level].copy_(self.sums[level] / self.counts[level].clamp(min=1e-3)[:, None])
            rest = rest - before

    def revive(self, z: Tensor, least: float) -> int:
        """Replace codes used less than `least` times a batch by z [B, D] that are met; how many."""
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

    def encode(self, motion: Tensor) -> Tensor:
        """Motion [B, WINDOW, 6] to z [B, D]; form and size are seen apart, so calm counts too."""
        flat = motion.flatten(1)
        size = flat.square().mean(1, keepdim=True).add(1e-4).sqrt()
        z: Tensor = self.encoder(torch.cat([flat / size, size.log()], 1))
        return z

    def decode(self, codes: Tensor) -> Tensor:
        """Sums of codes [B, D] to motion [B, WINDOW, 6]."""
        out = self.decoder(codes)
        motion: Tensor = out[:, :-1] * torch.exp(out[:, -1:].clamp(-6.0, 3.0))
        return motion.reshape(-1, WINDOW, 6)

    def every_motion(self) -> Tensor:
        """The motion of every pair of codes [codes * codes, WINDOW, 6], the second varying first.

        The pose space as a table: generating needs no decoder.
        """
        first, second = self.codebook.codes
        return self.decode((first[:, None] + second[None]).flatten(0, 1))


class HeadPoseMapping(nn.Module):
    """What is heard, the two windows before, the pose so far and the head's style, to odds of the
    next codes.
    """

    def __init__(self, shape: HeadPoseShape) -> None:
        super().__init__()
        codes, state = shape.codes, shape.state
        self.listen = nn.Sequential(
            nn.Linear(HEARD, state), nn.GELU(), nn.Linear(state, state), nn.GELU()
        )
        self.sound = nn.Linear(state, state)
        # Rows of the first and second level of the last window, then of the one before it; one
        # row more for 'there was none'.
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
        self, heard: Tensor, before: Tensor, pose: Tensor, style: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Heard [B, HEARD], before [B, 4] code numbers, pose [B, 6] at the window's first frame
        in `UNITS`, style [B, 1] how lively the head is (0 as most, -1 calm, 1 lively), first [B]
        the chosen first code: log odds of first and second codes [B, codes].
        """
        total = self.sound(self.listen(heard)) + self.pose(pose) + self.style(style)
        for column, rows in enumerate(self.before):
            total = total + rows[before[:, column]]
        inner = torch.tanh(total)
        inner = inner + torch.tanh(self.hidden(inner))
        return self.first(inner), self.second(torch.tanh(inner + self.given[first]))
