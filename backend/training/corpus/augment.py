# SPDX-License-Identifier: GPL-3.0-or-later
"""Degradations of recordings: rooms, microphones, telephones, noise, music, voices, codecs.

All work on the waveform and are drawn from a seeded generator, in the order of a real signal chain:
the voice, the room, its noise, the microphone and the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
import scipy.signal
import soxr
from jaxtyping import Float32, Float64

from backend.training.corpus.line_codecs import random_codec
from backend.training.corpus.music import music, signal_tones
from backend.training.corpus.utterance import SAMPLE_RATE, Phone, Utterance, to_float, to_int16


@dataclass(frozen=True)
class AugmentRecipe:
    """Probabilities of each degradation."""

    speed: float = 0.6
    room: float = 0.6
    telephone: float = 0.12
    low_pass: float = 0.3
    high_pass: float = 0.4
    noise: float = 0.85
    gating: float = 0.2
    clipping: float = 0.08
    codec: float = 0.15


def change_speed(utterance: Utterance, factor: float) -> Utterance:
    """Play faster (factor > 1) or slower; pitch and formants move along, phone times too."""
    samples = soxr.resample(to_float(utterance.samples), SAMPLE_RATE * factor, SAMPLE_RATE)
    phones = tuple(Phone(p.start / factor, p.end / factor, p.label) for p in utterance.phones)
    return replace(utterance, samples=to_int16(samples), phones=phones)


def pad_with_silence(utterance: Utterance, before: float, after: float) -> Utterance:
    """Add silence before and after (seconds), which recordings have and synthesis lacks."""
    lead, tail = int(before * SAMPLE_RATE), int(after * SAMPLE_RATE)
    before, after = lead / SAMPLE_RATE, tail / SAMPLE_RATE
    phones = [Phone(p.start + before, p.end + before, p.label) for p in utterance.phones]
    if phones and phones[0].label == "sil":
        phones[0] = Phone(0.0, phones[0].end, "sil")
    else:
        phones.insert(0, Phone(0.0, before, "sil"))
    end = len(utterance.samples) / SAMPLE_RATE + before + after
    if phones[-1].label == "sil":
        phones[-1] = Phone(phones[-1].start, end, "sil")
    else:
        phones.append(Phone(phones[-1].end, end, "sil"))
    samples = np.pad(utterance.samples, (lead, tail))
    return replace(utterance, samples=samples, phones=tuple(phones))


def room_response(random: np.random.Generator) -> Float32[np.ndarray, " N"]:
    """A synthetic room: direct path, a few early reflections, and a tail with long lows."""
    decay = random.uniform(0.12, 0.9)
    length = int(SAMPLE_RATE * min(decay, 0.6))
    time = np.arange(length) / SAMPLE_RATE
    noise = random.standard_normal(length)
    low = scipy.signal.lfilter([0.15], [1.0, -0.85], noise)
    tail = low * 2.0 * 10 ** (-3 * time / (1.3 * decay)) + (noise - low) * 10 ** (-3 * time / decay)
    tail[: int(random.uniform(0.001, 0.015) * SAMPLE_RATE)] = 0.0
    for _ in range(int(random.integers(0, 7))):
        tail[int(random.uniform(0.001, 0.05) * SAMPLE_RATE) % length] += random.normal(0.0, 2.0)
    ratio = 10 ** (random.uniform(-4.0, 18.0) / 20)
    response = tail / max(float(np.sqrt((tail**2).sum())), 1e-9) / ratio
    response[0] += 1.0
    return np.asarray(response, np.float32)


def coloured_noise(length: int, random: np.random.Generator) -> Float32[np.ndarray, " N"]:
    """Noise with a random spectral slope, sometimes amplitude-modulated or with hum; unit power."""
    size = scipy.fft.next_fast_len(length, real=True)
    spectrum = scipy.fft.rfft(random.standard_normal(size, np.float32))
    frequency = scipy.fft.rfftfreq(size, 1 / SAMPLE_RATE).astype(np.float32)
    slope = random.uniform(-1.0, 0.3)
    gain = (np.maximum(frequency, 40.0) / 1000.0) ** slope
    noise = scipy.fft.irfft(spectrum * gain, size)[:length]
    time = np.arange(length) / SAMPLE_RATE
    if random.random() < 0.4:
        rate, depth = random.uniform(0.2, 6.0), random.uniform(0.2, 0.9)
        noise *= 1.0 + depth * np.sin(2 * np.pi * (rate * time + random.random()))
    if random.random() < 0.15:
        hum = random.choice([50.0, 60.0, 100.0, 120.0])
        tones = sum(np.sin(2 * np.pi * hum * k * time) / k for k in range(1, 6))
        noise = noise + random.uniform(0.3, 3.0) * noise.std() * tones
    return np.asarray(noise / max(float(noise.std()), 1e-9), np.float32)


def babble(
    length: int, voices: Sequence[Utterance], random: np.random.Generator
) -> Float32[np.ndarray, " N"]:
    """Two to five other voices at once; unit power."""
    total = np.zeros(length, np.float32)
    for _ in range(int(random.integers(2, 6))):
        voice = to_float(voices[int(random.integers(len(voices)))].samples)
        if len(voice) < 100:
            continue
        shifted = np.roll(np.resize(voice, length), int(random.integers(length)))
        total += shifted / max(float(shifted.std()), 1e-6)
    return total / max(float(total.std()), 1e-9)


def _equalise(
    samples: Float32[np.ndarray, " N"], recipe: AugmentRecipe, random: np.random.Generator
) -> Float32[np.ndarray, " N"]:
    """Microphone and line as one gain over frequency: tilt, bumps, band limits."""
    size = scipy.fft.next_fast_len(len(samples) + SAMPLE_RATE // 10, real=True)
    frequency = np.maximum(scipy.fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    octaves = np.log2(frequency / 1000.0)
    decibels = random.uniform(-4.0, 2.5) * np.clip(octaves, -4.0, 3.0)
    points = np.linspace(-4.5, 3.0, 8)
    decibels += np.interp(octaves, points, random.normal(0.0, 3.0, 8))
    gain = 10 ** (decibels / 20)

    def low(cutoff: float, order: int) -> Float64[np.ndarray, " F"]:
        return np.asarray(1.0 / np.sqrt(1.0 + (frequency / cutoff) ** (2 * order)))

    def high(cutoff: float, order: int) -> Float64[np.ndarray, " F"]:
        return np.asarray(1.0 / np.sqrt(1.0 + (cutoff / frequency) ** (2 * order)))

    draw = random.random()
    if draw < recipe.telephone:
        gain *= high(random.uniform(200, 350), 4) * low(random.uniform(3000, 3800), 6)
    elif draw < recipe.telephone + recipe.low_pass:
        gain *= low(random.uniform(2200, 7300), int(random.integers(2, 7)))
    if random.random() < recipe.high_pass:
        gain *= high(random.uniform(50, 220), int(random.integers(1, 4)))
    spectrum = scipy.fft.rfft(samples, size) * gain.astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, size)[: len(samples)], np.float32)


def _gate_weak_bins(
    samples: Float32[np.ndarray, " N"], random: np.random.Generator
) -> Float32[np.ndarray, " N"]:
    """Drop the weak parts of the spectrum, as low-rate codecs do."""
    _, _, spectrum = scipy.signal.stft(samples, SAMPLE_RATE, nperseg=512, noverlap=384)
    size = np.abs(spectrum)
    limit = size.max(axis=0, keepdims=True) * 10 ** (-random.uniform(30.0, 55.0) / 20)
    _, result = scipy.signal.istft(
        np.where(size < limit, 0.0, spectrum), SAMPLE_RATE, nperseg=512, noverlap=384
    )
    return np.resize(result, len(samples)).astype(np.float32)


def degrade(
    utterance: Utterance,
    voices: Sequence[Utterance],
    random: np.random.Generator,
    recipe: AugmentRecipe | None = None,
) -> Utterance:
    """One degraded copy; the phone times follow a change of speed. `voices` make the babble."""
    recipe = recipe or AugmentRecipe()
    if random.random() < recipe.speed:
        factor = float(np.exp(random.uniform(np.log(7 / 8), np.log(8 / 7))))
        utterance = change_speed(utterance, factor)
    samples = to_float(utterance.samples)
    length = len(samples)
    if random.random() < recipe.room:
        samples = scipy.signal.fftconvolve(samples, room_response(random))[:length]
    loud = samples[np.abs(samples) > 0.01]
    power = float(np.sqrt((loud**2).mean())) if len(loud) else 0.05
    if random.random() < recipe.noise:
        kind = random.random()
        if kind < 0.25 and voices:
            noise, ratio = babble(length, voices, random), random.uniform(8.0, 35.0)
        elif kind < 0.4:
            noise, ratio = music(length, random), random.uniform(5.0, 25.0)
        else:
            noise, ratio = coloured_noise(length, random), random.uniform(0.0, 35.0)
        samples = samples + noise * np.float32(power / 10 ** (ratio / 20))
    samples = _equalise(samples.astype(np.float32), recipe, random)
    if random.random() < recipe.gating:
        samples = _gate_weak_bins(samples, random)
    if random.random() < recipe.clipping:
        limit = np.quantile(np.abs(samples), random.uniform(0.95, 0.999))
        samples = np.clip(samples, -limit, limit)
    if random.random() < recipe.codec:
        samples = random_codec(samples.astype(np.float32), random)
    peak = max(float(np.abs(samples).max()), 1e-6)
    samples = samples * np.float32(10 ** (random.uniform(-22.0, -0.5) / 20) / peak)
    samples = samples + random.normal(0.0, 1e-5, length).astype(np.float32)
    return replace(utterance, samples=to_int16(samples))


def noise_only(seconds: float, random: np.random.Generator, number: int) -> Utterance:
    """A clip without a voice: music, sirens and beeps, hiss, hum or near silence.

    The mouth stays shut.
    """
    length = int(seconds * SAMPLE_RATE)
    draw = random.random()
    make = music if draw < 0.4 else signal_tones if draw < 0.55 else coloured_noise
    sound = make(length, random) * np.float32(10 ** (random.uniform(-70.0, -10.0) / 20))
    if random.random() < 0.4:
        sound = _equalise(sound, AugmentRecipe(), random)
    if random.random() < 0.3:
        response = room_response(random)
        sound = scipy.signal.fftconvolve(sound, response)[:length].astype(np.float32)
    if random.random() < AugmentRecipe.codec:
        sound = random_codec(sound, random)
    phones = (Phone(0.0, seconds, "sil"),)
    return Utterance(f"noise-{number}", "noise", to_int16(sound), phones)
