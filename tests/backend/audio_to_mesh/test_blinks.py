# SPDX-License-Identifier: GPL-3.0-or-later
"""Blinks, gaze and the phrase ends that attract blinks."""

from __future__ import annotations

import numpy as np
import pytest

from backend.audio.load import load_audio
from backend.audio_to_mesh.blinks import blink_weights
from backend.audio_to_mesh.loudness import loudness, phrase_ends, speaking
from backend.samples import SPEECH
from shared.arkit import ARKIT_NAMES, EYES, INDEX

NO_ENDS = np.zeros(0)


def test_only_eyes_move_and_stay_in_range() -> None:
    weights = blink_weights(60 * 120, 60.0, 3, 1.0, NO_ENDS)
    assert weights.shape == (7200, 52) and weights.dtype == np.float32
    assert weights.min() >= 0.0 and weights.max() <= 1.0
    for name in ARKIT_NAMES:
        if name not in EYES:
            assert not weights[:, INDEX[name]].any(), name
    assert weights[:, INDEX["eyeBlinkLeft"]].max() > 0.93
    assert 0.02 < weights[:, INDEX["eyeLookOutLeft"]].max() < 0.25


@pytest.mark.parametrize("fps", [24.0, 29.97, 60.0, 120.0])
def test_rate_is_that_of_people(fps: float) -> None:
    minutes = 20
    ends = np.arange(2.0, minutes * 60, 3.7)
    for phrases in (NO_ENDS, ends):
        lid = blink_weights(int(minutes * 60 * fps), fps, 0, 1.0, phrases)[:, INDEX["eyeBlinkLeft"]]
        blinks = np.count_nonzero(np.diff((lid > 0.4).astype(int)) > 0)
        assert 14.0 < blinks / minutes < 21.0


def test_a_blink_closes_faster_than_it_opens() -> None:
    fps = 1000.0
    weights = blink_weights(120_000, fps, 1, 1.0, NO_ENDS)
    lid = weights[:, INDEX["eyeBlinkLeft"]]
    tops = np.flatnonzero((lid[1:-1] >= lid[:-2]) & (lid[1:-1] > lid[2:]) & (lid[1:-1] > 0.9)) + 1
    tops = tops[np.diff(tops, prepend=-1000) > 300]
    closing, opening = [], []
    for top in tops:
        before, after = lid[max(top - 200, 0) : top][::-1], lid[top : top + 350]
        closing.append(np.argmax(before < 0.1 * lid[top]))
        opening.append(np.argmax(after < 0.1 * lid[top]))
    # Times between 10 and 90 % or more of the way, so they are shorter than the whole movement.
    assert 60 < np.mean(closing) < 130  # with the time that the lid stays shut
    assert 80 < np.mean(opening) < 190
    assert np.mean(opening) > 1.1 * np.mean(closing)


def test_both_eyes_blink_together_but_not_alike() -> None:
    weights = blink_weights(3600, 60.0, 5, 1.0, NO_ENDS)
    left, right = weights[:, INDEX["eyeBlinkLeft"]], weights[:, INDEX["eyeBlinkRight"]]
    assert np.corrcoef(left, right)[0, 1] > 0.97
    assert not np.array_equal(left, right)


def onsets(weights: np.ndarray, fps: float) -> np.ndarray:
    """Seconds at which the left lid passes the first tenth of its way down."""
    lid = weights[:, INDEX["eyeBlinkLeft"]]
    return np.flatnonzero((lid[:-1] < 0.1) & (lid[1:] >= 0.1)) / fps


def test_blinks_gather_at_phrase_ends() -> None:
    ends = np.arange(3.0, 1200.0, 4.1)
    times = onsets(blink_weights(120_000, 100.0, 0, 1.0, ends, gaze=0.0), 100.0)
    after = (times[:, None] - ends[None, :] >= 0.0) & (times[:, None] - ends[None, :] < 0.23)
    # 0.23 of every 4.1 seconds would catch 6 % by chance; people make it several times that.
    assert after.any(axis=1).mean() > 0.25


def test_same_seed_same_eyes_and_another_seed_others() -> None:
    one = blink_weights(1200, 60.0, 7, 1.0, NO_ENDS)
    assert np.array_equal(one, blink_weights(1200, 60.0, 7, 1.0, NO_ENDS))
    assert not np.array_equal(one, blink_weights(1200, 60.0, 8, 1.0, NO_ENDS))
    assert blink_weights(60, 60.0, -1, 1.0, NO_ENDS).shape == (60, 52)


def test_each_dial_alone() -> None:
    assert not blink_weights(3600, 60.0, 0, 0.0, NO_ENDS, gaze=0.0).any()
    without_gaze = blink_weights(3600, 60.0, 0, 1.0, NO_ENDS, gaze=0.0)
    without_blinks = blink_weights(3600, 60.0, 0, 0.0, NO_ENDS)
    for name in ARKIT_NAMES:
        if name.startswith("eyeLook"):
            assert not without_gaze[:, INDEX[name]].any(), name
    assert without_gaze[:, INDEX["eyeBlinkLeft"]].max() > 0.9
    # What is left of the lids follows the eyes.
    assert without_blinks[:, INDEX["eyeBlinkLeft"]].max() < 0.1
    assert without_blinks[:, INDEX["eyeLookOutLeft"]].max() > 0.05
    farther = blink_weights(3600, 60.0, 0, 0.0, NO_ENDS, gaze=2.0)
    column = INDEX["eyeLookInLeft"]
    assert np.allclose(farther[:, column], 2.0 * without_blinks[:, column], atol=1e-6)
    counts = [
        len(onsets(blink_weights(36_000, 60.0, 0, rate, NO_ENDS, gaze=0.0), 60.0))
        for rate in (0.5, 1.0, 2.0)
    ]
    assert counts[0] < 0.7 * counts[1] < 0.5 * counts[2]


@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_very_short(frames: int) -> None:
    for seed in range(20):
        assert np.isfinite(blink_weights(frames, 24.0, seed, 2.0, np.array([0.01]))).all()


def test_phrase_ends_of_made_speech() -> None:
    """Bursts of noise: short gaps are consonants, long ones end a phrase, also over room noise."""
    random = np.random.default_rng(0)
    gate = np.zeros(16000 * 6)
    for start, end in ((0.5, 1.2), (1.3, 2.0), (2.8, 3.5), (3.6, 4.0), (4.6, 5.9)):
        gate[int(start * 16000) : int(end * 16000)] = 1.0
    voice = gate * random.normal(0, 0.1, len(gate))
    for noise in (0.0, 0.001, 0.01):
        samples = (voice + random.normal(0, noise, len(gate))).astype(np.float32)
        # The voice that runs to the end of the clip has no pause behind it.
        assert phrase_ends(samples) == pytest.approx([2.0, 4.0], abs=0.03)


def test_phrase_ends_of_silence_noise_and_the_sample() -> None:
    assert len(phrase_ends(np.zeros(16000, np.float32))) == 0
    assert len(phrase_ends(np.zeros(100, np.float32))) == 0
    voice = load_audio(SPEECH)
    # Its text has two pauses between sentences; the recording ends too soon after the third.
    assert len(phrase_ends(voice.samples)) == 2
    assert 0.7 < speaking(loudness(voice.samples)).mean() < 0.95
    quieter = phrase_ends(voice.samples * np.float32(0.05))
    assert quieter == pytest.approx(phrase_ends(voice.samples), abs=0.15)


def test_loudness_counts_every_sample() -> None:
    assert loudness(np.full(330, 0.5, np.float32)) == pytest.approx([0.5, 0.5, 0.5])
    assert len(loudness(np.zeros(0, np.float32))) == 0
