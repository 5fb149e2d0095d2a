# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two trainings of the video's networks have in common: schedule, averages, checkpoints.

A run ends after its steps or its minutes, whichever comes first, and goes on where it stopped.
Batches and everything random follow from the seed and the step, so that a resumed run does what
the unbroken one would have done.
"""

from __future__ import annotations

import json
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.training.loop.parallel import Worker
from shared.errors import ErrorKind, VividKeysError

CHECKPOINT = "checkpoint.safetensors"
Batch = dict[str, Tensor]


class Samples(Protocol):
    """Where batches come from: see `backend.training.video.sample_set`."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Random samples."""
        ...

    def next_batch(self, rng: np.random.Generator, size: int) -> tuple[Batch, Batch] | None:
        """Random samples and those that follow them in their film; None where there are none."""
        ...

    def look_again(self) -> int:
        """Take in samples that were made meanwhile."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How long a run is and how it steps. Defaults are for one thread of a CPU."""

    steps: int = 20_000
    minutes: float = 20.0
    seed: int = 0
    threads: int = 1
    batch: int = 6
    learning_rate: float = 4e-4
    final_share: float = 0.02
    warm_up: int = 60
    clip: float = 1.0
    # How much of the averaged weights a step keeps; less at the beginning.
    average: float = 0.998
    save_every: int = 250
    report_every: int = 50
    validate_every: int = 500
    validation: int = 16


class Run(ABC):
    """One run: modules, their optimisers, averaged weights, and where it stands.

    weights   the name of the file that it makes
    modules   everything that a checkpoint has to hold
    learning  which modules each optimiser moves, by the optimiser's name
    averaged  the module names whose averaged weights are validated and exported
    """

    weights: str

    def __init__(
        self,
        samples: Samples,
        schedule: Schedule,
        modules: dict[str, nn.Module],
        learning: dict[str, tuple[str, ...]],
        averaged: tuple[str, ...],
        worker: Worker | None,
    ) -> None:
        self.worker = worker or Worker(torch.device("cpu"))
        self.samples = samples
        self.schedule = schedule
        self.modules = modules
        self.learning = learning
        torch.set_num_threads(schedule.threads)
        if self.worker.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        for module in modules.values():
            place(module, self.worker.device)
        self.average = {
            f"{name}.{key}": value.detach().clone()
            for name in averaged
            for key, value in modules[name].state_dict().items()
        }
        self._averaged = averaged
        self.optimisers = {
            name: torch.optim.AdamW(
                [p for _, p in self._parameters(name)],
                lr=schedule.learning_rate,
                betas=(0.8, 0.99),
                weight_decay=1e-4,
            )
            for name in learning
        }
        self.step = 0
        self.elapsed = 0.0
        self._ahead: tuple[int, Future[Batch]] | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="samples")

    @abstractmethod
    def learn(self, batch: Batch) -> dict[str, float]:
        """Losses, gradients and the optimisers' steps for one batch."""

    @abstractmethod
    def validate(self, batch: Batch) -> dict[str, float]:
        """Figures of the averaged weights on samples that were not trained on."""

    @abstractmethod
    def export(self, path: Path) -> None:
        """Write the averaged weights as they ship."""

    def prepare(self) -> None:  # noqa: B027
        """What has to be learnt before the first step; nothing by default."""

    def progress(self) -> float:
        """How far along the schedule is, 0..1."""
        schedule = self.schedule
        return min(max(self.step / schedule.steps, self.elapsed / (schedule.minutes * 60.0)), 1.0)

    def autocast(self) -> AbstractContextManager[object]:
        """Half the bits in convolutions where they are quicker: on a GPU."""
        if self.worker.device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def generator(self, *numbers: int) -> np.random.Generator:
        """Random numbers of this run, this process and these numbers."""
        return np.random.default_rng([self.schedule.seed, self.worker.rank, *numbers])

    def optimise(self) -> dict[str, float]:
        """One step; returns the parts of this process's loss."""
        began = time.monotonic()
        schedule, worker = self.schedule, self.worker
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.progress())
        rate = schedule.learning_rate * (
            schedule.final_share + (1.0 - schedule.final_share) * cosine
        )
        rate *= min((self.step + 1) / schedule.warm_up, 1.0)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        torch.manual_seed((schedule.seed * 1_000_003 + self.step) * worker.count + worker.rank)
        parts = self.learn(self.to_device(self._draw()))
        keep = min(schedule.average, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name in self._averaged:
                for key, value in self.modules[name].state_dict().items():
                    self.average[f"{name}.{key}"].lerp_(value, 1.0 - keep)
        self.step += 1
        # All processes have to agree on the time, because the rate and the end follow it.
        (taken,) = worker.average([], time.monotonic() - began)
        self.elapsed += taken
        return parts

    def apply(self, name: str, loss: Tensor) -> None:
        """One step of the optimiser `name` down the gradient of a loss."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for _, p in self._parameters(name)]
        self.worker.average(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.schedule.clip)
        # One broken batch must not end a run; all processes see the same norm.
        if bool(torch.isfinite(norm)):
            optimiser.step()

    def averaged(self, name: str) -> dict[str, Tensor]:
        """The averaged weights of a module."""
        return _below(self.average, f"{name}.")

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(cancel_futures=True)

    def save(self, path: Path) -> None:
        """Everything needed to go on, in one safetensors file; `path` is replaced at once."""
        tensors = {f"average.{key}": value for key, value in self.average.items()}
        for name, module in self.modules.items():
            for key, value in module.state_dict().items():
                tensors[f"module.{name}.{key}"] = value
        for name, optimiser in self.optimisers.items():
            for key, parameter in self._parameters(name):
                for part, value in optimiser.state.get(parameter, {}).items():
                    tensors[f"optimiser.{name}.{part}.{key}"] = value
        kept = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        state = {"step": self.step, "elapsed": self.elapsed}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file(kept, partial, {"state": json.dumps(state)})
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint. Raises VividKeysError(bad_file) when it cannot be used."""
        try:
            self._resume(path)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"The checkpoint {path} is damaged, or of networks of another shape.",
                "Move it away to begin anew, or choose another --out.",
            ) from error

    def _resume(self, path: Path) -> None:
        with safe_open(path, "pt") as stream:
            state = json.loads(stream.metadata()["state"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        step, elapsed = int(state["step"]), float(state["elapsed"])
        device = self.worker.device
        found = {key: value.to(device) for key, value in _below(tensors, "average.").items()}
        if found.keys() != self.average.keys():
            raise ValueError("averages of other networks")
        for name, module in self.modules.items():
            module.load_state_dict(_below(tensors, f"module.{name}."))
        self.average = found
        for name, optimiser in self.optimisers.items():
            for key, parameter in self._parameters(name):
                parts = ("step", "exp_avg", "exp_avg_sq")
                values = {part: tensors.get(f"optimiser.{name}.{part}.{key}") for part in parts}
                if all(value is not None for value in values.values()):
                    optimiser.state[parameter] = {
                        part: value if part == "step" else value.to(device)
                        for part, value in values.items()
                        if value is not None
                    }
        self.step, self.elapsed = step, elapsed

    def _parameters(self, optimiser: str) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{name}.{key}", parameter)
            for name in self.learning[optimiser]
            for key, parameter in self.modules[name].named_parameters()
        ]

    def _draw(self) -> Batch:
        """The batch of this step; the next one is read meanwhile."""
        if self._ahead is not None and self._ahead[0] == self.step:
            batch = self._ahead[1].result()
        else:
            batch = self._read(self.step)
        following = self.step + 1
        self._ahead = (following, self._reader.submit(self._read, following))
        return batch

    def _read(self, step: int) -> Batch:
        return self.samples.batch(self.generator(step), self.schedule.batch)

    def to_device(self, batch: Batch) -> Batch:
        return {
            name: value.to(self.worker.device, torch.float32, memory_format=torch.channels_last)
            if value.dim() == 4
            else value.to(self.worker.device)
            for name, value in batch.items()
        }

    def validation_batches(self, held_out: Samples) -> Iterable[Batch]:
        """The same samples whenever it is asked, a few at a time."""
        rng = np.random.default_rng(12_345)
        left = self.schedule.validation
        while left > 0:
            size = min(left, 4)
            yield self.to_device(held_out.batch(rng, size))
            left -= size


def place(module: nn.Module, device: torch.device) -> None:
    """Bring a network to a device, its kernels in the order that convolutions are quickest in."""
    module.to(device)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def run_to_the_end(
    run: Run,
    output: Path,
    held_out: Samples | None = None,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
) -> Path:
    """To the end of the schedule, or on from the checkpoint in `output`; returns the weights."""
    checkpoint, worker = output / CHECKPOINT, run.worker
    if checkpoint.is_file():
        run.resume(checkpoint)
        if worker.leads:
            say(f"going on from step {run.step}")
    # Nobody may write the checkpoint before all have looked for it.
    worker.wait()
    try:
        if run.step == 0:
            run.prepare()
        _loop(run, checkpoint, held_out, say)
    finally:
        run.close()
    if worker.leads:
        run.save(checkpoint)
        if held_out is not None:
            say(_validated(run, held_out))
        run.export(output / run.weights)
    worker.wait()
    return output / run.weights


def _loop(run: Run, checkpoint: Path, held_out: Samples | None, say: Callable[[str], None]) -> None:
    schedule = run.schedule
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    while run.progress() < 1.0:
        # Parts that are not in every step are averaged over those that they are in.
        for name, value in run.optimise().items():
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1
        if not run.worker.leads:
            continue
        if run.step % schedule.report_every == 0:
            text = " ".join(f"{name} {value / counts[name]:.4f}" for name, value in sums.items())
            say(f"{run.step} {run.elapsed:.0f} s {text}")
            sums, counts = {}, {}
        if run.step % schedule.save_every == 0:
            run.save(checkpoint)
            run.samples.look_again()
        if held_out is not None and run.step % schedule.validate_every == 0:
            say(_validated(run, held_out))


def _validated(run: Run, held_out: Samples) -> str:
    sums: dict[str, list[float]] = {}
    for batch in run.validation_batches(held_out):
        for name, value in run.validate(batch).items():
            if math.isfinite(value):
                sums.setdefault(name, []).append(value)
    figures = " ".join(f"{name} {np.mean(values):.3f}" for name, values in sums.items())
    return f"{run.step} held out: {figures}"


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
