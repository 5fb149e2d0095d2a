# SPDX-License-Identifier: GPL-3.0-or-later
"""`train`: reproduces the shipped weights, or trains better ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class TrainMotion:
    """Build the corpora and train the motion network; resumes where it stopped.

    Set OMP_WAIT_POLICY=PASSIVE on a busy machine. For several processes or graphics cards:
    torchrun --nproc-per-node N -m backend train motion, and so on.
    """

    cache: Path = Path(".cache/training")
    """Corpora and features are built here, once; several GB."""
    real: Path | None = None
    """A copy of speechocean762 with utterances.csv; without it only synthetic voices are used."""
    native: Annotated[tuple[tuple[str, Path, str], ...], tyro.conf.UseAppendAction] = ()
    """NAME FOLDER LANGUAGE: recordings with transcripts to train on as well; may be repeated.
    A name that ends in -held-out is built for evaluation and never trained on."""
    finetune: Path | None = None
    """A folder that `capture` wrote: adapt finished weights to that actor instead of training. Of
    the options below only --out, --initial, --seed and --threads apply then."""
    out: Path | None = None
    """Checkpoints, and finally motion.safetensors; out/motion or out/finetuned by default."""
    espeak_seconds: float = 4200.0
    """How much espeak-ng speech to synthesise."""
    flite_seconds: float = 3000.0
    """How much flite speech to synthesise, where flite is installed."""
    festival_seconds: float = 2400.0
    """How much festival speech to synthesise, over all of its installed voices."""
    minutes: float = 45.0
    """Training ends after this time or after `steps`, whichever comes first."""
    steps: int = 6000
    """Batches of 16 pieces of 3 s."""
    initial: Path | None = None
    """Weights or a checkpoint to start from instead of random weights."""
    rate: float = 1.3e-3
    """The peak learning rate; continuing from finished weights needs a lower one."""
    seed: int = 0
    """Determines the initial weights and batches; the learning rate also depends on the clock."""
    threads: int = 1
    """Threads of the network; one is fastest on a laptop."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto uses a CUDA device if there is one."""

    def run(self) -> int:
        if self.finetune is not None:
            return self._adapt(self.finetune)
        from backend.training.loop.parallel import join_workers
        from backend.training.motion.draw_ahead import TrainingSet
        from backend.training.motion.train import WEIGHTS, MotionRecipe, train

        output = self.out or Path("out/motion")
        worker = join_workers(self.device)
        try:
            if worker.leads:
                self._build()
            worker.wait()
            recipe = replace(
                MotionRecipe(),
                steps=self.steps,
                minutes=self.minutes,
                seed=self.seed,
                threads=self.threads,
                learning_rate=self.rate,
                initial=self.initial,
            )
            train(TrainingSet(self.cache / "prepared"), output, recipe, worker)
        finally:
            worker.leave()
        if worker.leads:
            print(f"wrote {output / WEIGHTS}")
        return 0

    def _adapt(self, footage: Path) -> int:
        from backend.training.motion.finetune import FinetuneRecipe, adapt

        recipe = FinetuneRecipe(seed=self.seed, threads=self.threads)
        adapt(footage, self.out or Path("out/finetuned"), self.initial, recipe)
        return 0

    def _build(self) -> None:
        """Build the corpora and features that do not exist yet."""
        from backend.training.corpus.align import align_folder
        from backend.training.corpus.synthesise import synthesise
        from backend.training.motion.prepare import (
            prepare,
            store_native_corpora,
            store_real_corpora,
        )

        if self.real is not None:
            align_folder(self.real, self.cache)
            store_real_corpora(self.real, self.cache)
        store_native_corpora([(_native(n), f, code) for n, f, code in self.native], self.cache)
        synthesise(
            self.cache, self.espeak_seconds, self.flite_seconds, self.seed, self.festival_seconds
        )
        prepare(self.cache)


def _native(name: str) -> str:
    """The name of a corpus of recordings, as recipes refer to it."""
    return name if name.startswith("native-") else f"native-{name}"


@dataclass(frozen=True)
class TrainHeadPose:
    """Train the head-pose codebook and the network that chooses codes; resumes where it stopped."""

    tracks: Path
    """A folder of tracks: track_*.csv with time_s, pitch_deg, yaw_deg, roll_deg."""
    cache: Path = Path(".cache/training")
    """The corpora of `train motion`; eSpeak NG's is built here if there is none."""
    out: Path = Path("out/head_pose")
    """Checkpoints, and finally head_pose.safetensors."""
    held_out: tuple[str, ...] = ("track_05", "track_11", "track_16")
    """Tracks to leave out, by file name."""
    codebook_steps: int = 4000
    """Batches of 512 windows for the codebook."""
    mapping_steps: int = 4000
    """Batches of 512 windows for the choice of codes."""
    seed: int = 0
    """Determines the initial weights and batches; the learning rate also depends on the clock."""
    threads: int = 1
    """Threads of the networks; one is fastest on a laptop."""

    def run(self) -> int:
        from backend.training.head_pose.run import run

        run(
            self.tracks,
            self.cache,
            self.out,
            self.held_out,
            codebook_steps=self.codebook_steps,
            mapping_steps=self.mapping_steps,
            seed=self.seed,
            threads=self.threads,
        )
        return 0


@dataclass(frozen=True)
class TrainMotionVae:
    """Train the motion and occlusion that the mesh's geometry lacks; resumes where it stopped.

    For several processes or graphics cards: torchrun --nproc-per-node N -m backend train
    motion-vae, and so on.
    """

    samples: Path
    """A folder of samples, made by python -m backend.training.video.make_samples."""
    held_out: Path | None = None
    """Samples of other people: their figures are printed from time to time."""
    out: Path = Path("out/motion_vae")
    """Checkpoints, and finally motion_vae.safetensors."""
    minutes: float = 20.0
    """Training ends after this time or after `steps`, whichever comes first."""
    steps: int = 100_000
    """Batches; where `batch` is 0 their size is chosen for the device."""
    batch: int = 0
    """Samples per batch; 6 on a CPU and 48 on a GPU by default."""
    rate: float = 0.0
    """The peak learning rate; 0 chooses it for the device."""
    initial: Path | None = None
    """Weights to start from instead of random ones."""
    seed: int = 0
    """Determines the initial weights and batches; the learning rate also depends on the clock."""
    threads: int = 1
    """Threads of the network on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto uses a CUDA device if there is one."""

    def run(self) -> int:
        from backend.training.loop.parallel import join_workers
        from backend.training.video.recipes import motion_recipe
        from backend.training.video.sample_set import SampleSet
        from backend.training.video.train_motion_vae import train

        worker = join_workers(self.device)
        try:
            recipe = motion_recipe(
                worker.device, self.minutes, self.steps, self.batch, self.rate, self.seed,
                self.threads, self.initial,
            )  # fmt: skip
            judge = SampleSet(self.held_out, varied=False) if self.held_out is not None else None
            path = train(SampleSet(self.samples), self.out, recipe, worker, judge)
        finally:
            worker.leave()
        if worker.leads:
            print(f"wrote {path}")
        return 0


@dataclass(frozen=True)
class TrainGenerator:
    """Train the network that paints what the moved photo cannot show; resumes where it stopped.

    For several processes or graphics cards: torchrun --nproc-per-node N -m backend train
    generator, and so on.
    """

    samples: Path
    """A folder of samples, made by python -m backend.training.video.make_samples."""
    held_out: Path | None = None
    """Samples of other people: their figures are printed from time to time."""
    motion_vae: Path | None = None
    """Weights of the motion-VAE that moves the photo; by default the shipped ones if there are any,
    otherwise the geometry alone."""
    out: Path = Path("out/generator")
    """Checkpoints, and finally generator.safetensors."""
    minutes: float = 40.0
    """Training ends after this time or after `steps`, whichever comes first."""
    steps: int = 100_000
    """Batches; where `batch` is 0 their size is chosen for the device."""
    batch: int = 0
    """Samples per batch; 5 on a CPU and 32 on a GPU by default."""
    rate: float = 0.0
    """The peak learning rate; 0 chooses it for the device."""
    initial: Path | None = None
    """Weights to start from instead of random ones."""
    seed: int = 0
    """Determines the initial weights and batches; the learning rate also depends on the clock."""
    threads: int = 1
    """Threads of the network on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto uses a CUDA device if there is one."""

    def run(self) -> int:
        from backend.models import FOLDER
        from backend.training.loop.parallel import join_workers
        from backend.training.video.recipes import generator_recipe
        from backend.training.video.sample_set import SampleSet
        from backend.training.video.train_generator import train

        worker = join_workers(self.device)
        shipped = FOLDER / "motion_vae.safetensors"
        mover = self.motion_vae or (shipped if shipped.is_file() else None)
        try:
            recipe = generator_recipe(
                worker.device, self.minutes, self.steps, self.batch, self.rate, self.seed,
                self.threads, self.initial, mover,
            )  # fmt: skip
            judge = SampleSet(self.held_out, varied=False) if self.held_out is not None else None
            path = train(SampleSet(self.samples), self.out, recipe, worker, judge)
        finally:
            worker.leave()
        if worker.leads:
            print(f"wrote {path}")
        return 0


@dataclass(frozen=True)
class Train:
    """Reproduce the shipped weights, or train better ones."""

    what: (
        Annotated[TrainMotion, tyro.conf.subcommand("motion")]
        | Annotated[TrainHeadPose, tyro.conf.subcommand("head-pose")]
        | Annotated[TrainMotionVae, tyro.conf.subcommand("motion-vae")]
        | Annotated[TrainGenerator, tyro.conf.subcommand("generator")]
    )

    def run(self) -> int:
        return self.what.run()
