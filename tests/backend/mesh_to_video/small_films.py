# SPDX-License-Identifier: GPL-3.0-or-later
"""Small frames and sounds for videos, and what can be read of the videos again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from backend.mesh_to_video.film.encode import exact_rate
from backend.mesh_to_video.film.movie_writer import MovieForm
from backend.mesh_to_video.film.provenance import Provenance

Pixels = NDArray[np.uint8]
SOURCE = Provenance(take="a1" * 32, photo="b2" * 32)


def form(width: int, height: int, fps: float = 25.0, count: int = 25, **other: object) -> MovieForm:
    return MovieForm(width, height, exact_rate(fps), count, provenance=SOURCE, **other)  # type: ignore[arg-type]


def picture(width: int, height: int, frame: int = 0, channels: int = 3) -> Pixels:
    """Soft light in colours like those of photos, drifting from frame to frame."""
    random = np.random.default_rng(5)
    light = random.integers(30, 226, (6, 6, 1)) + random.integers(-30, 30, (6, 6, 3))
    coarse = np.dstack([light, random.integers(0, 256, (6, 6, 1))])[..., :channels].astype(np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(np.roll(soft, 2 * frame, axis=1))


def noise(width: int, height: int, frame: int, channels: int = 3) -> Pixels:
    """Frames that no codec makes small."""
    random = np.random.default_rng(frame)
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


def psnr(one: Pixels, other: Pixels) -> float:
    """Decibels; 99 where both are the same."""
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def clicks(path: Path, seconds: float, at: list[float], rate: int = 44_100) -> Path:
    """Stereo silence with a short loud click at each time."""
    samples = np.zeros((round(seconds * rate), 2), np.float32)
    for time in at:
        start = round(time * rate)
        samples[start : start + rate // 200] = 0.9
    soundfile.write(path, samples, rate)
    return path


@dataclass(frozen=True)
class Film:
    """What is in a film: frames [H,W,C] and their times, sound [channels, n] from `sound_start`."""

    frames: list[Pixels]
    times: list[float]
    rate: float
    length: float
    sound: NDArray[np.float32] | None
    sound_start: float

    def click_times(self) -> list[float]:
        assert self.sound is not None
        loud = np.flatnonzero(np.abs(self.sound[0]) > 0.4)
        first = loud[np.diff(loud, prepend=-10_000) > 2_000]
        return [self.sound_start + place / 48_000 for place in first]


def read_film(path: Path, pixel_format: str = "rgb24") -> Film:
    """Decode all of a film, the colours as its own tags say."""
    frames, times, blocks = [], [], []
    start = 0.0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.guessed_rate or 0)
        assert stream.duration is not None and stream.time_base is not None
        length = float(stream.duration * stream.time_base)
        for frame in container.decode(stream):
            frames.append(frame.to_ndarray(format=pixel_format))
            times.append(float(frame.time or 0.0))
    with av.open(str(path)) as container:
        if container.streams.audio:
            to_floats = av.AudioResampler(format="fltp", rate=48_000)
            for block in container.decode(audio=0):
                if not blocks:
                    start = float(block.time or 0.0)
                blocks += [piece.to_ndarray() for piece in to_floats.resample(block)]
    sound = np.concatenate(blocks, axis=1) if blocks else None
    return Film(frames, times, rate, length, sound, start)
