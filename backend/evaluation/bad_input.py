# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mouth does on sound that is not a clean voice: stay shut, or follow the voice.

Everything is generated from seeds and from the sample recording, so the figures need no data.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from jaxtyping import Float, Float32, Float64
from rich.console import Console
from rich.table import Table

from backend.audio.load import SAMPLE_RATE, load_audio
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import AnimateSettings
from backend.audio_to_mesh.streaming import StreamingAnimator
from backend.evaluation.baselines import FPS
from backend.samples import SPEECH
from backend.training.corpus.music import music
from shared.arkit import INDEX
from shared.lips import aperture

# The mouth counts as open above the first aperture, and as shut again below the second.
_OPEN, _SHUT = 0.05, 0.025
_LIPS_ONLY = AnimateSettings(fps=FPS, blinks=0.0, gaze=0.0, head_motion=0.0)


@dataclass(frozen=True, eq=False)
class BadInput:
    """A sound; `voice_at` is the second at which the sample voice begins in it, None without."""

    name: str
    samples: Float32[np.ndarray, " S"]
    voice_at: float | None = None


@dataclass(frozen=True)
class Calmness:
    """How calm the mouth was; `likeness` is its aperture's correlation with the clean run's."""

    name: str
    finite: bool
    largest_jaw: float
    """jawOpen minus mouthClose."""
    open_share: float
    """Share of the frames whose aperture is above 0.05."""
    openings: float
    """How often per second the mouth opens."""
    likeness: float | None


def bad_inputs(seconds: float = 8.0, seed: int = 0) -> list[BadInput]:
    """The clean voice, then every bad input, made from at most `seconds` of the sample."""
    random = np.random.default_rng(seed)
    voice = load_audio(SPEECH).samples[: round(seconds * SAMPLE_RATE)]
    count = len(voice)
    level = float(np.sqrt(np.mean(voice.astype(np.float64) ** 2)))
    time = np.arange(count) / SAMPLE_RATE
    white = random.standard_normal(count)
    pink = _pink(random.standard_normal(count))
    hum = sum(np.sin(2 * np.pi * 50.0 * k * time) / k for k in range(1, 6))
    clicks = np.zeros(count)
    clicks[random.integers(0, count, round(3 * seconds))] = random.choice([-0.8, 0.8])
    tune = music(count, random)
    quiet, loud = 10 ** (-55 / 20), 10 ** (-15 / 20)
    sounds: list[tuple[str, Float[np.ndarray, " S"], float | None]] = [
        ("clean voice", voice, 0.0),
        ("silence", np.zeros(count), None),
        ("white noise, -55 dB", quiet * white, None),
        ("white noise, -15 dB", loud * white, None),
        ("pink noise, -55 dB", quiet * pink, None),
        ("pink noise, -15 dB", loud * pink, None),
        ("mains hum", 0.1 * np.asarray(hum), None),
        ("clicks", clicks, None),
        ("music", 0.1 * tune, None),
        ("voice over music, 10 dB", voice + level * 10**-0.5 * tune, 0.0),
        ("voice in white noise, 10 dB", voice + level * 10**-0.5 * white, 0.0),
        ("voice clipped, gain 30", np.clip(30.0 * voice, -1.0, 1.0), 0.0),
        ("telephone, 8 kHz", _telephone(voice), 0.0),
        ("two speakers", voice + _other_speaker(voice), 0.0),
        ("50 ms of voice", voice[SAMPLE_RATE : SAMPLE_RATE + 800], None),
        ("one sample", voice[SAMPLE_RATE : SAMPLE_RATE + 1], None),
        ("dead channel", _dead_channel(voice), 0.0),
        ("voice with DC offset", voice + 0.3, 0.0),
        ("voice at -50 dB", voice * (10 ** (-50 / 20) / level), 0.0),
        ("voice after 30 s silence", np.pad(voice, (30 * SAMPLE_RATE, 0)), 30.0),
        ("voice after 10 s loud noise", _after_noise(voice, random), 10.0),
    ]
    return [BadInput(name, np.asarray(s, np.float32), at) for name, s, at in sounds]


def _pink(white: Float64[np.ndarray, " S"]) -> Float64[np.ndarray, " S"]:
    """Noise of unit power, falling 3 dB per octave from 20 Hz on."""
    spectrum = np.fft.rfft(white)
    frequency = np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 20.0)), len(white))
    return np.asarray(pink / max(float(pink.std()), 1e-9))


def _telephone(voice: Float32[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """8 kHz, 300 to 3400 Hz, 8 bits on a logarithmic scale."""
    band = scipy.signal.butter(4, [300.0, 3400.0], "bandpass", fs=SAMPLE_RATE, output="sos")
    narrow = scipy.signal.resample_poly(scipy.signal.sosfilt(band, voice), 1, 2)
    bent = np.sign(narrow) * np.log1p(255.0 * np.abs(np.clip(narrow, -1.0, 1.0))) / np.log(256.0)
    coded = np.round(bent * 127.0) / 127.0
    heard = np.sign(coded) * np.expm1(np.abs(coded) * np.log(256.0)) / 255.0
    return np.asarray(scipy.signal.resample_poly(heard, 2, 1)[: len(voice)])


def _other_speaker(voice: Float32[np.ndarray, " S"]) -> Float64[np.ndarray, " S"]:
    """Somebody else at the same time: the sample lower, slower, and starting in its middle."""
    lower = scipy.signal.resample_poly(voice, 9, 8)
    return 0.7 * np.roll(np.asarray(lower, np.float64), len(lower) // 2)[: len(voice)]


def _dead_channel(voice: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, " S"]:
    """Stereo whose right side is silent, through a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stereo.wav"
        soundfile.write(path, np.column_stack([voice, 0.0 * voice]), SAMPLE_RATE)
        return load_audio(path).samples


def _after_noise(
    voice: Float32[np.ndarray, " S"], random: np.random.Generator
) -> Float64[np.ndarray, " N"]:
    noise = 0.3 * random.standard_normal(10 * SAMPLE_RATE)
    return np.concatenate([noise, voice.astype(np.float64)])


def lip_weights(
    samples: Float32[np.ndarray, " S"], model: MotionModel
) -> Float32[np.ndarray, "T 52"]:
    """Weights at 60 fps of lips and face alone."""
    stream = StreamingAnimator(model, _LIPS_ONLY)
    chunks = [stream.push(samples), stream.finish()]
    return np.concatenate([chunk.weights for chunk in chunks if chunk is not None])


def openings(gap: Float[np.ndarray, " T"]) -> int:
    """How often an aperture rises above 0.05 from below 0.025; the mouth counts as shut before."""
    count, shut = 0, True
    for value in gap:
        if shut and value > _OPEN:
            count, shut = count + 1, False
        elif value < _SHUT:
            shut = True
    return count


def calmness(
    name: str,
    weights: Float32[np.ndarray, "T 52"],
    clean: Float[np.ndarray, " N"] | None = None,
) -> Calmness:
    """Figures of weights; `clean` is the clean run's aperture for the last N frames."""
    gap = aperture(weights.T)
    jaw = weights[:, INDEX["jawOpen"]] - weights[:, INDEX["mouthClose"]]
    likeness = None
    if clean is not None:
        count = min(len(clean), len(gap))
        pair = clean[-count:], gap[-count:]
        moves = min(float(part.std()) for part in pair) > 1e-6
        likeness = float(np.corrcoef(*pair)[0, 1]) if moves else 0.0
    return Calmness(
        name=name,
        finite=bool(np.isfinite(weights).all()),
        largest_jaw=float(jaw.max()),
        open_share=float(np.mean(gap > _OPEN)),
        openings=openings(gap) / max(len(gap) / FPS, 1.0),
        likeness=likeness,
    )


def evaluate_bad_input(
    model: MotionModel,
    seconds: float = 8.0,
    progress: Callable[[float, str], None] = lambda _fraction, _sentence: None,
) -> list[Calmness]:
    """Figures of every input, the clean voice first."""
    inputs = bad_inputs(seconds)
    clean: Float[np.ndarray, " T"] | None = None
    rows = []
    for number, each in enumerate(inputs):
        progress(number / len(inputs), each.name)
        weights = lip_weights(each.samples, model)
        if clean is None:
            clean = aperture(weights.T)
        first = round((each.voice_at or 0.0) * FPS)
        row = calmness(
            each.name, weights, clean[: len(weights) - first] if each.voice_at is not None else None
        )
        rows.append(row)
    return rows


def run(weights: Path | None = None, *, as_json: bool = False) -> int:
    """Print the figures of the shipped weights, or of others; the exit code is 0."""
    rows = evaluate_bad_input(MotionModel.load(weights))
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    view = Table(
        title="Sound that is not a clean voice",
        caption=f"open: aperture above {_OPEN}; likeness: correlation with the clean voice's.",
    )
    view.add_column("input")
    for title in ("finite", "largest jaw", "open", "openings/s", "likeness"):
        view.add_column(title, justify="right")
    for row in rows:
        known = row.likeness is not None and math.isfinite(row.likeness)
        view.add_row(
            row.name,
            "yes" if row.finite else "NO",
            f"{row.largest_jaw:.2f}",
            f"{row.open_share:.2f}",
            f"{row.openings:.2f}",
            f"{row.likeness:.2f}" if known else "-",
        )
    Console().print(view)
    return 0
