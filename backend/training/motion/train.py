# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the motion network. Resumable; on a CPU or GPUs; checkpoints are safetensors.

The command line is `python -m backend train motion`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from backend.audio_to_mesh.network import MotionNetwork, NetworkShape
from backend.training.loop.parallel import Worker
from backend.training.loop.run import Run, begin
from backend.training.loop.schedule import Schedule
from backend.training.loop.tensor_files import below, read_tensors
from backend.training.loop.to_the_end import PRINTED, run_to_the_end
from backend.training.motion.batches import BatchRecipe
from backend.training.motion.draw_ahead import Draw, Drawer, TrainingSet
from backend.training.motion.export import export
from backend.training.motion.losses import LossRecipe, losses
from backend.training.motion.older_checkpoints import present_names
from backend.training.motion.set_statistics import measure
from backend.training.teacher.articulation import phone_names
from backend.watch import Watch
from shared.errors import ErrorKind, VividKeysError

WEIGHTS = "motion.safetensors"
_NAME = "network"


@dataclass(frozen=True, kw_only=True)
class MotionRecipe(Schedule):
    """Everything that a run depends on apart from its training set."""

    steps: int = 6000
    minutes: float = 45.0
    learning_rate: float = 1.3e-3
    final_share: float = 0.005
    warm_up: int = 80
    decay: float = 0.02
    clip: float = 1.0
    dropout: float = 0.1
    # A checkpoint or shipped weights to start from instead of random ones.
    initial: Path | None = None
    # Draw batches in a separate process; a thread would share the interpreter lock with the steps.
    own_process: bool = True
    # Without this, the branch of the offsets is zero and stays so.
    move_offsets: bool = True
    batch: BatchRecipe = field(default_factory=BatchRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    shape: NetworkShape = field(default_factory=lambda: NetworkShape(phones=len(phone_names())))


class Trainer(Run):
    """One run of the motion network."""

    weights = WEIGHTS

    def __init__(
        self, source: TrainingSet, recipe: MotionRecipe, worker: Worker | None = None
    ) -> None:
        begin(recipe)
        self.recipe = recipe
        self.source = source
        self.prepared = source.open()
        statistics = measure(self.prepared)
        self.network = MotionNetwork(recipe.shape, recipe.dropout)
        with torch.no_grad():
            # Initially the curves are near rest instead of half open.
            self.network.lips.direct.bias.fill_(-2.5)
            self.network.face.direct.bias.fill_(-2.5)
            self.network.profile.copy_(torch.from_numpy(statistics.profile))
        if recipe.initial is not None:
            load_weights(self.network, recipe.initial)
        if not recipe.move_offsets:
            for parameter in self.network.offsets.parameters():
                torch.nn.init.zeros_(parameter.requires_grad_(False))
        super().__init__(
            recipe, {_NAME: self.network}, {_NAME: (_NAME,)}, averaged=(_NAME,), worker=worker
        )
        self.fixed = {
            "phones.poses": torch.from_numpy(statistics.phones.poses),
            "phones.share": torch.from_numpy(statistics.phones.share),
            "spread": torch.from_numpy(statistics.spread),
        }
        self._drawer: Drawer | None = None

    def take_step(self) -> dict[str, float]:
        recipe, device = self.recipe, self.worker.device
        if self._drawer is None:
            profile = self.network.profile.cpu().numpy().copy()
            draw = Draw(profile, recipe.batch, recipe.seed, self.worker.rank)
            self._drawer = Drawer(self.source, self.prepared, draw, recipe.own_process)
        batch = self._drawer.take(self.step).to(device)
        self.network.train()
        spread = self.fixed["spread"].to(device)
        total, parts = losses(self.network(batch.features, batch.style), batch, spread, recipe.loss)
        self.apply(_NAME, total)
        return {"total": float(total.detach()), **parts}

    def close(self) -> None:
        """Stop drawing batches."""
        if self._drawer is not None:
            self._drawer.close()
            self._drawer = None

    def resume(self, path: Path) -> None:
        self.close()  # the checkpoint's profile may differ
        super().resume(path)

    def about(self) -> dict[str, Any]:
        return {"shape": self.recipe.shape.as_dict()}

    def of_older_runs(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return present_names(tensors)

    def export(self, path: Path) -> None:
        phones = {name: value for name, value in self.fixed.items() if name.startswith("phones.")}
        shape = self.recipe.shape.as_dict()
        export(self.averaged(_NAME) | phones, shape, path, steps=self.step, version="1")


def load_weights(network: MotionNetwork, path: Path) -> None:
    """Load the averaged weights of a checkpoint, or shipped weights.

    Raises VividKeysError(bad_file) when the file is damaged or of a network of another shape.
    """
    try:
        tensors, _ = read_tensors(path)
        weights = below(present_names(tensors), f"average.{_NAME}.") or {
            name: value.float() for name, value in tensors.items() if not name.startswith("phones.")
        }
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The weights in {path} are missing, damaged, or belong to a network of another shape.",
            "Name a checkpoint, or weights that this version of VividKeys wrote.",
        ) from error


def train(
    source: TrainingSet,
    output: Path,
    recipe: MotionRecipe,
    worker: Worker | None = None,
    watch: Watch = PRINTED,
) -> Trainer:
    """Train to the end of the schedule, resuming from a checkpoint in `output`."""
    trainer = Trainer(source, recipe, worker)
    run_to_the_end(trainer, output, watch)
    return trainer
