# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the dual-branch motion-VAE: the motion and occlusion that the mesh's geometry misses.

The command line is `python -m backend train motion-vae`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from backend.mesh_to_video.networks.layers import shrink
from backend.mesh_to_video.networks.motion_vae import DualBranchMotionVAE, Motion, MotionShape
from backend.mesh_to_video.networks.warping import enlarge_flow, warp
from backend.mesh_to_video.networks.weights import MOTION_VAE, load_motion_vae, save_motion_vae
from backend.training.loop.parallel import Worker
from backend.training.loop.run import begin
from backend.training.loop.to_the_end import PRINTED, run_to_the_end
from backend.training.video.losses import (
    divergence,
    flow_error,
    gradient_error,
    occlusion_error,
    occlusion_target,
    pyramid_error,
    signal_to_noise,
    smoothness,
    weighted_mean,
)
from backend.training.video.moved_photo import geometric_composite, inputs_of, moved_composite
from backend.training.video.regions import Regions, regions
from backend.training.video.run import Batch, PictureRun, PictureSchedule, Samples
from backend.training.video.windows import choose_windows
from backend.watch import Watch


@dataclass(frozen=True)
class MotionLoss:
    """Weights of the losses."""

    picture: float = 10.0
    gradient: float = 6.0
    exact: float = 0.02
    smooth: float = 0.02
    # Regularises motion that no other loss requires.
    size: float = 0.004
    occlusion: float = 0.1
    divergence: float = 1e-3
    mouth: float = 3.0
    eyes: float = 2.0


@dataclass(frozen=True)
class MotionRecipe:
    """Everything that a run depends on apart from its samples."""

    schedule: PictureSchedule = field(default_factory=lambda: PictureSchedule(learning_rate=8e-4))
    loss: MotionLoss = field(default_factory=MotionLoss)
    shape: MotionShape = field(default_factory=MotionShape)
    # The share of samples without lip input, so that the lip branch stays optional.
    without_lips: float = 0.1
    # Side of the windows in which pictures are compared, pixels.
    window: int = 144
    # Weights to start from instead of random ones.
    initial: Path | None = None


class MotionRun(PictureRun):
    """The training run of the motion-VAE."""

    weights = f"{MOTION_VAE}.safetensors"

    def __init__(
        self,
        samples: Samples,
        recipe: MotionRecipe,
        worker: Worker | None = None,
        held_out: Samples | None = None,
    ) -> None:
        begin(recipe.schedule)
        if recipe.initial is not None:
            self.network = load_motion_vae(recipe.initial)
        else:
            self.network = DualBranchMotionVAE(recipe.shape)
        self.recipe = recipe
        modules: dict[str, nn.Module] = {"network": self.network}
        learning = {"network": ("network",)}
        super().__init__(
            samples, recipe.schedule, modules, learning, ("network",), worker, held_out
        )
        self._average_network = DualBranchMotionVAE(self.network.shape).eval()
        self._average_network.to(self.worker.device)

    def learn(self, batch: Batch) -> dict[str, float]:
        self.network.train()
        inputs = inputs_of(batch)
        count = len(inputs.lips)
        keep = (torch.rand(count, device=inputs.lips.device) >= self.recipe.without_lips).float()
        with self.autocast():
            motion = self.network(inputs, keep_lips=keep)
        parts = self._losses(batch, _in_single(motion))
        total = torch.stack(list(parts.values())).sum()
        self.apply("network", total)
        values = torch.stack([total.detach(), *(part.detach() for part in parts.values())])
        return dict(zip(("total", *parts), values.tolist(), strict=True))

    def _losses(self, batch: Batch, motion: Motion) -> dict[str, Tensor]:
        weights = self.recipe.loss
        with torch.no_grad():
            where = regions(batch["code"], batch["face"], batch["inside"])
        windows = choose_windows(where, min(self.recipe.window, batch["target"].shape[-1]))
        moved, target = (
            moved_composite(batch, motion.residual, windows),
            windows.cut(batch["target"]),
        )
        side, small = batch["target"].shape[-1], motion.residual.shape[-1]
        factor = side // small
        # What the photo does not show has to be painted, not moved; the mouth's interior is drawn.
        seen = enlarge_flow(motion.occlusion.detach(), side) * (1.0 - batch["inside"][:, 3:])
        attention = self._attention(where) * (0.1 + 0.9 * seen)
        counted = windows.cut(attention)
        whole = shrink(batch["target"], factor)
        parts = {
            "picture": weights.picture * pyramid_error(moved, target, counted),
            "gradient": weights.gradient * gradient_error(moved, target, counted),
            "smooth": weights.smooth * smoothness(motion.residual, whole),
            "size": weights.size
            * weighted_mean(motion.residual.abs(), 1.0 - 0.9 * shrink(where.face, factor)),
            "occlusion": weights.occlusion
            * occlusion_error(motion.occlusion, self._wanted(batch, motion, whole)),
            "divergence": weights.divergence * divergence(motion.mean, motion.log_variance),
        }
        if "exact_flow" in batch:
            flow = batch["flow"] + enlarge_flow(motion.residual, side)
            parts["exact"] = weights.exact * flow_error(flow, batch["exact_flow"], attention)
        return parts

    @torch.no_grad()
    def _wanted(
        self, batch: Batch, motion: Motion, target: Float[Tensor, "N 3 H W"]
    ) -> Float[Tensor, "N 1 H W"]:
        """The target of the occlusion, at the size of the network's output."""
        factor = batch["target"].shape[-1] // target.shape[-1]
        moved = warp(shrink(geometric_composite(batch), factor), motion.residual / factor)
        return occlusion_target(moved, target, shrink(batch["seen"], factor))

    def _attention(self, where: Regions) -> Float[Tensor, "N 1 H W"]:
        weights = self.recipe.loss
        return 0.3 + 0.7 * where.face + weights.mouth * where.mouth + weights.eyes * where.eyes

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, float]:
        """PSNR (dB) of face and mouth, with the geometry's motion alone and with the network's."""
        network = self._average_network
        network.load_state_dict(self.averaged("network"))
        where = regions(batch["code"], batch["face"], batch["inside"])
        motion = network(inputs_of(batch))
        found: dict[str, float] = {}
        pictures = {
            "geometry": geometric_composite(batch),
            "network": moved_composite(batch, motion.residual),
        }
        for name, picture in pictures.items():
            for part, mask in (("face", where.face), ("mouth", where.mouth)):
                figures = signal_to_noise(picture, batch["target"], mask)
                found[f"{part} {name}"] = float(figures.nanmean())
        found["residual"] = float(motion.residual.abs().mean())
        found["occlusion"] = float(motion.occlusion.mean())
        return found

    def export(self, path: Path) -> None:
        """Write the averaged weights in the form that ships."""
        network = self._average_network
        network.load_state_dict(self.averaged("network"))
        save_motion_vae(network, path, steps=str(self.step))


def _in_single(motion: Motion) -> Motion:
    return Motion(
        motion.residual.float(),
        motion.occlusion.float(),
        motion.lip_motion.float(),
        motion.mean.float(),
        motion.log_variance.float(),
    )


def train(
    samples: Samples,
    output: Path,
    recipe: MotionRecipe,
    worker: Worker | None = None,
    held_out: Samples | None = None,
    watch: Watch = PRINTED,
) -> Path:
    """Train to the end of the schedule, resuming from a checkpoint in `output`.

    Returns the path of the exported weights.
    """
    return run_to_the_end(MotionRun(samples, recipe, worker, held_out), output, watch)
