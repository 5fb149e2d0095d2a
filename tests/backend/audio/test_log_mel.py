# SPDX-License-Identifier: GPL-3.0-or-later
"""Features: right bands, right times, the same in pieces, scaled and limited."""

from __future__ import annotations

import numpy as np
import pytest

from backend.audio.log_mel import (
    BANDS,
    COARSE_BANDS,
    frame_count,
    level,
    log_mel,
    normalise,
)


def _noise(seconds: float, loudness: float = 0.1, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (loudness * random.standard_normal(int(seconds * 16_000))).astype(np.float32)


def test_shape_and_finiteness_down_to_one_sample() -> None:
    for count in (1, 160, 1600, 16_001):
        features = log_mel(np.zeros(count, np.float32))
        assert features.shape == (count // 160 + 1, BANDS) == (frame_count(count), BANDS)
        assert features.dtype == np.float32 and np.isfinite(features).all()


def test_a_tone_is_loudest_in_its_band_and_higher_tones_in_higher_bands() -> None:
    time = np.arange(16_000) / 16_000
    peaks = []
    for frequency in (200.0, 800.0, 3000.0, 7000.0):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        peaks.append(int(log_mel(tone)[50, :COARSE_BANDS].argmax()))
    assert peaks == sorted(peaks) and len(set(peaks)) == 4
    # 20 Hz .. 7600 Hz on the mel scale: 800 Hz lies a little above a quarter.
    assert 18 <= peaks[1] <= 28


def test_a_click_is_centred_on_its_frame() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[50 * 160] = 1.0
    features = log_mel(samples)
    loud = features[:, :COARSE_BANDS].sum(axis=1)
    assert loud.argmax() == 50
    assert loud[49] == pytest.approx(loud[51], rel=0.05)
    # The two fine windows of a frame lie on either side of it.
    fine = features[:, COARSE_BANDS:].reshape(-1, 2, 40).mean(axis=2)
    assert fine[50, 0] == pytest.approx(fine[50, 1], abs=0.1)
    samples = np.roll(samples, -100)
    fine = log_mel(samples)[:, COARSE_BANDS:].reshape(-1, 2, 40).mean(axis=2)
    assert fine[50, 0] > fine[50, 1] + 5


def test_any_stretch_equals_that_stretch_of_the_whole() -> None:
    samples = _noise(2.0)
    whole = log_mel(samples)
    for start, stop in ((0, 1), (0, 200), (17, 133), (199, 201), (150, 500)):
        np.testing.assert_allclose(log_mel(samples, start, stop), whole[start:stop], atol=1e-5)


def test_a_stretch_beyond_the_clip_is_empty() -> None:
    samples = _noise(0.5)
    assert log_mel(samples, 30, 30).shape == (0, BANDS)
    assert log_mel(samples, 60, 80).shape == (0, BANDS)
    assert frame_count(0) == 1 and np.isfinite(log_mel(np.zeros(0, np.float32))).all()


def test_level_follows_the_sound_and_normal_features_are_limited() -> None:
    loud, soft = (log_mel(_noise(1.0, x)) for x in (0.3, 0.03))
    # Twenty decibels in nats of energy.
    assert (level(loud) - level(soft))[5:-5] == pytest.approx(4.6, abs=0.1)
    reference = np.broadcast_to(soft.mean(axis=0), loud.shape)
    normal = normalise(loud, reference)
    assert normal.dtype == np.float32 and 1.0 < normal[5:-5].mean() < 2.0
    assert normalise(loud, reference - 100.0).max() == 4.0
    assert normalise(loud, reference + 100.0).min() == -4.0
