# SPDX-License-Identifier: GPL-3.0-or-later
"""The common base of both video trainings.

It covers the source of pictures, their memory layout, and validation of the averaged weights on
held-out people.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from backend.training.loop.parallel import Worker
from backend.training.loop.run import Run
from backend.training.loop.schedule import Schedule

Batch = dict[str, Tensor]


@runtime_checkable
class Samples(Protocol):
    """A source of batches: see `backend.training.video.sample_set`."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Random samples."""
        ...

    def next_batch(self, rng: np.random.Generator, size: int) -> tuple[Batch, Batch] | None:
        """Random samples and their next frames; None where there are none."""
        ...

    def look_again(self) -> int:
        """Pick up samples that have been made in the meantime."""
        ...


@dataclass(frozen=True, kw_only=True)
class PictureSchedule(Schedule):
    """A schedule with batch sizes; the defaults are for a single CPU thread.

    `batch` is the number of samples per step, `validation` of those used for validation.
    """

    steps: int = 20_000
    minutes: float = 20.0
    learning_rate: float = 4e-4
    final_share: float = 0.02
    warm_up: int = 60
    decay: float = 1e-4
    betas: tuple[float, float] = (0.8, 0.99)
    clip: float = 1.0
    batch: int = 6
    validation: int = 16


class PictureRun(Run):
    """A run on samples of faces; while one batch is trained on, the next one is read."""

    def __init__(
        self,
        samples: Samples,
        schedule: PictureSchedule,
        modules: Mapping[str, nn.Module],
        learning: Mapping[str, tuple[str, ...]],
        averaged: tuple[str, ...],
        worker: Worker | None,
        held_out: Samples | None = None,
    ) -> None:
        worker = worker or Worker(torch.device("cpu"))
        if worker.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        for module in modules.values():
            place(module, worker.device)
        super().__init__(schedule, modules, learning, averaged, worker)
        self.samples = samples
        self.held_out = held_out
        self._batch, self._validation = schedule.batch, schedule.validation
        self._ahead: tuple[int, Future[Batch]] | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="samples")

    @abstractmethod
    def learn(self, batch: Batch) -> dict[str, float]:
        """Train on one batch: losses, gradients and the optimisers' steps."""

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, float]:
        """Figures of the averaged weights on held-out samples."""

    def take_step(self) -> dict[str, float]:
        return self.learn(self.to_device(self._draw()))

    def judge(self) -> str:
        if self.held_out is None:
            return ""
        sums: dict[str, list[float]] = {}
        for batch in self.validation_batches(self.held_out):
            for name, value in self.validate(batch).items():
                if math.isfinite(value):
                    sums.setdefault(name, []).append(value)
        return " ".join(f"{name} {np.mean(values):.3f}" for name, values in sums.items())

    def rest(self) -> None:
        self.samples.look_again()

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(cancel_futures=True)

    def autocast(self) -> AbstractContextManager[object]:
        """Autocast to bfloat16 on a GPU; nothing on a CPU."""
        if self.worker.device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def generator(self, *numbers: int) -> np.random.Generator:
        """A random generator seeded by this run, this process and `numbers`."""
        return np.random.default_rng([self.schedule.seed, self.worker.rank, *numbers])

    def random_batch(self, rng: np.random.Generator) -> Batch:
        """The samples of a step."""
        return self.samples.batch(rng, self._batch)

    def to_device(self, batch: Batch) -> Batch:
        return {
            name: value.to(self.worker.device, torch.float32, memory_format=torch.channels_last)
            if value.dim() == 4
            else value.to(self.worker.device)
            for name, value in batch.items()
        }

    def validation_batches(self, held_out: Samples) -> Iterable[Batch]:
        """The validation samples, always the same ones, a few at a time."""
        rng = np.random.default_rng(12_345)
        left = self._validation
        while left > 0:
            size = min(left, 4)
            yield self.to_device(held_out.batch(rng, size))
            left -= size

    def _draw(self) -> Batch:
        """The batch of this step; the next one is read in the background."""
        if self._ahead is not None and self._ahead[0] == self.step:
            batch = self._ahead[1].result()
        else:
            batch = self._read(self.step)
        following = self.step + 1
        self._ahead = (following, self._reader.submit(self._read, following))
        return batch

    def _read(self, step: int) -> Batch:
        return self.random_batch(self.generator(step))


def place(module: nn.Module, device: torch.device) -> None:
    """Move a network to a device, with its kernels in channels-last order."""
    module.to(device)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
