# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes of the video networks for a single CPU thread and for a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from backend.training.video.run import PictureSchedule
from backend.training.video.train_generator import GeneratorRecipe
from backend.training.video.train_motion_vae import MotionRecipe


def _schedule(
    base: PictureSchedule,
    device: torch.device,
    large: int,
    minutes: float,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    threads: int,
) -> PictureSchedule:
    if device.type == "cuda":
        # Larger batches allow larger steps, which are so fast that frequent saving would slow them.
        base = replace(
            base, batch=large, learning_rate=1e-3, warm_up=200, average=0.9985,
            save_every=2000, report_every=200, validate_every=2000, validation=64,
        )  # fmt: skip
    return replace(
        base,
        minutes=minutes,
        steps=steps,
        batch=batch or base.batch,
        learning_rate=rate or base.learning_rate,
        seed=seed,
        threads=threads,
    )


def motion_recipe(
    device: torch.device,
    minutes: float,
    steps: int,
    batch: int = 0,
    rate: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    initial: Path | None = None,
) -> MotionRecipe:
    """The motion-VAE's recipe; a `batch` or `rate` of 0 is chosen for the device."""
    recipe = MotionRecipe(initial=initial, window=256 if device.type == "cuda" else 144)
    schedule = _schedule(recipe.schedule, device, 48, minutes, steps, batch, rate, seed, threads)
    return replace(recipe, schedule=schedule)


def generator_recipe(
    device: torch.device,
    minutes: float,
    steps: int,
    batch: int = 0,
    rate: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    initial: Path | None = None,
    motion_vae: Path | None = None,
) -> GeneratorRecipe:
    """The generator's recipe; a `batch` or `rate` of 0 is chosen for the device.

    On a GPU the windows are larger and the feature network is trained longer.
    """
    recipe = GeneratorRecipe(initial=initial, motion_vae=motion_vae)
    schedule = _schedule(recipe.schedule, device, 32, minutes, steps, batch, rate, seed, threads)
    if device.type == "cuda":
        recipe = replace(recipe, window=192, critic_window=144, feature_steps=3000)
    return replace(recipe, schedule=schedule)
