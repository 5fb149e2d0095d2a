# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the motion network. Resumable; on a CPU or GPUs; checkpoints are safetensors.

The command line is `python -m backend train motion`.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.audio_to_mesh.network import MotionNetwork, NetworkShape
from backend.training.loop.parallel import Worker
from backend.training.motion.batches import BatchRecipe
from backend.training.motion.draw_ahead import Draw, Drawer, TrainingSet
from backend.training.motion.export import export_checkpoint
from backend.training.motion.losses import LossRecipe, losses
from backend.training.motion.set_statistics import measure
from backend.training.teacher.articulation import phone_names
from shared.errors import ErrorKind, VividKeysError

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "motion.safetensors"
_REPORT_EVERY = 50


@dataclass(frozen=True)
class MotionRecipe:
    """Everything a run depends on. The schedule ends at `steps` or after `minutes`, whichever
    comes first; the learning rate follows whichever is further along."""

    steps: int = 6000
    minutes: float = 45.0
    seed: int = 0
    threads: int = 1
    learning_rate: float = 1.3e-3
    final_share: float = 0.005
    decay: float = 0.02
    warm_up: int = 80
    clip: float = 1.0
    dropout: float = 0.1
    average: float = 0.998
    save_every: int = 250
    # A checkpoint or shipped weights that are the beginning instead of random ones.
    initial: Path | None = None
    # Draw batches in a process of its own; a thread has to share the interpreter with the steps.
    own_process: bool = True
    # Without the offsets' branch its outputs are zero.
    move_offsets: bool = True
    batch: BatchRecipe = field(default_factory=BatchRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    shape: NetworkShape = field(default_factory=lambda: NetworkShape(phones=len(phone_names())))


class Trainer:
    """One run: network, optimiser, averaged weights, and where it stands."""

    def __init__(
        self, source: TrainingSet, recipe: MotionRecipe, worker: Worker | None = None
    ) -> None:
        self.worker = worker or Worker(torch.device("cpu"))
        torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)  # the first weights
        self.recipe = recipe
        self.source = source
        self.prepared = source.open()
        statistics = measure(self.prepared)
        self.network = MotionNetwork(recipe.shape, recipe.dropout)
        with torch.no_grad():
            # The curves begin near rest instead of half open.
            self.network.lips.direct.bias.fill_(-2.5)
            self.network.face.direct.bias.fill_(-2.5)
            self.network.profile.copy_(torch.from_numpy(statistics.profile))
        if recipe.initial is not None:
            load_weights(self.network, recipe.initial)
        if not recipe.move_offsets:
            for parameter in self.network.offsets.parameters():
                torch.nn.init.zeros_(parameter.requires_grad_(False))
        self.network.to(self.worker.device)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        # Not the network's, but the weights' all the same: they go where these go.
        self.fixed = {
            "phones.poses": torch.from_numpy(statistics.phones.poses),
            "phones.share": torch.from_numpy(statistics.phones.share),
            "spread": torch.from_numpy(statistics.spread),
        }
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.decay
        )
        self.step = 0
        self.elapsed = 0.0
        self._drawer: Drawer | None = None

    def progress(self) -> float:
        """How far along the schedule is, 0..1."""
        recipe = self.recipe
        return min(max(self.step / recipe.steps, self.elapsed / (recipe.minutes * 60.0)), 1.0)

    def optimise(self) -> dict[str, float]:
        """One step; returns the parts of this process's loss."""
        recipe, worker = self.recipe, self.worker
        began = time.monotonic()
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.progress())
        rate = recipe.learning_rate * (recipe.final_share + (1.0 - recipe.final_share) * cosine)
        rate *= min((self.step + 1) / recipe.warm_up, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self._drawer is None:
            profile = self.network.profile.cpu().numpy().copy()
            draw = Draw(profile, recipe.batch, recipe.seed, worker.rank)
            self._drawer = Drawer(self.source, self.prepared, draw, recipe.own_process)
        # Seeds per step: a resumed run does what the unbroken one would have done.
        torch.manual_seed((recipe.seed * 1_000_003 + self.step) * worker.count + worker.rank)
        batch = self._drawer.take(self.step).to(worker.device)
        self.network.train()
        spread = self.fixed["spread"].to(worker.device)
        total, parts = losses(self.network(batch.features, batch.style), batch, spread, recipe.loss)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        # All processes have to agree on the time, because the rate and the end follow it.
        (taken,) = worker.average(self.network.parameters(), time.monotonic() - began)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimiser.step()
        keep = min(recipe.average, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1.0 - keep)
        self.step += 1
        self.elapsed += taken
        return {"total": float(total.detach()), **parts}

    def close(self) -> None:
        """Stop drawing batches."""
        if self._drawer is not None:
            self._drawer.close()
            self._drawer = None

    def save(self, path: Path) -> None:
        """Everything needed to go on, in one safetensors file; `path` is replaced at once."""
        tensors: dict[str, Tensor] = {f"fixed.{k}": v for k, v in self.fixed.items()}
        for name, value in self.network.state_dict().items():
            tensors[f"network.{name}"] = value
            tensors[f"average.{name}"] = self.average[name]
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{key}.{name}"] = value
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        state = {"step": self.step, "elapsed": self.elapsed, "shape": self.recipe.shape.as_dict()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file(tensors, partial, {"state": json.dumps(state)})
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint. Raises VividKeysError(bad_file) when it cannot be used."""
        try:
            self._resume(path)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"The checkpoint {path} is damaged, or of a network of another shape.",
                "Move it away to begin anew, or choose another --out.",
            ) from error

    def _resume(self, path: Path) -> None:
        self.close()  # its profile may be another
        with safe_open(path, "pt") as stream:
            state = json.loads(stream.metadata()["state"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        step, elapsed = int(state["step"]), float(state["elapsed"])
        self.network.load_state_dict(_below(tensors, "network."))
        device = self.worker.device
        self.average = {k: v.to(device) for k, v in _below(tensors, "average.").items()}
        # Checkpoints of older runs have none: those that were just measured will do.
        self.fixed |= _below(tensors, "fixed.")
        for name, parameter in self.network.named_parameters():
            keys = ("step", "exp_avg", "exp_avg_sq")
            found = {key: tensors.get(f"optimiser.{key}.{name}") for key in keys}
            if all(value is not None for value in found.values()):
                self.optimiser.state[parameter] = {
                    key: value if key == "step" else value.to(device)
                    for key, value in found.items()
                    if value is not None
                }
        self.step, self.elapsed = step, elapsed


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_weights(network: MotionNetwork, path: Path) -> None:
    """Take the averaged weights of a checkpoint, or shipped weights.

    Raises VividKeysError(bad_file) when the file is damaged or of a network of another shape.
    """
    try:
        with safe_open(path, "pt") as stream:
            tensors = {name: stream.get_tensor(name).float() for name in stream.keys()}  # noqa: SIM118
        weights = _below(tensors, "average.") or {
            name: value for name, value in tensors.items() if not name.startswith("phones.")
        }
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The weights in {path} are missing, damaged, or of a network of another shape.",
            "Name a checkpoint, or weights that this version of VividKeys wrote.",
        ) from error


def train(
    source: TrainingSet, output: Path, recipe: MotionRecipe, worker: Worker | None = None
) -> Trainer:
    """Run to the end of the schedule, or go on with the checkpoint found in `output`."""
    trainer = Trainer(source, recipe, worker)
    worker = trainer.worker
    checkpoint = output / CHECKPOINT
    if checkpoint.is_file():
        trainer.resume(checkpoint)
        if worker.leads:
            print(f"going on from step {trainer.step}", flush=True)
    # Nobody may write the checkpoint before all have looked for it.
    worker.wait()
    try:
        _to_the_end(trainer, checkpoint)
    finally:
        trainer.close()
    if worker.leads:
        trainer.save(checkpoint)
        export_checkpoint(checkpoint, output / WEIGHTS, "1")
    worker.wait()
    return trainer


def _to_the_end(trainer: Trainer, checkpoint: Path) -> None:
    sums: dict[str, float] = {}
    counted = 0
    while trainer.progress() < 1.0:
        for name, value in trainer.optimise().items():
            sums[name] = sums.get(name, 0.0) + value
        counted += 1
        if not trainer.worker.leads:
            continue
        if trainer.step % _REPORT_EVERY == 0:
            text = " ".join(f"{name} {value / counted:.3f}" for name, value in sums.items())
            print(f"{trainer.step} {trainer.elapsed:.0f} s {text}", flush=True)
            sums, counted = {}, 0
        if trainer.step % trainer.recipe.save_every == 0:
            trainer.save(checkpoint)
