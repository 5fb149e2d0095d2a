# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the generator and its refiner on windows of the face crop.

First the feature network of the perceptual loss is trained on the same samples; then the generator
learns to be faithful; later in the run, a critic adds an adversarial loss for sharpness.
The command line is `python -m backend train generator`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backend.mesh_to_video.networks.generator import DetailRefiner, Generator, GeneratorShape
from backend.mesh_to_video.networks.layers import shrink
from backend.mesh_to_video.networks.motion_vae import DualBranchMotionVAE
from backend.mesh_to_video.networks.warping import enlarge_flow, sampling_grid
from backend.mesh_to_video.networks.weights import (
    GENERATOR,
    load_generator,
    load_motion_vae,
    save_generator,
)
from backend.training.loop.parallel import Worker
from backend.training.loop.run import begin
from backend.training.loop.to_the_end import PRINTED, run_to_the_end
from backend.training.video.critic import PatchCritic
from backend.training.video.losses import (
    charbonnier,
    critic_error,
    feature_error,
    fooling_error,
    gradient_error,
    pyramid_error,
    signal_to_noise,
    structure_error,
    weighted_mean,
)
from backend.training.video.moved_photo import geometric_composite, inputs_of, moved_composite
from backend.training.video.picture_features import PictureFeatures, perceptual_error, spoil
from backend.training.video.regions import Regions, regions
from backend.training.video.run import Batch, PictureRun, PictureSchedule, Samples, place
from backend.training.video.windows import Windows, choose_windows
from backend.watch import UNWATCHED, Watch


@dataclass(frozen=True)
class GeneratorLoss:
    """Weights of the losses; the critic starts after the share `critic_from` of the run."""

    picture: float = 10.0
    gradient: float = 8.0
    structure: float = 0.6
    mouth: float = 3.0
    eyes: float = 2.0
    # The other losses favour the likeliest picture, this one the mean of the likely ones: which
    # teeth show behind lips that were closed cannot be known.
    square: float = 30.0
    perceptual: float = 0.2
    critic: float = 0.02
    features: float = 0.5
    steady: float = 4.0
    motion: float = 4.0
    refiner: float = 5.0
    # Where the moved photo is right it should pass unchanged.
    change: float = 0.5
    critic_from: float = 0.35
    # Every n-th step the same region is painted in a slightly shifted window; half as many steps
    # later two consecutive states are painted.
    steady_every: int = 6


@dataclass(frozen=True)
class GeneratorRecipe:
    """Everything that a run depends on apart from its samples."""

    schedule: PictureSchedule = field(
        default_factory=lambda: PictureSchedule(batch=5, learning_rate=6e-4)
    )
    loss: GeneratorLoss = field(default_factory=GeneratorLoss)
    shape: GeneratorShape = field(default_factory=GeneratorShape)
    # Side of the windows, a multiple of 8, and of their centre, which the critic sees; pixels.
    window: int = 96
    critic_window: int = 72
    # Training steps of the feature network.
    feature_steps: int = 200
    # Weights of the motion-VAE; without them the geometry alone moves the photo.
    motion_vae: Path | None = None
    # Weights to start from instead of random ones.
    initial: Path | None = None


@dataclass(frozen=True)
class _Scene:
    """A batch as the generator sees it, at the size of the face crop."""

    features: tuple[Tensor, Tensor, Tensor]
    places: Float[Tensor, "N 2 H W"]  # where the photo is sampled, -1..1
    occlusion: Float[Tensor, "N 1 H W"]
    composite: Float[Tensor, "N 3 H W"]
    batch: Batch
    where: Regions


class GeneratorRun(PictureRun):
    """The training run of generator, refiner and critic."""

    weights = f"{GENERATOR}.safetensors"

    def __init__(
        self,
        samples: Samples,
        recipe: GeneratorRecipe,
        worker: Worker | None = None,
        held_out: Samples | None = None,
    ) -> None:
        begin(recipe.schedule)
        if recipe.initial is not None:
            self.generator_network, self.refiner = load_generator(recipe.initial)
        else:
            self.generator_network = Generator(recipe.shape)
            self.refiner = DetailRefiner(recipe.shape)
        self.critic, self.seeing = PatchCritic(), PictureFeatures()
        self.recipe = recipe
        modules: dict[str, nn.Module] = {
            "generator": self.generator_network,
            "refiner": self.refiner,
            "critic": self.critic,
            "seeing": self.seeing,
        }
        learning = {"painting": ("generator", "refiner"), "critic": ("critic",)}
        averaged = ("generator", "refiner")
        super().__init__(samples, recipe.schedule, modules, learning, averaged, worker, held_out)
        self.seeing.requires_grad_(False)
        self.motion_vae: DualBranchMotionVAE | None = None
        if recipe.motion_vae is not None:
            self.motion_vae = load_motion_vae(recipe.motion_vae).requires_grad_(False)
            place(self.motion_vae, self.worker.device)
        shape = self.generator_network.shape
        self._average_generator = Generator(shape).eval().to(self.worker.device)
        self._average_refiner = DetailRefiner(shape).eval().to(self.worker.device)

    def prepare(self, watch: Watch = UNWATCHED, /) -> None:
        """Train the feature network."""
        watch.progress(0.0, f"training the feature network, {self.recipe.feature_steps} steps")
        self.seeing.requires_grad_(True)
        parameters = list(self.seeing.parameters())
        optimiser = torch.optim.Adam(parameters, lr=1e-3)
        for step in range(self.recipe.feature_steps):
            rng = self.generator(step, 7)
            torch.manual_seed(int(rng.integers(2**31)))
            batch = self.to_device(self.random_batch(rng))
            where = regions(batch["code"], batch["face"], batch["inside"])
            pictures = choose_windows(where, self.recipe.critic_window).cut(batch["target"])
            optimiser.zero_grad(set_to_none=True)
            restored = self.seeing(spoil(pictures))
            loss = charbonnier(restored, pictures) + gradient_error(restored, pictures)
            loss.backward()  # type: ignore[no-untyped-call]
            self.worker.average(parameters)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
        self.seeing.requires_grad_(False)

    def learn(self, batch: Batch) -> dict[str, float]:
        weights, step = self.recipe.loss, self.step
        with torch.no_grad():
            where = regions(batch["code"], batch["face"], batch["inside"])
        windows = choose_windows(where, self.recipe.window)
        asked = self.progress() >= weights.critic_from
        with self.autocast():
            scene = self._scene(batch, where)
            made = self._paint(scene, windows)
        made = made.float()
        composite, target = windows.cut(scene.composite), windows.cut(batch["target"])
        parts = self._faithful(scene, windows, made, composite, target)
        parts |= self._refined(scene, windows, made, composite, target)
        if step % weights.steady_every == 0:
            with self.autocast():
                parts["steady"] = weights.steady * self._unsteady(scene, windows, made)
        elif step % weights.steady_every == weights.steady_every // 2:
            change = self._change_error()
            if change is not None:
                parts["motion"] = weights.motion * change
        middle = self.recipe.critic_window
        shown, base, real = (_middle(x, middle) for x in (made, composite, target))
        with self.autocast():
            parts["perceptual"] = weights.perceptual * perceptual_error(self.seeing, shown, real)
            if asked:
                self.critic.requires_grad_(False)
                score, found = self.critic(shown, base)
                _, wanted = self.critic(real, base)
                parts["critic"] = weights.critic * fooling_error(score.float())
                parts["features"] = weights.features * feature_error(found, wanted)
                self.critic.requires_grad_(True)
        total = torch.stack([part.float() for part in parts.values()]).sum()
        self.apply("painting", total)
        if asked:
            with self.autocast():
                real_score, _ = self.critic(real, base)
                made_score, _ = self.critic(shown.detach(), base)
            error = critic_error(real_score.float(), made_score.float())
            self.apply("critic", error)
            parts["critic's own"] = error
        values = torch.stack([total.detach(), *(v.detach().float() for v in parts.values())])
        return dict(zip(("total", *parts), values.tolist(), strict=True))

    def _scene(self, batch: Batch, where: Regions, average: bool = False) -> _Scene:
        network = self._average_generator if average else self.generator_network
        with torch.no_grad():
            flow, occlusion = batch["flow"], batch["seen"]
            composite = geometric_composite(batch)
            if self.motion_vae is not None:
                motion = self.motion_vae(inputs_of(batch))
                side = flow.shape[-1]
                composite = moved_composite(batch, motion.residual.float())
                flow = flow + enlarge_flow(motion.residual.float(), side)
                occlusion = enlarge_flow(motion.occlusion.float(), side)
            places = sampling_grid(flow).permute(0, 3, 1, 2)
        features = network.encode(batch["photo"], batch["photo_code"])
        return _Scene(features, places, occlusion, composite, batch, where)

    def _paint(self, scene: _Scene, windows: Windows) -> Float[Tensor, "N 3 _ _"]:
        batch = scene.batch
        grid = shrink(windows.cut(scene.places), 2).permute(0, 2, 3, 1)
        cut = (scene.occlusion, scene.composite, batch["code"], batch["face"], batch["inside"])
        return self.generator_network.paint(
            scene.features, grid, *(windows.cut(values) for values in cut)
        )

    def _attention(self, where: Regions) -> Float[Tensor, "N 1 H W"]:
        weights = self.recipe.loss
        return 0.4 + 0.6 * where.face + weights.mouth * where.mouth + weights.eyes * where.eyes

    def _faithful(
        self,
        scene: _Scene,
        windows: Windows,
        made: Float[Tensor, "N 3 S S"],
        composite: Float[Tensor, "N 3 S S"],
        target: Float[Tensor, "N 3 S S"],
    ) -> dict[str, Tensor]:
        weights = self.recipe.loss
        attention = windows.cut(self._attention(scene.where))
        right = windows.cut(scene.occlusion)
        right = right * torch.exp(-20.0 * (composite - target).abs().mean(dim=1, keepdim=True))
        return {
            "picture": weights.picture * pyramid_error(made, target, attention),
            "gradient": weights.gradient * gradient_error(made, target, attention),
            "structure": weights.structure * structure_error(made, target, attention),
            "square": weights.square * weighted_mean((made - target) ** 2, attention),
            "change": weights.change * ((made - composite).abs() * right).mean(),
        }

    def _refined(
        self,
        scene: _Scene,
        windows: Windows,
        made: Float[Tensor, "N 3 S S"],
        composite: Float[Tensor, "N 3 S S"],
        target: Float[Tensor, "N 3 S S"],
    ) -> dict[str, Tensor]:
        """The refiner's loss. It works at twice the generator's size; here both are halved."""
        smaller = (shrink(x, 2) for x in (composite, made.detach(), windows.cut(scene.occlusion)))
        with self.autocast():
            refined = self.refiner.paint(composite, *smaller).float()
        attention = windows.cut(self._attention(scene.where))
        error = charbonnier(refined, target, attention)
        return {
            "refiner": self.recipe.loss.refiner
            * (error + gradient_error(refined, target, attention))
        }

    def _unsteady(
        self, scene: _Scene, windows: Windows, made: Float[Tensor, "N 3 S S"]
    ) -> Float[Tensor, ""]:
        """How much the painted region changes when its window is shifted by a few pixels.

        The motion is the same, so nothing should change: texture that sticks to the pixel grid
        instead of the surface flickers in a video.
        """
        across, down = (int(v) for v in torch.randint(1, 8, (2,)))
        beside = self._paint(scene, windows.shifted(across, down)).float()
        edge, side = 12, windows.side
        first = made[..., down + edge : side - edge, across + edge : side - edge]
        second = beside[..., edge : side - edge - down, edge : side - edge - across]
        return (first - second).abs().mean()

    def _change_error(self) -> Float[Tensor, ""] | None:
        """The error of the change between consecutive frames; None without films."""
        count = max(1, self.recipe.schedule.batch // 2)
        rng = self.generator(self.step, 3)
        both = self.samples.next_batch(rng, count)
        if both is None:
            return None
        batch = self.to_device(
            {name: torch.cat([both[0][name], both[1][name]]) for name in both[0]}
        )
        where = regions(batch["code"], batch["face"], batch["inside"])
        first = Regions(where.face[:count], where.mouth[:count], where.eyes[:count])
        windows = choose_windows(first, self.recipe.window).twice()
        with self.autocast():
            made = self._paint(self._scene(batch, where), windows).float()
        target = windows.cut(batch["target"])
        wrong = (made[count:] - made[:count]) - (target[count:] - target[:count])
        attention = windows.cut(self._attention(where))[:count]
        return charbonnier(wrong, torch.zeros_like(wrong), attention)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, float]:
        """PSNR (dB), SSIM and relative sharpness of each stage of the picture.

        The stages are the geometry alone, the moved photo, the generator's and the refiner's
        pictures; sharpness is relative to the real picture.
        """
        generator, refiner = self._average_generator, self._average_refiner
        generator.load_state_dict(self.averaged("generator"))
        refiner.load_state_dict(self.averaged("refiner"))
        where = regions(batch["code"], batch["face"], batch["inside"])
        scene = self._scene(batch, where, average=True)
        grid = shrink(scene.places, 2).permute(0, 2, 3, 1)
        rest = (scene.composite, batch["code"], batch["face"], batch["inside"])
        made = generator.paint(scene.features, grid, scene.occlusion, *rest).clamp(0.0, 1.0)
        smaller = (shrink(x, 2) for x in (scene.composite, made, scene.occlusion))
        pictures = {
            "geometry": geometric_composite(batch),
            "moved": scene.composite,
            "generator": made,
            "refined at half size": refiner(scene.composite, *smaller),
        }
        target, found = batch["target"], {}
        for name, picture in pictures.items():
            for part, mask in (("face", where.face), ("mouth", where.mouth)):
                figures = signal_to_noise(picture, target, mask)
                found[f"{part} {name}"] = float(figures.nanmean())
            similar = 1.0 - structure_error(picture, target, where.face)
            found[f"ssim {name}"] = float(similar)
            found[f"sharpness {name}"] = _sharpness(picture, where.face) / _sharpness(
                target, where.face
            )
        return found

    def export(self, path: Path) -> None:
        """Write the averaged weights in the form that ships."""
        generator, refiner = self._average_generator, self._average_refiner
        generator.load_state_dict(self.averaged("generator"))
        refiner.load_state_dict(self.averaged("refiner"))
        save_generator(generator, refiner, path, steps=str(self.step))


def _middle(pictures: Float[Tensor, "N C H W"], side: int) -> Float[Tensor, "N C _ _"]:
    """The central square of pictures, or all of them if they are smaller."""
    start = (pictures.shape[-1] - side) // 2
    if start <= 0:
        return pictures
    return pictures[..., start : start + side, start : start + side]


def _sharpness(pictures: Float[Tensor, "N C H W"], mask: Float[Tensor, "N 1 H W"]) -> float:
    """Mean magnitude of the detail that a blur removes."""
    blurred = functional.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    detail = (pictures - blurred).abs().mean(dim=1, keepdim=True)
    return float((detail * mask).sum() / mask.sum().clamp(min=1.0))


def train(
    samples: Samples,
    output: Path,
    recipe: GeneratorRecipe,
    worker: Worker | None = None,
    held_out: Samples | None = None,
    watch: Watch = PRINTED,
) -> Path:
    """Train to the end of the schedule, resuming from a checkpoint in `output`.

    Returns the path of the exported weights.
    """
    return run_to_the_end(GeneratorRun(samples, recipe, worker, held_out), output, watch)
