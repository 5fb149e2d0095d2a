# SPDX-License-Identifier: GPL-3.0-or-later
"""Features: right bands, right times, the same in pieces; what counts as average speech."""

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
    reference_mean,
)


def _noise(seconds: float, loudness: float = 0.1, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (loudness * random.standard_normal(int(seconds * 16_000))).astype(np.float32)


def _reference(*pieces: np.ndarray) -> np.ndarray:
    return reference_mean(pieces, [level(piece) for piece in pieces])


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


def test_pauses_do_not_move_the_reference() -> None:
    voice = log_mel(_noise(3.0))
    pause = log_mel(_noise(6.0, 1e-5, seed=1))
    alone = _reference(voice)
    with_pause = _reference(voice, pause)
    assert np.abs(alone - with_pause).max() < 0.15


def test_loud_and_soft_recordings_look_alike_but_faint_noise_does_not_look_like_speech() -> None:
    loud, soft, faint = (log_mel(_noise(3.0, x)) for x in (0.3, 0.03, 1e-5))
    similar = [normalise(f, _reference(f)) for f in (loud, soft)]
    assert np.abs(similar[0] - similar[1]).mean() < 0.02
    assert normalise(faint, _reference(faint)).mean() < -1.0
    assert level(faint).max() < level(soft).min()
