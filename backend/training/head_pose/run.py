# SPDX-License-Identifier: GPL-3.0-or-later
"""`train head-pose`, from folders to weights: read, combine with speech, train, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from backend.audio_to_mesh.head_codebook import UNITS
from backend.training.corpus.synthesise import synthesise
from backend.training.corpus.utterance import is_complete
from backend.training.head_pose.train import HeadPoseRecipe, HeadPoseTrainer, perplexity, train
from backend.training.head_pose.windows import (
    WindowRecipe,
    make_windows,
    plain_windows,
    read_track,
    speech_levels,
    steady,
)
from shared.errors import ErrorKind, VividKeysError

CORPORA = ("real", "espeak", "flite")


def run(
    tracks: Path,
    cache: Path,
    out: Path,
    held_out: Sequence[str],
    *,
    codebook_steps: int,
    mapping_steps: int,
    seed: int,
    threads: int,
) -> HeadPoseTrainer:
    """Train on a folder of tracks and the corpora below `cache`; weights go to `out`."""
    recipe = HeadPoseRecipe(
        codebook_steps=codebook_steps, mapping_steps=mapping_steps, seed=seed, threads=threads
    )
    paths = sorted(tracks.glob("track_*.csv"))
    used = [path for path in paths if path.stem not in held_out]
    if not used:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"There are no head tracks in '{tracks}'.",
            "Give --tracks a folder with track_*.csv files.",
        )
    if not any(is_complete(cache / name) for name in CORPORA):
        synthesise(cache, 1200.0, 0.0, seed)
    settings: WindowRecipe = recipe.windows
    random = np.random.default_rng([seed, 0])
    levels = speech_levels([cache / name for name in CORPORA], settings, random)
    poses = [steady(read_track(path), settings.largest_spread) for path in used]
    windows = make_windows(poses, levels, settings, seed)
    print(
        f"{len(windows.motion)} windows, {windows.tracked.mean():.0%} of them of "
        f"{len(used)} tracks",
        flush=True,
    )
    # Streams of both kinds, for fitting the gain.
    mixed = levels[:: max(len(levels) // 24, 1)]
    trainer = train(windows, mixed, out, recipe)
    others = [path for path in paths if path.stem in held_out]
    for label, chosen in (("training tracks", used), ("held-out tracks", others)):
        if chosen:
            report(trainer, chosen, label, settings.largest_spread)
    return trainer


def report(
    trainer: HeadPoseTrainer, paths: Sequence[Path], label: str, largest_spread: float
) -> None:
    """Print how well codes reconstruct the windows of unvaried tracks, and how many are used."""
    motion = torch.from_numpy(
        np.concatenate([plain_windows(steady(read_track(path), largest_spread)) for path in paths])
    )
    chosen = trainer.codes_of(motion)
    with torch.no_grad():
        codes = trainer.vae.codebook.codes
        decoded = trainer.vae.decode(codes[0][chosen[:, 0]] + codes[1][chosen[:, 1]])
    error = (decoded - motion)[:, :, :3].numpy() * UNITS[0]
    size = motion[:, :, :3].numpy() * UNITS[0]
    in_use = [perplexity(chosen[:, k].numpy(), codes.shape[1]) for k in range(2)]
    print(
        f"{label}: {len(motion)} windows, rms error {np.sqrt(np.mean(error**2)):.2f} of "
        f"{np.sqrt(np.mean(size**2)):.2f} degrees, perplexity {in_use[0]:.1f} and {in_use[1]:.1f}",
        flush=True,
    )
