# SPDX-License-Identifier: GPL-3.0-or-later
"""Random batches of stored samples with cheap augmentation, as the networks take them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from shared.errors import ErrorKind, VividKeysError

from .samples import HALVES, NEXT, NOTE, SHARES, shards_in

Batch = dict[str, Tensor]

# Maps of the right and left halves of the lips alternate: mirroring swaps them.
_LIPS_MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)
# Arrays that are relit together; so is `inside`, except for its last channel.
_COLOURED = ("photo", "target", "composite")


class SampleSet:
    """The samples of a folder, memory-mapped.

    `kinds` keeps only samples of these kinds; `varied` enables augmentation. Shards that are
    finished later are picked up by `look_again`.
    """

    def __init__(
        self, folder: Path, kinds: tuple[str, ...] | None = None, varied: bool = True
    ) -> None:
        self._folder, self._kinds, self._varied = folder, kinds, varied
        self._shards: dict[Path, dict[str, NDArray[np.generic]]] = {}
        self._places: list[tuple[Path, int]] = []
        self._with_next: list[tuple[Path, int]] = []
        self.look_again()
        if not self._places:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"There are no training samples in '{folder}'.",
                "Make them first: python -m backend.training.video.make_samples.",
            )

    def __len__(self) -> int:
        return len(self._places)

    def look_again(self) -> int:
        """Pick up shards finished in the meantime; returns the total number of samples."""
        for shard in shards_in(self._folder):
            if shard in self._shards:
                continue
            kinds = json.loads((shard / NOTE).read_text("utf-8"))["kinds"]
            arrays = {
                name: np.load(shard / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in (*SHARES, *HALVES, NEXT)
            }
            self._shards[shard] = arrays
            for number, kind in enumerate(kinds):
                if self._kinds is None or kind in self._kinds:
                    self._places.append((shard, number))
                    if arrays[NEXT][number] >= 0:
                        self._with_next.append((shard, number))
        return len(self._places)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` random samples: float32 [N,C,H,W] by name (see `samples.py`).

        Colours and masks are in 0..1, flows in pixels; `exact_flow` is NaN where it is unknown.
        """
        chosen = rng.integers(len(self._places), size=size)
        batch = self._read([self._places[index] for index in chosen])
        return self._vary(batch, rng) if self._varied else batch

    def next_batch(self, rng: np.random.Generator, size: int) -> tuple[Batch, Batch] | None:
        """`size` random samples and their next frames, with the same augmentation.

        None where no sample has a next frame.
        """
        if not self._with_next:
            return None
        chosen = [self._with_next[i] for i in rng.integers(len(self._with_next), size=size)]
        after = [(shard, int(self._shards[shard][NEXT][number])) for shard, number in chosen]
        both = self._read(chosen + after)
        if self._varied:
            seed = int(rng.integers(2**31))
            parts = [{n: v[part] for n, v in both.items()} for part in _halves(size)]
            first, second = (self._vary(part, np.random.default_rng(seed)) for part in parts)
            return first, second
        first, second = ({n: v[part] for n, v in both.items()} for part in _halves(size))
        return first, second

    def all(self, most: int) -> Batch:
        """Up to `most` samples, evenly spaced and without augmentation, for validation."""
        step = max(1, len(self._places) // most)
        return self._read(self._places[::step][:most])

    def _read(self, places: list[tuple[Path, int]]) -> Batch:
        batch = {}
        for name in (*SHARES, *HALVES):
            stacked = np.stack([self._shards[shard][name][number] for shard, number in places])
            values = torch.from_numpy(stacked).float()
            batch[name] = values / 255.0 if name in SHARES else values
        return batch

    def _vary(self, batch: Batch, rng: np.random.Generator) -> Batch:
        count = len(batch["photo"])
        varied = mirrored(batch, torch.from_numpy(rng.random(count) < 0.5))
        gain = np.exp(rng.normal(0, 0.15, (count, 1)) + rng.normal(0, 0.09, (count, 3)))
        gamma = np.exp(rng.normal(0, 0.1, (count, 1)))
        varied = relit(varied, torch.from_numpy(gain).float(), torch.from_numpy(gamma).float())
        varied = self._soft_footage(varied, torch.from_numpy(rng.random(count) < 0.35), rng)
        photo, composite = varied["photo"], varied["composite"]
        # Grain in the photo but not in the target, so that the network learns not to copy it.
        grain = rng.uniform(0.0, 0.014, count) * (rng.random(count) < 0.4)
        if grain.any():
            level = torch.from_numpy(grain).float()[:, None, None, None]
            photo, composite = (
                (
                    x + level * torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
                ).clamp(0.0, 1.0)
                for x in (photo, composite)
            )
        return {**varied, "photo": photo, "composite": composite}

    def _soft_footage(
        self, batch: Batch, which: Bool[Tensor, " N"], rng: np.random.Generator
    ) -> Batch:
        """Blur photo, target and composite of the samples `which`, as a soft lens would.

        The drawn interior of the mouth stays sharp.
        """
        if not which.any():
            return batch
        chosen = which[:, None, None, None]
        times = int(rng.integers(1, 6))

        def soft(picture: Tensor) -> Tensor:
            for _ in range(times):
                picture = _softened(picture)
            return picture

        cover = batch["inside"][:, 3:]
        blurred = {name: soft(batch[name]) for name in ("photo", "target", "composite")}
        blurred["composite"] = torch.lerp(blurred["composite"], batch["composite"], cover)
        return {
            **batch,
            **{name: torch.where(chosen, value, batch[name]) for name, value in blurred.items()},
        }


def _halves(size: int) -> tuple[slice, slice]:
    return slice(0, size), slice(size, 2 * size)


def mirrored(batch: Batch, which: Bool[Tensor, " N"]) -> Batch:
    """The batch with the samples `which` mirrored."""
    if not which.any():
        return batch
    chosen = which[:, None, None, None]
    result = {}
    for name, values in batch.items():
        turned = values.flip(-1)
        if name in ("flow", "exact_flow"):
            turned = turned * torch.tensor((-1.0, 1.0))[:, None, None]
        elif name == "lips":
            turned = turned[:, list(_LIPS_MIRRORED)]
        elif name in ("code", "photo_code"):
            # The first channel is the coordinate across the face.
            face = batch["face" if name == "code" else "photo_face"].flip(-1) > 0.5
            across = torch.where(face, 1.0 - turned[:, :1], turned[:, :1])
            turned = torch.cat([across, turned[:, 1:]], dim=1)
        result[name] = torch.where(chosen, turned, values)
    return result


def relit(batch: Batch, gain: Float32[Tensor, "N 3"], gamma: Float32[Tensor, "N 1"]) -> Batch:
    """The batch with gain and gamma applied to all colours of a sample alike."""
    factor, power = gain[:, :, None, None], gamma[:, :, None, None]

    def shown(colours: Float32[Tensor, "N 3 H W"]) -> Float32[Tensor, "N 3 H W"]:
        return (factor * colours.clamp(min=1e-4) ** power).clamp(0.0, 1.0)

    result = dict(batch)
    for name in _COLOURED:
        result[name] = shown(batch[name])
    inside = batch["inside"]
    result["inside"] = torch.cat([shown(inside[:, :3]), inside[:, 3:]], dim=1)
    code, face = batch["photo_code"], batch["photo_face"]
    result["photo_code"] = torch.where(face > 0.5, code, shown(code))
    return result


def _softened(picture: Float32[Tensor, "N C H W"]) -> Float32[Tensor, "N C H W"]:
    """Slightly blurred."""
    kernel = torch.tensor((0.15, 0.7, 0.15))
    weights = (kernel[:, None] * kernel[None]).expand(picture.shape[1], 1, 3, 3)
    padded = functional.pad(picture, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, weights.contiguous(), groups=picture.shape[1])
