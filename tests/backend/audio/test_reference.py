# SPDX-License-Identifier: GPL-3.0-or-later
"""The running mean of speech: causal, the plain mean of its past, steady, and low in silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backend.audio.log_mel import BANDS, COARSE_BANDS, level, log_mel, normalise
from backend.audio.reference import BLOCK, HISTORY, block_means, block_sums, references

PROFILE = np.linspace(-4.0, -8.0, BANDS).astype(np.float32)
FEW = settings(max_examples=15, deadline=None)


def _features(frames: int, seed: int = 0, loudness: float = 5.0) -> NDArray[np.float32]:
    """Made-up features [frames, 160]: bursts of speech and pauses."""
    random = np.random.default_rng(seed)
    talks = np.repeat(random.random(frames // 37 + 1) < 0.6, 37)[:frames]
    shape = np.linspace(0.0, -3.0, BANDS) + random.normal(0.0, 0.5, (frames, BANDS))
    return (shape + np.where(talks, loudness, -9.0)[:, None] - 4.0).astype(np.float32)


def _voice(seconds: float, loudness: float, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return log_mel((loudness * random.standard_normal(int(seconds * 16_000))).astype(np.float32))


@FEW
@given(frames=st.integers(30, 400), at=st.integers(0, 399), seed=st.integers(0, 99))
def test_the_future_changes_nothing(frames: int, at: int, seed: int) -> None:
    at = min(at, frames - 1)
    features = _features(frames, seed)
    other = features.copy()
    other[at:] = np.random.default_rng(seed).normal(5.0, 6.0, other[at:].shape)
    one, two = references(features, PROFILE), references(other, PROFILE)
    np.testing.assert_allclose(one[:at], two[:at], atol=1e-5)
    # A block reaches the reference right behind its end, and never before it.
    block = (at // BLOCK + 1) * BLOCK
    np.testing.assert_allclose(one[:block], two[:block], atol=1e-5)


def test_a_new_block_counts_from_its_end_on() -> None:
    features = _features(300, 1)
    other = features.copy()
    other[150:160] += 2.0
    one, two = references(features, PROFILE), references(other, PROFILE)
    np.testing.assert_allclose(one[:160], two[:160], atol=1e-6)
    assert np.abs(one[165] - two[165]).max() > 0.01


def _naive(sums: NDArray[np.float32], levels: NDArray[np.float32], row: int) -> NDArray[np.float64]:
    """The mean at the end of block `row` - 1, straight from its definition."""
    past = list(range(max(row - HISTORY, 0), row))
    known = sorted((float(levels[k]) for k in past), reverse=True)[:3]
    peak = min([*known, *[6.0] * (3 - len(known))])
    loud = [k for k in past if levels[k] >= peak - 3.5 * np.log(10.0)]
    total = sum((sums[k].astype(np.float64) for k in loud), np.zeros(BANDS))
    mean = (total + 100.0 * (peak + PROFILE)) / (BLOCK * len(loud) + 100.0)
    return np.asarray(mean + max(-4.3 - peak, 0.0))


@pytest.mark.parametrize("frames", [0, 9, 10, 25, 700, 2345])
def test_it_is_the_plain_sum_over_the_loud_blocks_of_the_past(frames: int) -> None:
    features = _features(frames, frames)
    sums, levels = block_sums(features)
    assert sums.shape == (frames // BLOCK, BANDS) and levels.shape == (frames // BLOCK,)
    for k in range(len(sums)):
        part = features[k * BLOCK : (k + 1) * BLOCK]
        np.testing.assert_allclose(sums[k], part.sum(axis=0), rtol=1e-4, atol=1e-3)
        assert levels[k] == pytest.approx(float(level(part).max()), abs=1e-5)
    means = block_means(sums, levels, PROFILE)
    assert means.shape == (len(sums) + 1, BANDS)
    naive = np.array([_naive(sums, levels, row) for row in range(len(means))])
    np.testing.assert_allclose(means, naive, atol=2e-3)


def test_only_the_last_blocks_count() -> None:
    sums, levels = block_sums(_features(3000, 2))
    whole = block_means(sums, levels, PROFILE)
    recent = block_means(sums[-HISTORY - 20 :], levels[-HISTORY - 20 :], PROFILE)
    np.testing.assert_allclose(recent[HISTORY:], whole[-21:], atol=1e-4)


def test_it_never_jumps_even_where_loudness_does() -> None:
    features = np.concatenate([_features(400, 3), _features(400, 4, loudness=9.0)])
    found = references(features, PROFILE)
    sums, levels = block_sums(features)
    steps = np.abs(np.diff(block_means(sums, levels, PROFILE), axis=0)).max()
    assert steps > 0.3
    assert np.abs(np.diff(found, axis=0)).max() <= steps / BLOCK + 1e-5


def test_pauses_hardly_move_it() -> None:
    voice, pause = _voice(3.0, 0.1), _voice(3.0, 1e-5, seed=1)
    found = references(np.concatenate([voice, pause]), PROFILE)
    # The block in which the voice ends still counts as speech.
    ended = len(voice) + 2 * BLOCK
    assert np.abs(found[-1] - found[ended]).max() < 0.01
    assert np.abs(found[ended] - found[len(voice) - BLOCK]).max() < 0.5


def test_loud_and_soft_voices_look_alike_but_faint_noise_does_not_look_like_speech() -> None:
    flat = np.full(BANDS, np.log(1.0 / COARSE_BANDS), np.float32)
    loud, soft, faint = (_voice(4.0, x) for x in (0.3, 0.03, 1e-5))
    late = slice(-50, None)
    alike = [normalise(f, references(f, flat))[late] for f in (loud, soft)]
    assert np.abs(alike[0] - alike[1]).mean() < 0.1
    assert normalise(faint, references(faint, flat))[late].mean() < -0.5


def test_speech_after_a_quiet_past_is_the_reference_within_seconds() -> None:
    features = np.concatenate([np.full((3000, BANDS), -13.8, np.float32), _voice(4.0, 0.1)])
    found = references(features, PROFILE)
    assert np.isfinite(found).all()
    usual = features[3100:].mean(axis=0)
    assert np.abs(found[2999] - usual).mean() > 3.0
    assert np.abs(found[-1] - usual).mean() < 1.2
