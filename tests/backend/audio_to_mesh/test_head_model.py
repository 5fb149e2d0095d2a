# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped head-pose codebook: in use, seamless, repeatable, and honest about a bad file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from backend.audio.load import load_audio
from backend.audio_to_mesh.beats import GRID
from backend.audio_to_mesh.head_codebook import HOP
from backend.audio_to_mesh.head_model import SHIPPED, HeadPoseModel, shipped_model
from backend.audio_to_mesh.head_motion import head_motion
from backend.audio_to_mesh.loudness import loudness
from backend.samples import SPEECH
from shared.errors import ErrorKind, VividKeysError


@pytest.fixture(scope="module")
def level() -> NDArray[np.float32]:
    return loudness(np.tile(load_audio(SPEECH).samples, 12))


def perplexity(chosen: NDArray[np.int64], codes: int) -> float:
    share = np.bincount(chosen, minlength=codes) / len(chosen)
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def test_the_codebook_is_in_use(level: NDArray[np.float32]) -> None:
    model = shipped_model()
    codes = model.vae.codebook.codes.shape[1]
    windows = len(level) * GRID // 100 // HOP
    chosen = np.concatenate([model.choose(level, windows, seed, np.zeros(6)) for seed in range(8)])
    assert perplexity(chosen // codes, codes) > 0.3 * codes
    assert perplexity(chosen % codes, codes) > 0.3 * codes
    assert chosen.min() >= 0 and chosen.max() < codes * codes


def test_small_on_disk() -> None:
    assert SHIPPED.stat().st_size < 1_000_000


def test_windows_join_without_seams(level: NDArray[np.float32]) -> None:
    """Where one window takes over from another the pose moves no faster than in between."""
    pose = shipped_model().motion(level, len(level) * GRID // 100, 5)
    speed = np.linalg.norm(np.diff(pose[:, :3], axis=0), axis=1)
    bend = np.linalg.norm(np.diff(pose[:, :3], 2, axis=0), axis=1)
    for values in (speed, bend):
        by_phase = [values[phase::HOP].mean() for phase in range(HOP)]
        assert max(by_phase) < 1.6 * np.mean(by_phase)


def test_the_pull_towards_rest_ends_every_drift(level: NDArray[np.float32]) -> None:
    """Over minutes the pose stays where a head can be, whatever the seed draws."""
    for seed in range(3):
        pose = shipped_model().motion(level, 6000, seed)
        assert np.abs(pose[:, :3]).max() < 30.0
        assert np.abs(pose[3000:, :3].mean(axis=0)).max() < 6.0


def test_liveliness(level: NDArray[np.float32]) -> None:
    """A lively head is quicker than a calm one, and neither is another kind of head."""
    speeds = []
    for liveliness in (-1.0, 0.0, 1.0):
        poses = [
            shipped_model().motion(level, 2400, seed, liveliness=liveliness)[:, :3]
            for seed in range(4)
        ]
        speeds.append(np.mean([np.linalg.norm(np.diff(p, axis=0), axis=1).mean() for p in poses]))
    assert 1.15 * speeds[0] < speeds[1] < speeds[2] / 1.15
    assert speeds[2] < 5.0 * speeds[0]


def test_a_longer_clip_begins_with_the_same_codes(level: NDArray[np.float32]) -> None:
    model = shipped_model()
    short = model.choose(level, 30, 7, np.zeros(6))
    assert np.array_equal(short, model.choose(level, 200, 7, np.zeros(6))[:30])
    assert not np.array_equal(short, model.choose(level, 30, 8, np.zeros(6)))


def test_sampling_follows_the_sound(level: NDArray[np.float32]) -> None:
    model = shipped_model()
    assert not np.array_equal(
        model.choose(level, 60, 7, np.zeros(6)), model.choose(0 * level, 60, 7, np.zeros(6))
    )


def test_goes_on_from_the_given_pose(level: NDArray[np.float32]) -> None:
    samples = np.tile(load_audio(SPEECH).samples, 2)
    initial = (0.1, -0.05, 0.12)
    rotation, translation = head_motion(samples, 30.0, 240, 2, 1.0, initial=initial)
    assert np.allclose(rotation[0], initial, atol=1e-6)
    assert np.abs(np.diff(rotation[:8], axis=0)).max() < np.radians(0.5)
    assert translation[0].any()  # the face lies off the neck's joint
    still, _ = head_motion(samples, 30.0, 240, 2, 0.0, initial=initial)
    assert (still == np.float32(initial)).all()
    # Far from rest it comes back: the mean over seeds nears rest.
    start = np.array([0.0, 0.0, 10.0, 0.0, 0.0, 0.0])
    ends = [
        10.0 + shipped_model().motion(level, 400, seed, start)[-100:, 2].mean() for seed in range(8)
    ]
    assert abs(np.mean(ends)) < 6.0


@pytest.mark.parametrize("damage", ["missing", "cut", "no tensors", "not a number"])
def test_bad_weights(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "head_pose.safetensors"
    if damage == "cut":
        path.write_bytes(SHIPPED.read_bytes()[:1000])
    elif damage == "no tensors":
        save_file({"a": torch.zeros(1)}, path)
    elif damage == "not a number":
        tensors = {k: v.clone() for k, v in load_file(SHIPPED).items()}
        tensors["vae.codebook.codes"][0, 0, 0] = float("nan")
        from safetensors import safe_open

        with safe_open(SHIPPED, "pt") as stream:
            save_file(tensors, path, stream.metadata())
    with pytest.raises(VividKeysError) as caught:
        HeadPoseModel.load(path)
    assert caught.value.kind == ErrorKind.BAD_FILE
    assert path.name in caught.value.sentence
