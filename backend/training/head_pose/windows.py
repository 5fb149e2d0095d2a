# SPDX-License-Identifier: GPL-3.0-or-later
"""Training data of the head-pose codebook: real tracks and a random process, combined with speech.

The tracks of people speaking on camera have no sound. So each track is paired with a stretch of
speech: its time advances while there is voice and slows down in pauses (as in the process of
`head_rhythm`, which also widens the range of speeds), it is mirrored and scaled at random, and the
process's nods are added on the stressed beats of that speech. The rest of the data is the process
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64
from numpy.typing import NDArray
from scipy import signal
from scipy.interpolate import CubicSpline

from backend.audio_to_mesh.beats import GRID
from backend.audio_to_mesh.head_codebook import HOP, UNITS, WINDOW
from backend.audio_to_mesh.head_listening import heard
from backend.audio_to_mesh.head_rhythm import (
    FARTHEST_DEGREES,
    HIGHEST_HZ,
    nods,
    pace,
    rhythm_motion,
)
from backend.audio_to_mesh.loudness import LOUDNESS_RATE, loudness
from backend.training.corpus.utterance import is_complete, load_corpus, to_float
from shared.errors import ErrorKind, VividKeysError

TRACK_HEADER = "time_s,pitch_deg,yaw_deg,roll_deg"
TRACK_RATE = 30.0
_EDGE = GRID  # steps dropped at both ends of a stretch, where filters have edge effects

_Part = tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], bool, float
]


@dataclass(frozen=True)
class WindowRecipe:
    """How much motion is paired with how much speech, and how it is varied."""

    streams: int = 240
    """Stretches of speech with pauses between the sentences."""
    stream_seconds: float = 60.0
    process_share: float = 0.35
    """Share of streams whose motion is the process alone; the others carry tracks."""
    scale: tuple[float, float] = (0.7, 1.3)
    """Range of the random factor on the size of a track's motion."""
    rate: tuple[float, float] = (1.0, 1.5)
    """Range of the factor on its speed; above 1, because even short gaps slow a track down."""
    process_scale: tuple[float, float] = (0.9, 1.5)
    largest_spread: float = 4.5
    """Tracks with a larger spread (RMS over the axes, degrees) are scaled down to it."""


@dataclass(frozen=True)
class Windows:
    """N windows of motion with the sound features at their time.

    motion      relative to the window's first frame, in `UNITS`
    pose        at that first frame, in `UNITS`
    heard       sound features
    place       how many windows precede it in its stretch, without a gap
    tracked     whether the motion comes from a track
    liveliness  log speed of this head while it is not at rest; 0 is the mean, 1 is 1.5 standard
                deviations above it
    """

    motion: Float32[np.ndarray, "N window 6"]
    pose: Float32[np.ndarray, "N 6"]
    heard: Float32[np.ndarray, "N heard"]
    place: Int64[np.ndarray, " N"]
    tracked: Bool[np.ndarray, " N"]
    liveliness: Float32[np.ndarray, " N"]


def read_track(path: Path) -> Float64[np.ndarray, "T 3"]:
    """Degrees (pitch, roll, yaw) at 30 Hz from a CSV. Raises VividKeysError(bad_file)."""
    try:
        with path.open(encoding="utf-8") as file:
            header = file.readline().strip()
            rows = np.loadtxt(file, delimiter=",", ndmin=2)
        if header != TRACK_HEADER or rows.shape[1] != 4 or len(rows) < 60:
            raise ValueError(f"expected the columns {TRACK_HEADER} and at least two seconds")
    except (OSError, ValueError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is not a head track: {error}.",
            "Give a folder with track_*.csv files.",
        ) from error
    time = np.arange(int((rows[-1, 0] - rows[0, 0]) * TRACK_RATE) + 1) / TRACK_RATE + rows[0, 0]
    return np.stack([np.interp(time, rows[:, 0], rows[:, k]) for k in (1, 3, 2)], axis=1)


def steady(track: Float64[np.ndarray, "T 3"], largest_spread: float) -> Float64[np.ndarray, "S 3"]:
    """A track at 30 Hz, centred, low-passed and resampled to `GRID` Hz; degrees.

    The tracker's jitter at 5 Hz is filtered out, because the codes should not learn it.
    """
    low_pass = signal.butter(4, HIGHEST_HZ * 0.87, fs=TRACK_RATE, output="sos")
    calm = signal.sosfiltfilt(low_pass, track - np.median(track, axis=0), axis=0)
    spread = float(np.sqrt(calm.var(axis=0).mean()))
    calm *= min(1.0, largest_spread / max(spread, 1e-6))
    time = np.arange(int(len(calm) / TRACK_RATE * GRID)) / GRID
    slow: NDArray[np.float64] = CubicSpline(np.arange(len(calm)) / TRACK_RATE, calm)(time)
    return slow


def speech_levels(
    folders: Sequence[Path], recipe: WindowRecipe, random: np.random.Generator
) -> list[Float32[np.ndarray, " _"]]:
    """Loudness at 100 Hz of `recipe.streams` streams: sentences with pauses between them."""
    sentences = []
    for folder in folders:
        if is_complete(folder):
            for utterance in load_corpus(folder):
                level = loudness(to_float(np.asarray(utterance.samples)))
                if level.max(initial=0.0) > 0.01:
                    sentences.append(level / np.percentile(level, 90) * 0.1)
    if not sentences:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            "There is no speech to pair head motion with.",
            "Give --cache the folder in which `train motion` built its corpora.",
        )
    wanted = round(recipe.stream_seconds * LOUDNESS_RATE)
    streams = []
    for _ in range(recipe.streams):
        pieces: list[NDArray[np.float32]] = []
        room = 10 ** random.uniform(-4.5, -2.7)
        while sum(len(piece) for piece in pieces) < wanted:
            pieces.append(sentences[random.integers(len(sentences))])
            longest = random.choice([0.5, 2.0, 8.0], p=[0.6, 0.25, 0.15])
            gap = random.uniform(0.1, longest)
            pieces.append(np.zeros(round(gap * LOUDNESS_RATE), np.float32))
        noisy = np.concatenate(pieces)[:wanted] + room * (0.9 + 0.2 * random.random(wanted))
        streams.append((noisy * 10 ** random.uniform(-0.7, 0.5)).astype(np.float32))
    return streams


def make_windows(
    tracks: Sequence[Float64[np.ndarray, "_ 3"]],
    levels: Sequence[Float32[np.ndarray, " _"]],
    recipe: WindowRecipe,
    seed: int,
) -> Windows:
    """Windows of motion with their sound. `tracks` have gone through `steady`; deterministic."""
    random = np.random.default_rng([seed, 1])
    parts: list[_Part] = []
    for number, level in enumerate(levels):
        windows = len(level) * GRID // LOUDNESS_RATE // HOP
        cells = windows * HOP
        sound = heard(level, windows)
        process = rhythm_motion(level, cells + 4 * GRID, seed * 100_003 + number)
        process = process * _between(random, recipe.process_scale)
        speed = pace(level, cells)
        if number < round(recipe.process_share * len(levels)):
            quick = _quickness(process[:cells, :3], speed)
            parts += _cut(process[:cells], 0, sound, tracked=False, quick=quick)
            continue
        extra = nods(level, cells, random)
        at = int(random.integers(HOP))
        while at < cells:
            track = tracks[int(random.integers(len(tracks)))]
            piece = _laid_over(track, speed[at:], recipe, random)
            span = slice(at, at + len(piece))
            pose = np.column_stack([piece + extra[span], process[span, 3:]])
            quick = _quickness(piece, speed[span])
            parts += _cut(pose, at, sound, tracked=True, quick=quick)
            at += len(piece)
    motion, pose, sounds, place = (np.concatenate([part[k] for part in parts]) for k in range(4))
    tracked = np.concatenate([np.full(len(part[0]), part[4]) for part in parts])
    quickness = np.concatenate([np.full(len(part[0]), part[5]) for part in parts])
    return Windows(
        motion.astype(np.float32),
        pose.astype(np.float32),
        sounds.astype(np.float32),
        place.astype(np.int64),
        tracked,
        ((quickness - quickness.mean()) / (1.5 * max(float(quickness.std()), 1e-6))).astype(
            np.float32
        ),
    )


def _quickness(rotation: Float64[np.ndarray, "T 3"], speed: Float64[np.ndarray, " S"]) -> float:
    """Logarithm of the RMS angular speed at full pace; `speed` is the pace of each step."""
    if len(rotation) < 2:
        return 0.0
    steps = np.linalg.norm(np.diff(rotation, axis=0), axis=1) / speed[1 : len(rotation)]
    return float(np.log(np.sqrt(np.mean(steps**2)) + 1e-6))


def _between(random: np.random.Generator, limits: tuple[float, float]) -> float:
    """A random factor between two limits, log-uniform."""
    return float(np.exp(random.uniform(*np.log(limits))))


def _laid_over(
    track: Float64[np.ndarray, "T 3"],
    speed: Float64[np.ndarray, " cells"],
    recipe: WindowRecipe,
    random: np.random.Generator,
) -> Float64[np.ndarray, "S 3"]:
    """A track, mirrored, scaled and played at `speed` until one of them ends."""
    time = np.cumsum(speed) * _between(random, recipe.rate)
    time = time[time < len(track) - 1]
    piece: NDArray[np.float64] = CubicSpline(np.arange(len(track)), track)(time)
    piece *= _between(random, recipe.scale)
    if random.random() < 0.5:
        piece *= [1.0, -1.0, -1.0]
    limited: NDArray[np.float64] = FARTHEST_DEGREES * np.tanh(piece / FARTHEST_DEGREES)
    return limited


def _cut(
    pose: Float64[np.ndarray, "T 6"],
    at: int,
    sound: Float[np.ndarray, "N heard"],
    *,
    tracked: bool,
    quick: float = 0.0,
) -> list[_Part]:
    """The windows of a stretch of `pose` (degrees, metres) that begins `at` a step."""
    scaled = pose / np.array(UNITS)
    first = -(-(at + _EDGE) // HOP)
    last = (at + len(pose) - _EDGE - WINDOW - 1) // HOP
    starts = np.arange(first, last + 1) * HOP - at
    if len(starts) < 3:
        return []
    frames = scaled[starts[:, None] + np.arange(WINDOW + 1)]
    motion = frames[:, 1:] - frames[:, :1]
    heard_then = sound[first : last + 1]
    place = np.arange(len(starts))
    if len(heard_then) < len(starts):
        return []
    return [(motion, frames[:, 0], heard_then, place, tracked, quick)]


def plain_windows(track: Float64[np.ndarray, "T 3"]) -> Float32[np.ndarray, "N window 6"]:
    """The windows of a `steady` track without variation; translation is zero."""
    pose = np.column_stack([track, np.zeros_like(track)])
    nothing = np.zeros((len(pose) // HOP + 1, 1))
    parts = _cut(pose, 0, nothing, tracked=True)
    return parts[0][0].astype(np.float32)
