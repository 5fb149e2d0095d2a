# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the motion network. Resumable; on a CPU; checkpoints are safetensors.

OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 python -m backend.training.train_motion \\
        CACHE OUTPUT [MINUTES [INITIAL_CHECKPOINT LEARNING_RATE [SEED]]]
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.audio_to_mesh.network import MotionNetwork, NetworkShape
from backend.training.batches import Batch, BatchRecipe, clips_by_corpus, draw_batch
from backend.training.export import export
from backend.training.losses import LossRecipe, losses
from backend.training.prepare import Prepared, load_prepared
from backend.training.teacher import phone_names


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
    # A checkpoint whose averaged weights are the beginning instead of random ones.
    initial: Path | None = None
    batch: BatchRecipe = field(default_factory=BatchRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    shape: NetworkShape = field(default_factory=lambda: NetworkShape(phones=len(phone_names())))


class Trainer:
    """One run: network, optimiser, averaged weights, and where it stands."""

    def __init__(self, prepared: Prepared, recipe: MotionRecipe) -> None:
        torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)  # the first weights
        self.recipe = recipe
        self.prepared = prepared
        self.clips_of = clips_by_corpus(prepared)
        self.network = MotionNetwork(recipe.shape, recipe.dropout)
        with torch.no_grad():
            # The curves begin near rest instead of half open.
            self.network.head.bias[: recipe.shape.channels] = -2.5
        if recipe.initial is not None:
            self.network.load_state_dict(_averaged_weights(recipe.initial))
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.decay
        )
        self.step = 0
        self.elapsed = 0.0
        self._drawer = ThreadPoolExecutor(1)
        self._ahead_step = -1
        self._ahead: Future[Batch] = Future()
        self.spread = _spread(prepared)

    def progress(self) -> float:
        """How far along the schedule is, 0..1."""
        recipe = self.recipe
        return min(max(self.step / recipe.steps, self.elapsed / (recipe.minutes * 60.0)), 1.0)

    def optimise(self) -> dict[str, float]:
        """One step; returns the parts of the loss."""
        recipe = self.recipe
        began = time.monotonic()
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.progress())
        rate = recipe.learning_rate * (recipe.final_share + (1.0 - recipe.final_share) * cosine)
        rate *= min((self.step + 1) / recipe.warm_up, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Seeds per step: a resumed run draws what the unbroken one would have drawn.
        torch.manual_seed(recipe.seed * 1_000_003 + self.step)
        batch = self._next_batch()
        self.network.train()
        total, parts = losses(self.network(batch.features), batch, self.spread, recipe.loss)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimiser.step()
        keep = min(recipe.average, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1.0 - keep)
        self.step += 1
        self.elapsed += time.monotonic() - began
        return {"total": float(total.detach()), **parts}

    def _draw(self, step: int) -> Batch:
        random = np.random.default_rng([self.recipe.seed, step])
        return draw_batch(self.prepared, self.clips_of, self.recipe.batch, random)

    def _next_batch(self) -> Batch:
        """The batch of this step; the one after it is drawn meanwhile by another thread."""
        batch = self._ahead.result() if self._ahead_step == self.step else self._draw(self.step)
        self._ahead_step = self.step + 1
        self._ahead = self._drawer.submit(self._draw, self._ahead_step)
        return batch

    def save(self, path: Path) -> None:
        """Everything needed to go on, in one safetensors file; `path` is replaced at once."""
        tensors: dict[str, Tensor] = {}
        for name, value in self.network.state_dict().items():
            tensors[f"network.{name}"] = value
            tensors[f"average.{name}"] = self.average[name]
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{key}.{name}"] = value
        state = {"step": self.step, "elapsed": self.elapsed, "shape": self.recipe.shape.as_dict()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file(tensors, partial, {"state": json.dumps(state)})
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        with safe_open(path, "pt") as stream:
            state = json.loads(stream.metadata()["state"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        self.step, self.elapsed = int(state["step"]), float(state["elapsed"])
        own = {k.removeprefix("network."): v for k, v in tensors.items() if k[:8] == "network."}
        self.network.load_state_dict(own)
        self.average = {
            k.removeprefix("average."): v for k, v in tensors.items() if k[:8] == "average."
        }
        for name, parameter in self.network.named_parameters():
            keys = ("step", "exp_avg", "exp_avg_sq")
            found = {key: tensors.get(f"optimiser.{key}.{name}") for key in keys}
            if all(value is not None for value in found.values()):
                self.optimiser.state[parameter] = found


def _averaged_weights(checkpoint: Path) -> dict[str, Tensor]:
    with safe_open(checkpoint, "pt") as stream:
        names = [name for name in stream.keys() if name.startswith("average.")]  # noqa: SIM118
        return {name.removeprefix("average."): stream.get_tensor(name) for name in names}


def _spread(prepared: Prepared) -> Tensor:
    """Standard deviation of each channel and of its change per frame, [2, C].

    Floors keep channels that hardly move from counting for more than they show.
    """
    pieces = [
        prepared.curves[s : s + n].astype(np.float32)
        for s, n in zip(prepared.start[::7], prepared.length[::7], strict=True)
    ]
    curves = np.concatenate(pieces)
    change = np.concatenate([np.diff(piece, axis=0) for piece in pieces])
    spread = np.stack([curves.std(axis=0), change.std(axis=0)])
    return torch.from_numpy(np.maximum(spread, [[0.03], [0.004]]).astype(np.float32))


def train(prepared: Prepared, output: Path, recipe: MotionRecipe) -> Trainer:
    """Run to the end of the schedule, or go on with the checkpoint found in `output`."""
    trainer = Trainer(prepared, recipe)
    checkpoint = output / "checkpoint.safetensors"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
        print(f"going on from step {trainer.step}", flush=True)
    sums: dict[str, float] = {}
    while trainer.progress() < 1.0:
        for name, value in trainer.optimise().items():
            sums[name] = sums.get(name, 0.0) + value / 50
        if trainer.step % 50 == 0:
            text = " ".join(f"{name} {value:.3f}" for name, value in sums.items())
            print(f"{trainer.step} {trainer.elapsed:.0f} s {text}", flush=True)
            sums = {}
        if trainer.step % recipe.save_every == 0:
            trainer.save(checkpoint)
    trainer.save(checkpoint)
    export(
        trainer.average,
        recipe.shape.as_dict(),
        output / "motion.safetensors",
        steps=trainer.step,
        version="1",
    )
    return trainer


if __name__ == "__main__":
    chosen = MotionRecipe()
    if len(sys.argv) > 3:
        chosen = replace(chosen, minutes=float(sys.argv[3]))
    if len(sys.argv) > 5:
        # Going on from finished weights: a lower rate, and other batches than the first time.
        rate, initial = float(sys.argv[5]), Path(sys.argv[4])
        seed = int(sys.argv[6]) if len(sys.argv) > 6 else 1
        chosen = replace(chosen, learning_rate=rate, initial=initial, seed=seed)
    train(load_prepared(Path(sys.argv[1]) / "prepared"), Path(sys.argv[2]), chosen)
