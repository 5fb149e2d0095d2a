# SPDX-License-Identifier: GPL-3.0-or-later
"""One training run: its networks, their optimisers, the averaged weights and its progress.

All randomness is determined by the seed and the step, so that a resumed run does what an
uninterrupted one would have done.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backend.training.loop.average import copied_weights, follow
from backend.training.loop.checkpoint import load_checkpoint, save_checkpoint
from backend.training.loop.parallel import Worker
from backend.training.loop.schedule import Schedule
from backend.training.loop.tensor_files import below
from backend.watch import UNWATCHED, Watch


def begin(schedule: Schedule) -> None:
    """Set the threads, and seed the initial weights; call it before networks are made."""
    torch.set_num_threads(schedule.threads)
    torch.manual_seed(schedule.seed)


class Run(ABC):
    """What `run_to_the_end` drives.

    weights   the name of the exported file
    modules   all networks; they are part of a checkpoint
    fixed     other tensors that a checkpoint has to hold, because the weights depend on them
    average   the averaged weights, as MODULE.NAME
    step      how many steps have been taken, in `elapsed` seconds
    """

    weights: str

    def __init__(
        self,
        schedule: Schedule,
        modules: Mapping[str, nn.Module],
        learning: Mapping[str, tuple[str, ...]],
        averaged: tuple[str, ...] = (),
        worker: Worker | None = None,
    ) -> None:
        """Move the modules to the worker's device and make an optimiser for each group.

        `learning` maps an optimiser's name to the modules it trains, as far as their parameters
        require gradients; `averaged` names the modules whose weights are averaged.
        """
        self.schedule = schedule
        self.worker = worker or Worker(torch.device("cpu"))
        self.modules = {name: module.to(self.worker.device) for name, module in modules.items()}
        self.parameters = {
            optimiser: {
                f"{name}.{key}": parameter
                for name in names
                for key, parameter in self.modules[name].named_parameters()
                if parameter.requires_grad
            }
            for optimiser, names in learning.items()
        }
        self.optimisers = {
            name: torch.optim.AdamW(
                parameters.values(),
                lr=schedule.learning_rate,
                betas=schedule.betas,
                weight_decay=schedule.decay,
            )
            for name, parameters in self.parameters.items()
        }
        self._averaged = {name: self.modules[name] for name in averaged}
        self.average = copied_weights(self._averaged)
        self.fixed: dict[str, Tensor] = {}
        self.step = 0
        self.elapsed = 0.0

    @abstractmethod
    def take_step(self) -> dict[str, float]:
        """Draw a batch and `apply` its losses; returns the terms of this process's loss."""

    @abstractmethod
    def export(self, path: Path) -> None:
        """Write the weights in the form that ships."""

    def prepare(self, _watch: Watch = UNWATCHED, /) -> None:
        """Do what has to be done before the first step; nothing by default."""
        return

    def judge(self) -> str:
        """Figures on held-out data, as a line to print; none by default."""
        return ""

    def rest(self) -> None:
        """Called after every checkpoint; does nothing by default."""
        return

    def close(self) -> None:
        """Release threads and processes; there are none by default."""
        return

    def about(self) -> dict[str, Any]:
        """What a checkpoint's metadata holds besides step and time."""
        return {}

    def of_older_runs(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's tensors, renamed from what an earlier version called them."""
        return tensors

    def progress(self) -> float:
        """How far along the schedule is, 0..1."""
        return self.schedule.progress(self.step, self.elapsed)

    def rate(self) -> float:
        """The learning rate of this step."""
        return self.schedule.rate(self.step, self.progress())

    def seed_step(self) -> None:
        """Seed torch by the number of this step (and the process)."""
        worker = self.worker
        number = self.schedule.seed * 1_000_003 + self.step
        torch.manual_seed(number * worker.count + worker.rank)

    def optimise(self) -> dict[str, float]:
        """Take one step; returns the terms of this process's loss."""
        began = time.monotonic()
        rate = self.rate()
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        self.seed_step()
        parts = self.take_step()
        follow(self.average, self._averaged, self.schedule.average, self.step)
        self.step += 1
        # All processes have to agree on the time: the learning rate and the end depend on it.
        (taken,) = self.worker.average([], time.monotonic() - began)
        self.elapsed += taken
        return parts

    def apply(self, name: str, loss: Tensor) -> None:
        """One step of the optimiser `name` down the gradient of a loss."""
        optimiser, parameters = self.optimisers[name], list(self.parameters[name].values())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.worker.average(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.schedule.clip)
        # One broken batch must not end a run; all processes see the same norm.
        if bool(torch.isfinite(norm)):
            optimiser.step()

    def averaged(self, name: str) -> dict[str, Tensor]:
        """The averaged weights of a module."""
        return below(self.average, f"{name}.")

    def save(self, path: Path) -> None:
        """Write everything needed to resume to one safetensors file, atomically."""
        save_checkpoint(self, path)

    def resume(self, path: Path) -> None:
        """Resume from a checkpoint. Raises VividKeysError(bad_file) when it cannot be used."""
        load_checkpoint(self, path)
