# SPDX-License-Identifier: GPL-3.0-or-later
"""The head-pose trainer on made-up tracks and speech: it learns, resumes, repeats, exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backend.audio_to_mesh.head_codebook import HEARD, HOP, WINDOW, HeadPoseShape
from backend.audio_to_mesh.head_model import HeadPoseModel
from backend.training.corpus.utterance import Phone, Utterance, save_corpus
from backend.training.head_pose.run import run
from backend.training.head_pose.train import HeadPoseRecipe, HeadPoseTrainer, perplexity, train
from backend.training.head_pose.windows import (
    WindowRecipe,
    Windows,
    make_windows,
    plain_windows,
    read_track,
    speech_levels,
    steady,
)
from shared.errors import VividKeysError

RECIPE = HeadPoseRecipe(
    codebook_steps=80,
    learning_rate=4e-3,
    mapping_steps=20,
    batch=64,
    revive_every=10,
    save_every=20,
    shape=HeadPoseShape(codes=8, code_size=4, width=16, state=12),
)


def _track(number: int) -> NDArray[np.float64]:
    time = np.arange(300) / 30.0
    return 3.0 * np.stack([np.sin((1.0 + 0.3 * k + 0.1 * number) * time) for k in range(3)], axis=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    random = np.random.default_rng(0)
    sound = (random.normal(0, 3000, (3, 24_000)) * np.sin(np.arange(24_000) / 2000)).astype(
        np.int16
    )
    save_corpus(
        [Utterance(f"u{k}", "s", sound[k], (Phone(0.0, 1.5, "aa"),)) for k in range(3)],
        folder / "cache" / "espeak",
    )
    (folder / "tracks").mkdir()
    for number in range(3):
        rows = np.column_stack([np.arange(300) / 30.0, _track(number)[:, [0, 2, 1]]])
        np.savetxt(
            folder / "tracks" / f"track_{number:02}.csv",
            rows,
            delimiter=",",
            header="time_s,pitch_deg,yaw_deg,roll_deg",
            comments="",
        )
    return folder


@pytest.fixture(scope="module")
def levels(folders: Path) -> list[NDArray[np.float32]]:
    recipe = WindowRecipe(streams=6, stream_seconds=20.0)
    return speech_levels([folders / "cache" / "espeak"], recipe, np.random.default_rng(0))


@pytest.fixture(scope="module")
def windows(levels: list[NDArray[np.float32]]) -> Windows:
    tracks = [steady(_track(number), 4.5) for number in range(3)]
    return make_windows(tracks, levels, WindowRecipe(streams=6, stream_seconds=20.0), 0)


def test_windows(windows: Windows) -> None:
    count = len(windows.motion)
    assert count > 100 and windows.motion.shape == (count, WINDOW, 6)
    assert windows.heard.shape == (count, HEARD)
    assert 0.2 < windows.tracked.mean() < 0.9
    # A window that follows another begins where that one stood a hop later.
    follows = np.flatnonzero(windows.place > 0)
    step = windows.pose[follows - 1] + windows.motion[follows - 1, HOP - 1]
    assert np.allclose(step, windows.pose[follows], atol=1e-5)


def test_steady_keeps_what_heads_do_and_drops_the_camera() -> None:
    shaking = _track(0) + [10.0, 0.0, -5.0] + 0.5 * np.sin(np.arange(300) * 1.7)[:, None]
    found, clean = steady(shaking, 4.5), steady(_track(0), 4.5)
    assert np.abs(found - clean)[10:-10].max() < 0.8
    assert np.sqrt(steady(5 * _track(0), 4.5).var(axis=0).mean()) < 4.6
    assert plain_windows(found).shape[1:] == (WINDOW, 6)


def test_it_learns_and_uses_its_codes(windows: Windows) -> None:
    recipe = replace(RECIPE, codebook_steps=300, mapping_steps=150)
    trainer = HeadPoseTrainer(windows, recipe)
    errors = [trainer.optimise()["error"] for _ in range(recipe.codebook_steps)]
    assert np.mean(errors[-5:]) < 0.8 * np.mean(errors[:5])
    codes = trainer.codes_of(trainer.motion).numpy()
    assert perplexity(codes[:, 0] * 8 + codes[:, 1], 64) > 4.0
    frozen = {name: value.clone() for name, value in trainer.vae.state_dict().items()}
    losses = [trainer.optimise()["total"] for _ in range(recipe.mapping_steps)]
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    # The second phase leaves codebook and decoder alone.
    assert all(torch.equal(frozen[name], value) for name, value in trainer.vae.state_dict().items())


def test_perplexity_counts_codes_in_use() -> None:
    assert perplexity(np.arange(64), 64) == pytest.approx(64.0)
    assert perplexity(np.zeros(64, np.int64), 64) == pytest.approx(1.0)


@pytest.mark.parametrize("stop", [25, 80, 90])
def test_resuming_gives_what_the_unbroken_run_gives(
    windows: Windows, tmp_path: Path, stop: int
) -> None:
    whole, first = HeadPoseTrainer(windows, RECIPE), HeadPoseTrainer(windows, RECIPE)
    while whole.progress() < 1.0:
        whole.optimise()
    for _ in range(stop):
        first.optimise()
    first.save(tmp_path / "checkpoint.safetensors")
    second = HeadPoseTrainer(windows, replace(RECIPE, seed=RECIPE.seed))
    second.resume(tmp_path / "checkpoint.safetensors")
    assert second.step == stop
    while second.progress() < 1.0:
        second.optimise()
    for net in ("vae", "mapping"):
        wanted, found = getattr(whole, net).state_dict(), getattr(second, net).state_dict()
        for name, value in wanted.items():
            assert torch.allclose(value, found[name], atol=1e-6), f"{net} {name}"


def test_what_it_exports_can_be_used(
    windows: Windows, levels: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    train(windows, levels, tmp_path, RECIPE)
    model = HeadPoseModel.load(tmp_path / "head_pose.safetensors")
    pose = model.motion(levels[0], 200, 1)
    assert pose.shape == (200, 6) and np.isfinite(pose).all()
    assert not pose[0].any() and pose.any()


def test_the_command_from_folders_to_weights(folders: Path, tmp_path: Path) -> None:
    arguments = {"codebook_steps": 4, "mapping_steps": 4, "seed": 0, "threads": 1}
    run(folders / "tracks", folders / "cache", tmp_path, ("track_02",), **arguments)
    assert (tmp_path / "head_pose.safetensors").is_file()
    with pytest.raises(VividKeysError):
        run(tmp_path, folders / "cache", tmp_path, (), **arguments)
    with pytest.raises(VividKeysError):
        read_track(tmp_path / "head_pose.safetensors")
