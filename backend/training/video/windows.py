# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of the face crop to train on, most of them around the mouth and the eyes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backend.training.video.regions import Regions

# How often a window is centred on the mouth, the eyes, the face, or anywhere.
_SHARES = (0.45, 0.25, 0.2, 0.1)


@dataclass(frozen=True)
class Windows:
    """Corners of square windows of `side` pixels."""

    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    side: int

    def cut(self, pictures: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C S S"]:
        """The windows, one cut from each picture."""
        cut = [
            pictures[n, :, top : top + self.side, left : left + self.side]
            for n, (left, top) in enumerate(zip(self.lefts, self.tops, strict=True))
        ]
        return torch.stack(cut).contiguous(memory_format=torch.channels_last)

    def shifted(self, across: int, down: int) -> Windows:
        """The same windows, shifted by some pixels."""
        return Windows(
            tuple(left + across for left in self.lefts),
            tuple(top + down for top in self.tops),
            self.side,
        )

    def twice(self) -> Windows:
        """The same windows for two concatenated batches."""
        return Windows(self.lefts * 2, self.tops * 2, self.side)


def choose_windows(where: Regions, side: int, room: int = 8) -> Windows:
    """One random window per picture.

    All keep `room` pixels to the right and lower border, so that they can be shifted. Random
    numbers come from torch's default generator.
    """
    full = where.face.shape[-1]
    most = full - side - room
    if most <= 0:
        return Windows((0,) * len(where.face), (0,) * len(where.face), side)
    lefts, tops = [], []
    drawn = torch.rand(len(where.face), 3)
    for n, (kind, first, second) in enumerate(drawn.tolist()):
        if kind < sum(_SHARES[:1]):
            mask = where.mouth[n, 0]
        elif kind < sum(_SHARES[:2]):
            mask = where.eyes[n, 0]
        elif kind < sum(_SHARES[:3]):
            mask = where.face[n, 0]
        else:
            mask = torch.ones_like(where.face[n, 0])
        row, column = _place(mask, first)
        # Not always at the centre of the window.
        column += int((second - 0.5) * 0.3 * side)
        lefts.append(min(max(column - side // 2, 0), most))
        tops.append(min(max(row - side // 2, 0), most))
    return Windows(tuple(lefts), tuple(tops), side)


def _place(mask: Float[Tensor, "H W"], share: float) -> tuple[int, int]:
    """Row and column of a random pixel, with probabilities proportional to the mask."""
    coarse = mask[::4, ::4].reshape(-1).cpu()
    total = torch.cumsum(coarse.double(), dim=0)
    if float(total[-1]) <= 0.0:
        return mask.shape[0] // 2, mask.shape[1] // 2
    index = int(torch.searchsorted(total, share * total[-1]).clamp(max=len(total) - 1))
    width = mask[::4, ::4].shape[1]
    return 4 * (index // width), 4 * (index % width)
