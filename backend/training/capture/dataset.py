# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured clips as training data: sound beside ARKit weights at the network's frame rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Bool, Float32, Int16

from backend.audio.load import SAMPLE_RATE
from backend.audio.log_mel import frame_count
from backend.audio_to_mesh.decoder import RATE
from shared.errors import ErrorKind, VividKeysError
from shared.take import load_take, resample_take

from .store import IndexEntry, load_index, read_json


@dataclass(frozen=True, eq=False)
class Capture:
    """One clip.

    samples  mono at 16 kHz
    weights  0..1 at 100 Hz; T is the number of feature frames of the sound
    valid    where a face was found
    """

    name: str
    samples: Int16[np.ndarray, " N"]
    weights: Float32[np.ndarray, "T 52"]
    valid: Bool[np.ndarray, " T"]

    @property
    def duration(self) -> float:
        """Length of the sound in seconds."""
        return len(self.samples) / SAMPLE_RATE


def load_captures(
    folder: Path, pass_over: Callable[[VividKeysError], None] | None = None
) -> list[Capture]:
    """All clips with sound that the folder's index lists, in order of their names.

    A clip that cannot be read raises VividKeysError(bad_file, bad_array, bad_audio) with the
    file's name; given `pass_over`, the error goes there and the clip is left out. Raises bad_file
    where there is no index, and bad_request where nothing is left to train on.
    """
    found = []
    for entry in load_index(folder):
        if entry.sound is None:
            continue
        try:
            found.append(load_capture(folder, entry))
        except VividKeysError as error:
            if pass_over is None:
                raise
            pass_over(error)
    if not found:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"No clip in '{folder}' has sound and a face to learn from.",
            "Capture films with sound: python -m backend capture VIDEO --out DIR",
        )
    return found


def load_capture(folder: Path, entry: IndexEntry) -> Capture:
    """One clip; errors name the file at fault."""
    assert entry.sound is not None
    samples = _read_wave(folder / entry.sound)
    path = folder / entry.take
    try:
        take = resample_take(load_take(path), float(RATE))
    except VividKeysError as error:
        if error.kind is not ErrorKind.BAD_ARRAY:
            raise
        # The error says what is wrong with an array, but not in which file.
        raise VividKeysError(error.kind, f"'{path.name}': {error.sentence}", error.next_step) from (
            error
        )
    frames = frame_count(len(samples))
    seen = min(take.frame_count, frames)
    weights = np.zeros((frames, take.weights.shape[1]), np.float32)
    weights[:seen] = take.weights[:seen]
    weights[seen:] = take.weights[seen - 1]
    valid = np.zeros(frames, np.bool_)
    about = folder / entry.figures
    for start, end in _stretches(read_json(about), about):
        # Rounded inwards: both ends have to lie within the stretch.
        valid[int(np.ceil(start * RATE - 1e-6)) : int(np.floor(end * RATE + 1e-6))] = True
    valid[seen:] = False
    return Capture(entry.name, samples, np.clip(weights, 0.0, 1.0), valid)


def _stretches(about: dict[str, Any], path: Path) -> list[tuple[float, float]]:
    stretches = about.get("valid")
    try:
        if not isinstance(stretches, list):
            raise TypeError
        pairs = [(float(start), float(end)) for start, end in stretches]
        if not all(0.0 <= start <= end < 1e6 for start, end in pairs):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path}' does not say in which frames the face was found.",
            "Capture the film again.",
        ) from error
    return pairs


def _read_wave(path: Path) -> Int16[np.ndarray, " N"]:
    try:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except (OSError, RuntimeError, soundfile.SoundFileError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path}' is missing or is not a readable sound file.",
            "Capture the film again.",
        ) from error
    if rate != SAMPLE_RATE or samples.shape[1] != 1 or len(samples) == 0:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path}' is not mono at {SAMPLE_RATE} Hz.",
            "Capture the film again, and leave its files unchanged.",
        )
    return np.ascontiguousarray(samples[:, 0], np.int16)
