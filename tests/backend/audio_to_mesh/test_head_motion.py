# SPDX-License-Identifier: GPL-3.0-or-later
"""Head motion: rest at the start, slow, calm in silence, like tracked heads in its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from backend.audio.load import load_audio
from backend.audio_to_mesh.beats import stressed_beats
from backend.audio_to_mesh.head_motion import head_motion
from backend.audio_to_mesh.loudness import loudness
from backend.evaluation.head_pose import evaluate_head_pose, figures, run
from backend.samples import SPEECH
from backend.training.head_pose.windows import read_track
from shared.errors import VividKeysError

FPS = 60.0


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    return np.tile(load_audio(SPEECH).samples, 5)


def moves(
    voice: NDArray[np.float32], seed: int = 0, strength: float = 1.0, fps: float = FPS
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return head_motion(voice, fps, int(len(voice) / 16000 * fps), seed, strength)


def test_shapes_and_rest_at_the_start(voice: NDArray[np.float32]) -> None:
    rotation, translation = moves(voice)
    frames = int(len(voice) / 16000 * FPS)
    for curve in (rotation, translation):
        assert curve.shape == (frames, 3) and curve.dtype == np.float32
        assert not curve[0].any()
        assert np.isfinite(curve).all()
    # Easing in: no jerk away from rest.
    assert np.abs(rotation[:6]).max() < np.radians(0.1)


def test_size(voice: NDArray[np.float32]) -> None:
    for seed in range(4):
        rotation, translation = moves(voice, seed)
        spread = np.degrees(rotation.std(axis=0))
        assert (spread > 1.0).all() and (spread < 5.5).all()
        assert np.degrees(np.abs(rotation)).max() < 20.0
        assert 0.001 < np.abs(translation).max() < 0.03


def test_slow(voice: NDArray[np.float32]) -> None:
    for fps in (24.0, 60.0):
        for curve in moves(voice, 1, fps=fps):
            curve = curve[round(2 * fps) :].astype(np.float64)
            frequency, power = signal.welch(curve, fps, nperseg=round(10 * fps), axis=0)
            assert power[frequency > 3.0].sum() < 2e-3 * power.sum()
            assert power[frequency > 10.0].sum() < 1e-5 * power.sum()


def test_the_same_motion_at_every_frame_rate(voice: NDArray[np.float32]) -> None:
    slow, fast = moves(voice, fps=30.0)[0], moves(voice, fps=60.0)[0]
    assert np.allclose(slow, fast[::2][: len(slow)], atol=1e-5)


def test_a_longer_clip_begins_like_a_shorter_one(voice: NDArray[np.float32]) -> None:
    short = head_motion(voice, FPS, 600, 3, 1.0)[0]
    longer = head_motion(voice, FPS, 1800, 3, 1.0)[0]
    assert np.allclose(short, longer[:600], atol=1e-5)


def test_seed_and_strength(voice: NDArray[np.float32]) -> None:
    rotation, _ = moves(voice)
    again, _ = moves(voice)
    assert np.array_equal(rotation, again)
    other, _ = moves(voice, seed=1)
    assert abs(np.corrcoef(rotation[:, 2], other[:, 2])[0, 1]) < 0.6
    half, _ = moves(voice, strength=0.5)
    assert np.allclose(half, rotation * 0.5, atol=1e-6)
    for curve in moves(voice, strength=0.0):
        assert not curve.any()


def test_calm_in_silence(voice: NDArray[np.float32]) -> None:
    pause = np.zeros(10 * 16000, np.float32)
    speed_in_speech, speed_in_pause = 0.0, 0.0
    for seed in range(4):
        rotation, _ = moves(np.concatenate([voice[: 10 * 16000], pause, voice[:16000]]), seed)
        speed = np.linalg.norm(np.diff(rotation, axis=0), axis=1)
        speed_in_speech += speed[120:600].mean()
        speed_in_pause += speed[660:1140].mean()
    assert speed_in_pause < 0.35 * speed_in_speech
    assert speed_in_pause > 0.0  # calm, not frozen


def test_nods_follow_stressed_syllables() -> None:
    """A drum in place of a voice: on average the head dips after each stroke."""
    rhythm = np.zeros(60 * 16000, np.float32)
    strokes = np.arange(1.0, 59.0, 1.1)
    noise = np.random.default_rng(0).normal(0, 0.2, 3200).astype(np.float32)
    for stroke in strokes:
        rhythm[int(stroke * 16000) :][:3200] = noise
    times, _ = stressed_beats(loudness(rhythm))
    assert len(times) == len(strokes) and np.abs(times - strokes - 0.1).max() < 0.1
    dips = []
    for seed in range(12):
        pitch = np.degrees(moves(rhythm, seed)[0][:, 0].astype(np.float64))
        around = [pitch[int((t - 0.45) * FPS) :][:54] for t in times[3:-3]]
        dips.append(np.mean([piece - piece.mean() for piece in around], axis=0))
    dip = np.mean(dips, axis=0)
    assert 0.35 < np.argmax(dip) / FPS < 0.6  # looking down, +x, near the stroke
    assert dip.max() > 0.2


@pytest.mark.parametrize("count", [0, 1, 2, 10])
def test_very_short(count: int) -> None:
    rotation, translation = head_motion(np.zeros(1600, np.float32), 24.0, count, 0, 1.0)
    assert rotation.shape == translation.shape == (count, 3)
    assert np.isfinite(rotation).all()


def test_samples_may_be_shorter_or_longer_than_the_frames(voice: NDArray[np.float32]) -> None:
    assert np.isfinite(head_motion(voice[:16000], FPS, 600, 0, 1.0)[0]).all()
    assert np.isfinite(head_motion(voice, FPS, 60, 0, 1.0)[0]).all()
    assert np.isfinite(head_motion(np.zeros(0, np.float32), FPS, 60, 0, 1.0)[0]).all()


def test_like_tracked_heads(shared_data: Path) -> None:
    tracks = [read_track(path) for path in sorted((shared_data / "head_pose").glob("*.csv"))]
    table = evaluate_head_pose(tracks, seeds=2)
    for name in ("spread_pitch", "spread_roll", "spread_yaw", "speed_median", "speed_95"):
        low, median, _ = table.tracked[name]
        assert 0.5 * low < table.generated[name][1] < 1.3 * median, name
    assert table.generated["burstiness"][1] > 2.4
    assert table.generated["slow_power"][1] > 0.999
    assert table.generated["fast_power"][2] < 1e-4
    assert table.seeds_differ > 1.0
    assert table.first_frame_error < 0.01


def test_figures_of_a_known_track() -> None:
    time = np.arange(900) / 30.0
    swing = np.stack([3 * np.sin(2 * np.pi * 0.5 * time), 0 * time, 0 * time], axis=1)
    found = figures(swing, 30.0)
    assert found.spread_pitch == pytest.approx(3 / np.sqrt(2), rel=0.02)
    assert found.speed_95 == pytest.approx(3 * np.pi, rel=0.03)
    assert found.slow_power > 0.999
    shaking = swing + np.sin(2 * np.pi * 6 * time)[:, None] * 3
    assert found.slow_power - figures(shaking, 30.0).slow_power > 0.4
    assert found.fast_power < 1e-3
    trembling = swing + np.sin(2 * np.pi * 12 * time)[:, None] * 3
    assert figures(trembling, 30.0).fast_power > 0.5


def test_bad_tracks(tmp_path: Path) -> None:
    with pytest.raises(VividKeysError):
        run(tmp_path)
    (tmp_path / "track_1.csv").write_text("a,b\n1,2\n")
    with pytest.raises(VividKeysError):
        run(tmp_path)
