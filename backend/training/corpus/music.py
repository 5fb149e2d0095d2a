# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic music and signal tones, to which the mouth must not move.

Random tempo and key; chords, bass, drums and a melody with vibrato, each optional. All results are
at 16 kHz with unit power.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64

from backend.training.corpus.utterance import SAMPLE_RATE

_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


def _unit_power(samples: Float[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
    return (samples / max(float(samples.std()), 1e-9)).astype(np.float32)


def _note(
    seconds: float,
    pitch: float,
    brightness: float,
    decay: float,
    random: np.random.Generator,
    vibrato: float = 0.0,
) -> Float64[np.ndarray, " N"]:
    """One note with harmonics below 7 kHz; `pitch` in Hz, `decay` per second."""
    time = np.arange(max(int(seconds * SAMPLE_RATE), 1)) / SAMPLE_RATE
    swing = vibrato * np.sin(2 * np.pi * random.uniform(4.0, 7.0) * time)
    phase = 2 * np.pi * pitch * np.cumsum(2.0 ** (swing / 12.0)) / SAMPLE_RATE
    attack = random.uniform(0.003, 0.04)
    envelope = np.minimum(time / attack, 1.0) * np.exp(-decay * time)
    envelope *= np.minimum((seconds - time) / 0.02, 1.0)
    total = np.zeros(len(time))
    for harmonic in range(1, min(int(7000 / pitch), 14) + 1):
        total += brightness ** (harmonic - 1) * np.sin(harmonic * phase + random.uniform(0, 6.28))
    return np.asarray(total * envelope)


def _add(total: Float64[np.ndarray, " N"], start: float, sound: Float64[np.ndarray, " M"]) -> None:
    first = int(start * SAMPLE_RATE)
    if first < len(total):
        part = sound[: len(total) - first]
        total[first : first + len(part)] += part


def _drum(kind: str, random: np.random.Generator) -> Float64[np.ndarray, " N"]:
    time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = random.standard_normal(len(time))
    if kind == "kick":
        sweep = 50.0 * time + 3.0 * (1.0 - np.exp(-30.0 * time))
        return np.asarray(4.0 * np.sin(2 * np.pi * sweep) * np.exp(-14.0 * time))
    if kind == "snare":
        body = np.sin(2 * np.pi * 190.0 * time)
        return np.asarray((noise + body) * np.exp(-18.0 * time))
    return np.asarray(0.5 * np.diff(noise, prepend=0.0) * np.exp(-60.0 * time))


def music(length: int, random: np.random.Generator) -> Float32[np.ndarray, " N"]:
    """A few bars of a random piece, `length` samples."""
    seconds = length / SAMPLE_RATE
    beat = 60.0 / random.uniform(60.0, 180.0)
    scale = _MAJOR if random.random() < 0.5 else _MINOR
    key = 110.0 * 2 ** (int(random.integers(0, 12)) / 12)
    total = np.zeros(length)
    has = random.random(4) < (0.8, 0.7, 0.6, 0.7)
    if not has.any():
        has[0] = True

    def pitch(degree: int, octave: int) -> float:
        return float(key * 2 ** (scale[degree % 7] / 12 + degree // 7 + octave))

    brightness, decay = random.uniform(0.2, 0.85, 3), random.uniform(0.0, 5.0, 3)
    vibrato, loudness = random.uniform(0.0, 0.6), random.uniform(0.4, 1.6, 4)
    chord = 0
    for number, start in enumerate(np.arange(0.0, seconds, beat)):
        if number % 4 == 0:
            chord = int(random.choice([0, 3, 4, 5, 1]))
            for step in (0, 2, 4) if has[0] else ():
                note = _note(4 * beat, pitch(chord + step, 0), brightness[0], decay[0], random)
                _add(total, start, 0.5 * loudness[0] * note)
        if has[1]:
            note = _note(beat, pitch(chord, -1), brightness[1], 1.0 + decay[1], random)
            _add(total, start, 0.9 * loudness[1] * note)
        if has[2]:
            _add(total, start, loudness[2] * _drum("snare" if number % 2 else "kick", random))
            _add(total, start + beat / 2, loudness[2] * _drum("hat", random))
        if has[3] and random.random() < 0.85:
            parts = int(random.integers(1, 3))
            for part in range(parts):
                tone = pitch(chord + int(random.integers(-2, 6)), 1)
                note = _note(beat / parts, tone, brightness[2], decay[2], random, vibrato)
                _add(total, start + part * beat / parts, loudness[3] * note)
    return _unit_power(total)


def signal_tones(length: int, random: np.random.Generator) -> Float32[np.ndarray, " N"]:
    """A siren, a rising tone or beeps, `length` samples."""
    time = np.arange(length) / SAMPLE_RATE
    low, high = np.sort(np.exp(random.uniform(np.log(150.0), np.log(4000.0), 2)))
    kind = int(random.integers(3))
    period = random.uniform(0.3, 5.0)
    if kind == 0:  # siren
        swing = 0.5 - 0.5 * np.cos(2 * np.pi * time / period)
    else:  # rising or falling again and again
        swing = (time / period) % 1.0
        swing = swing if random.random() < 0.7 else 1.0 - swing
    pitch = low * (high / low) ** swing if kind < 2 else np.full(length, low)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    brightness = random.uniform(0.0, 0.6)
    total = sum(brightness ** (k - 1) * np.sin(k * phase) * (k * pitch < 7500) for k in range(1, 6))
    if kind == 2:  # beeps
        total = total * ((time / period) % 1.0 < random.uniform(0.2, 0.8))
    return _unit_power(np.asarray(total))
