# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the head-pose codebook, then the network that chooses its codes. Resumable; on a CPU.

`python -m backend train head-pose`. The two phases are VividTalk's (arXiv 2312.01841, section
3.2): first the VQ-VAE over windows of motion; then, with codebook and decoder frozen, the mapping
from sound, earlier codes and pose to the odds of the next codes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from backend.audio_to_mesh.beats import GRID
from backend.audio_to_mesh.head_codebook import UNITS, HeadPoseMapping, HeadPoseShape, HeadPoseVae
from backend.audio_to_mesh.head_model import HeadPoseModel, HeadPoseSettings
from backend.audio_to_mesh.loudness import LOUDNESS_RATE
from backend.training.head_pose.windows import WindowRecipe, Windows
from backend.training.loop.run import Run, begin
from backend.training.loop.schedule import Schedule
from backend.training.loop.tensor_files import write_tensors
from backend.training.loop.to_the_end import PRINTED, run_to_the_end
from backend.watch import Watch


@dataclass(frozen=True)
class HeadPoseRecipe:
    """Everything that a run depends on apart from its data."""

    codebook_steps: int = 4000
    mapping_steps: int = 4000
    batch: int = 512
    seed: int = 0
    threads: int = 1
    learning_rate: float = 1e-3
    final_share: float = 0.01
    decay: float = 0.01
    commitment: float = 0.25
    code_decay: float = 0.99
    revive_every: int = 50
    least_use: float = 0.3
    """Codes chosen by fewer samples of a batch are replaced, in the first two thirds."""
    still_units: float = 0.012
    """Motion per step (in units of 3 degrees) below which relative errors grow no further."""
    forget: float = 0.06
    """Share of examples in which an earlier window is hidden."""
    pose_noise: float = 0.15
    livelier: float = 1.065
    """Factor on the fitted gain, at which the fastest 5 % would stay slower than in the tracks."""
    save_every: int = 500
    shape: HeadPoseShape = field(default_factory=HeadPoseShape)
    windows: WindowRecipe = field(default_factory=WindowRecipe)


class HeadPoseTrainer(Run):
    """One run of two phases, codebook and mapping, each with a schedule of its own."""

    weights = "head_pose.safetensors"

    def __init__(
        self,
        windows: Windows,
        recipe: HeadPoseRecipe,
        levels: Sequence[Float32[np.ndarray, " _"]] = (),
    ) -> None:
        """Set up both networks; the gain is fitted on `levels`, streams of loudness, at the end."""
        schedule = Schedule(
            steps=recipe.codebook_steps + recipe.mapping_steps,
            seed=recipe.seed,
            threads=recipe.threads,
            learning_rate=recipe.learning_rate,
            final_share=recipe.final_share,
            warm_up=50,
            decay=recipe.decay,
            save_every=recipe.save_every,
            report_every=250,
        )
        begin(schedule)
        self.recipe = recipe
        self.windows = windows
        self.levels = levels
        self.vae = HeadPoseVae(recipe.shape)
        self.mapping = HeadPoseMapping(recipe.shape)
        self.motion = torch.from_numpy(windows.motion)
        self.pose = torch.from_numpy(windows.pose)
        self.heard = torch.from_numpy(windows.heard)
        self.place = torch.from_numpy(windows.place)
        self.liveliness = torch.from_numpy(windows.liveliness)
        self.chosen: Tensor | None = None
        modules = {"vae": self.vae, "mapping": self.mapping}
        super().__init__(schedule, modules, {"codebook": ("vae",), "mapping": ("mapping",)})

    def rate(self) -> float:
        """The learning rate; each phase has its own warm-up and decay."""
        recipe = self.recipe
        if self.step < recipe.codebook_steps:
            return self.schedule.rate(self.step, self.step / recipe.codebook_steps)
        step = self.step - recipe.codebook_steps
        return self.schedule.rate(step, step / recipe.mapping_steps)

    def take_step(self) -> dict[str, float]:
        rows = torch.randint(len(self.motion), (self.recipe.batch,))
        if self.step < self.recipe.codebook_steps:
            total, parts = self._codebook_loss(rows)
            self.apply("codebook", total)
        else:
            total, parts = self._mapping_loss(rows)
            self.apply("mapping", total)
        return {"total": float(total.detach()), **parts}

    def _codebook_loss(self, rows: Int64[Tensor, " B"]) -> tuple[Tensor, dict[str, float]]:
        """Reconstruction of motion and of its steps, and the encoder's commitment to its codes.

        Errors are relative to how much a window moves, so that calm windows count too.
        """
        recipe, motion = self.recipe, self.motion[rows]
        z = self.vae.encode(motion)
        with torch.no_grad():
            chosen, codes = self.vae.codebook(z.detach())
            self.vae.codebook.follow(z.detach(), chosen, recipe.code_decay)
            if self.step % recipe.revive_every == 0 and self.step < recipe.codebook_steps * 2 / 3:
                self.vae.codebook.revive(z.detach(), recipe.least_use)
        decoded = self.vae.decode(z + (codes - z).detach())
        errors = relative_error(decoded, motion, recipe.still_units)
        commitment = functional.mse_loss(z, codes)
        total = errors + recipe.commitment * commitment
        parts = {"error": float(errors.detach()), "commitment": float(commitment.detach())}
        return total, parts

    def codes_of(self, motion: Float32[Tensor, "N window 6"]) -> Int64[Tensor, "N 2"]:
        """The two codes of each window."""
        with torch.no_grad():
            chosen: Tensor = self.vae.codebook(self.vae.encode(motion))[0]
        return chosen

    def _mapping_loss(self, rows: Int64[Tensor, " B"]) -> tuple[Tensor, dict[str, float]]:
        recipe = self.recipe
        if self.chosen is None:
            self.chosen = self.codes_of(self.motion)
        chosen = self.chosen
        none = recipe.shape.codes
        hide = torch.rand(recipe.batch, 2) < recipe.forget
        last_hidden = (self.place[rows] < 1) | hide[:, 0]
        older_hidden = (self.place[rows] < 2) | hide[:, 1] | last_hidden
        last = torch.where(last_hidden[:, None], none, chosen[(rows - 1).clamp(min=0)])
        older = torch.where(older_hidden[:, None], none, chosen[(rows - 2).clamp(min=0)])
        pose = self.pose[rows] + recipe.pose_noise * torch.randn(recipe.batch, 6)
        style = self.liveliness[rows, None]
        first, second = self.mapping(
            self.heard[rows], torch.cat([last, older], 1), pose, style, chosen[rows, 0]
        )
        loss_first = functional.cross_entropy(first, chosen[rows, 0])
        loss_second = functional.cross_entropy(second, chosen[rows, 1])
        parts = {"first": float(loss_first.detach()), "second": float(loss_second.detach())}
        return loss_first + loss_second, parts

    def export(self, path: Path) -> None:
        codes = self.codes_of(self.motion).numpy()
        used = [perplexity(codes[:, level], self.recipe.shape.codes) for level in range(2)]
        print(
            f"perplexity {used[0]:.1f} and {used[1]:.1f} of {self.recipe.shape.codes}", flush=True
        )
        settings = fitting_settings(self.vae, self.mapping, self.levels, self.windows)
        settings = replace(settings, gain=round(settings.gain * self.recipe.livelier, 3))
        print(settings, flush=True)
        export(self.vae, self.mapping, settings, path, "2")


def relative_error(
    decoded: Float32[Tensor, "B window 6"], motion: Float32[Tensor, "B window 6"], still: float
) -> Float32[Tensor, ""]:
    """Squared error of windows and of their steps, relative to the windows' own motion."""
    steps = torch.diff(motion, dim=1, prepend=torch.zeros_like(motion[:, :1]))
    found = torch.diff(decoded, dim=1, prepend=torch.zeros_like(decoded[:, :1]))
    size = steps.square().mean((1, 2)) + still**2
    error = (found - steps).square().mean((1, 2)) / size
    # A window travels about as far as sqrt(10) of its steps, if those point in random directions.
    placed = (decoded - motion).square().mean((1, 2)) / (10.0 * size)
    return (error + placed).mean()


def perplexity(chosen: Int64[np.ndarray, " N"], codes: int) -> float:
    """The effective number of codes in use: exp of the entropy of `chosen`."""
    share = np.bincount(chosen, minlength=codes) / max(len(chosen), 1)
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def fitting_settings(
    vae: HeadPoseVae,
    mapping: HeadPoseMapping,
    levels: Sequence[Float32[np.ndarray, " _"]],
    windows: Windows,
) -> HeadPoseSettings:
    """Gain and expansion that match the speed of generated heads to the training data's.

    The median and the 95th percentile of the speed are matched. Two windows overlap at each moment;
    where they disagree, their mean is slower than either.
    """
    wanted = _speeds(np.diff(windows.motion[:, :, :3] * UNITS[0], axis=1))
    settings = HeadPoseSettings()
    for _ in range(6):
        model = HeadPoseModel(vae, mapping, settings)
        poses = [
            model.motion(
                level, len(level) * GRID // LOUDNESS_RATE, seed, liveliness=(seed % 3 - 1) * 0.8
            )[:, :3]
            for seed, level in enumerate(levels[:24])
        ]
        missing = wanted - _speeds(np.concatenate([np.diff(pose, axis=0) for pose in poses]))
        expansion = settings.expansion + 0.4 * float(missing[1] - missing[0])
        settings = HeadPoseSettings(
            gain=round(min(max(settings.gain * float(np.exp(missing[0])), 0.7), 1.6), 3),
            expansion=round(min(max(expansion, 0.0), 0.5), 3),
        )
    return settings


def _speeds(steps: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, " 2"]:
    """Logarithms of the median and the 95th percentile of the lengths of steps."""
    lengths = np.linalg.norm(steps, axis=-1)
    result: NDArray[np.floating] = np.log(np.percentile(lengths, [50, 95]) + 1e-6)
    return result


def export(
    vae: HeadPoseVae, mapping: HeadPoseMapping, settings: HeadPoseSettings, path: Path, version: str
) -> None:
    """Write shipped weights in half precision, without the codebook's running averages."""
    both = (("vae", vae), ("mapping", mapping))
    tensors = {f"{name}.{k}": v.half() for name, net in both for k, v in net.state_dict().items()}
    about = {
        "name": "head_pose",
        "version": version,
        "shape": json.dumps(vae_shape(vae, mapping).as_dict()),
        "settings": json.dumps(asdict(settings)),
    }
    write_tensors(tensors, about, path)


def vae_shape(vae: HeadPoseVae, mapping: HeadPoseMapping) -> HeadPoseShape:
    """The sizes of the two networks, from their weights."""
    _, codes, code_size = vae.codebook.codes.shape
    first = vae.encoder[0]
    assert isinstance(first, torch.nn.Linear)
    return HeadPoseShape(codes, code_size, first.out_features, mapping.hidden.in_features)


def train(
    windows: Windows,
    levels: Sequence[Float32[np.ndarray, " _"]],
    output: Path,
    recipe: HeadPoseRecipe,
    watch: Watch = PRINTED,
) -> HeadPoseTrainer:
    """Run both phases, or resume from the checkpoint in `output`; export at the end."""
    trainer = HeadPoseTrainer(windows, recipe, levels)
    run_to_the_end(trainer, output, watch)
    return trainer
