# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of nobody: smooth noise with a face-shaped code in it, moved by known fields."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.mesh_to_video.networks.warping import lay_in, warp

Batch = dict[str, Tensor]


class MadeUpSamples:
    """A few samples. What the geometry misses is a motion of the mouth's surroundings, told by
    the maps of the lips; or, to be `painted`, a face that is brighter than the photo's."""

    def __init__(self, count: int = 3, films: bool = True, painted: bool = False) -> None:
        generator = torch.Generator().manual_seed(4)

        def smooth(channels: int, cells: int) -> Tensor:
            noise = torch.rand(count, channels, cells, cells, generator=generator)
            return functional.interpolate(noise, size=256, mode="bicubic").clamp(0.0, 1.0)

        line = torch.arange(256.0) + 0.5
        across, down = line[None, :].expand(256, 256), line[:, None].expand(256, 256)
        inner = ((across - 128) / 70) ** 2 + ((down - 140) / 90) ** 2 < 1
        face = inner.float().expand(count, 1, 256, 256).clone()
        code = torch.stack([(across - 58) / 140, (down - 50) / 180, torch.full_like(down, 0.5)])
        code = code.clamp(0.0, 1.0)[None] * face
        photo, flow = smooth(3, 32), 6.0 * smooth(2, 4) - 3.0
        inside = torch.zeros(count, 4, 256, 256)
        inside[:, :3, 184:196, 112:144], inside[:, 3, 184:196, 112:144] = 0.7, 1.0
        near = torch.exp(-((((across - 128) / 40) ** 2 + ((down - 190) / 30) ** 2) ** 2))
        signs = torch.tensor([1.0, -1.0]).repeat(count)[:count, None, None]
        missed = torch.zeros(count, 2, 256, 256)
        if not painted:
            missed[:, 1] = 2.5 * signs * near
        lips = torch.zeros(count, 8, 64, 64)
        lips[:, :, 44:52, 26:38] = signs[:, None]
        target = lay_in(warp(photo, flow + missed), inside)
        if painted:
            target = (target + 0.2 * face).clamp(max=1.0)
        self._films = films
        self.samples: Batch = {
            "photo": photo,
            "photo_code": torch.lerp(photo, code, face),
            "target": target,
            "flow": flow,
            "exact_flow": flow + missed,
            "seen": torch.ones(count, 1, 256, 256),
            "face": face,
            "person": face,
            "code": code,
            "inside": inside,
            "lips": lips,
        }

    def _chosen(self, places: np.ndarray) -> Batch:
        index = torch.from_numpy(places)
        return {name: values[index] for name, values in self.samples.items()}

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        return self._chosen(rng.integers(len(self.samples["photo"]), size=size))

    def next_batch(self, rng: np.random.Generator, size: int) -> tuple[Batch, Batch] | None:
        if not self._films:
            return None
        first = self.batch(rng, size)
        # A still film.
        return first, dict(first)

    def look_again(self) -> int:
        return len(self.samples["photo"])
