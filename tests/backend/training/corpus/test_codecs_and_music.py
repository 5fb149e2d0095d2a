# SPDX-License-Identifier: GPL-3.0-or-later
"""Codecs keep the sound in its place; music and tones have unit power and are repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from backend.training.corpus import augment
from backend.training.corpus.line_codecs import (
    CODECS,
    Codec,
    delay_between,
    random_codec,
    through_codec,
    usable_codecs,
)
from backend.training.corpus.music import music, signal_tones


def _speech_like(seconds: float = 1.5) -> np.ndarray:
    """A buzz with changing pitch, three formants, and syllables; float32 at 16 kHz."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = np.cumsum(130.0 + 25.0 * np.sin(2 * np.pi * 1.3 * time)) / 16_000
    sound = sum(
        np.exp(-((k * 130 - 600) ** 2) / 4e5) * np.sin(2 * np.pi * k * phase) for k in range(1, 26)
    )
    hiss = 0.1 * np.random.default_rng(0).standard_normal(len(time))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 3.0 * time)
    return (0.1 * (sound + hiss) * syllables).astype(np.float32)


def _envelope(samples: np.ndarray) -> np.ndarray:
    power = np.convolve(samples.astype(np.float64) ** 2, np.hanning(320), "same")
    return power - power.mean()


def test_delay_is_measured() -> None:
    sound = _speech_like()
    assert delay_between(sound, np.roll(sound, 37)) == 37
    assert delay_between(sound, np.roll(sound, -5)) == -5


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: f"{c.encoder}-{c.rate}")
def test_codecs_keep_length_and_place(codec: Codec) -> None:
    if codec not in usable_codecs():
        pytest.skip(f"this FFmpeg has no encoder {codec.encoder}")
    sound = _speech_like()
    for bit_rate in codec.bit_rates:
        coded = through_codec(sound, codec, bit_rate)
        assert coded.shape == sound.shape and coded.dtype == np.float32
        assert abs(delay_between(_envelope(sound), _envelope(coded))) <= 48  # 3 ms
        assert np.corrcoef(_envelope(sound), _envelope(coded))[0, 1] > 0.9
        assert not np.array_equal(coded, sound)


def test_a_missing_encoder_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sound = _speech_like(0.3)
    missing = Codec("no_such_encoder", "wav", 16_000)
    for _ in range(2):
        np.testing.assert_array_equal(through_codec(sound, missing, 0), sound)
    assert capsys.readouterr().out.count("no_such_encoder") >= 1


def test_random_codecs_are_repeatable_and_keep_the_level() -> None:
    sound = 0.01 * _speech_like(0.5)
    for seed in range(4):
        first, second = (random_codec(sound, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert 0.4 < first.std() / sound.std() < 2.0


@pytest.mark.parametrize("make", [music, signal_tones])
def test_music_and_tones(make) -> None:  # type: ignore[no-untyped-def]
    for seed in range(6):
        first, second = (make(16_000, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (16_000,) and first.dtype == np.float32
        assert np.isfinite(first).all() and first.std() == pytest.approx(1.0, abs=0.01)
    different = make(16_000, np.random.default_rng(99))
    assert not np.allclose(different, first)


def test_noise_clips_hold_music_tones_and_noise_without_a_voice() -> None:
    made = set()
    names = ("music", "signal_tones", "coloured_noise")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            original = getattr(augment, name)

            def spy(length, random, name=name, original=original):  # type: ignore[no-untyped-def]
                made.add(name)
                return original(length, random)

            patch.setattr(augment, name, spy)
        for seed in range(20):
            clip = augment.noise_only(0.4, np.random.default_rng(seed), seed)
            assert [p.label for p in clip.phones] == ["sil"] and len(clip.samples) == 6400
    assert made == set(names)
