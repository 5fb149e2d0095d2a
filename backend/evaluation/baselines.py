# SPDX-License-Identifier: GPL-3.0-or-later
"""Baselines for any lip system: loudness, a public peer, and the labels.

Each gives ARKit weights at 60 frames per second.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32

from backend.audio.load import SAMPLE_RATE, Audio
from backend.evaluation.lip_metric import smooth
from backend.evaluation.phones import (
    BILABIAL,
    CLOSE,
    LABIODENTAL,
    MID,
    OPEN,
    ROUND,
    SILENCE,
    Phone,
)
from shared.arkit import ARKIT_NAMES, INDEX
from shared.errors import ErrorKind, VividKeysError

FPS = 60.0
Pose = dict[str, float]

# Rhubarb's nine mouth shapes as ARKit weights. A name without a side means both sides.
_RHUBARB_POSES: dict[str, Pose] = {
    "X": {},
    "A": {"mouthPress": 0.3, "mouthRollLower": 0.1, "mouthRollUpper": 0.1},
    "B": {
        "jawOpen": 0.07,
        "mouthLowerDown": 0.25,
        "mouthUpperUp": 0.1,
        "mouthStretch": 0.2,
        "mouthSmile": 0.1,
    },
    "C": {"jawOpen": 0.3, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1, "mouthStretch": 0.1},
    "D": {"jawOpen": 0.6, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1},
    "E": {"jawOpen": 0.25, "mouthFunnel": 0.3, "mouthPucker": 0.15},
    "F": {"jawOpen": 0.1, "mouthPucker": 0.65, "mouthFunnel": 0.15},
    "G": {"jawOpen": 0.03, "mouthRollLower": 0.5, "mouthUpperUp": 0.15},
    "H": {"jawOpen": 0.3, "mouthLowerDown": 0.2},
}
_RHUBARB_SMOOTHING = 0.08

_LABEL_POSES: tuple[tuple[frozenset[str], Pose], ...] = (
    (SILENCE, {}),
    (BILABIAL, {"mouthPress": 0.3, "mouthRollLower": 0.1, "mouthRollUpper": 0.1}),
    (LABIODENTAL, {"jawOpen": 0.05, "mouthRollLower": 0.5, "mouthUpperUp": 0.15}),
    (ROUND, {"jawOpen": 0.2, "mouthPucker": 0.5, "mouthFunnel": 0.3}),
    (OPEN, {"jawOpen": 0.6, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1}),
    (MID, {"jawOpen": 0.35, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1}),
    (CLOSE, {"jawOpen": 0.15, "mouthStretch": 0.25, "mouthLowerDown": 0.25}),
)
_OTHER_POSE: Pose = {"jawOpen": 0.15, "mouthLowerDown": 0.2, "mouthStretch": 0.1}
_LABEL_SMOOTHING = 0.07


def frame_count(audio: Audio) -> int:
    """Whole frames of a clip at 60 per second."""
    return max(int(audio.duration * FPS + 1e-6), 1)


def _lay(weights: Float32[np.ndarray, "T 52"], first: int, last: int, pose: Pose) -> None:
    for name, value in pose.items():
        for shape in (name,) if name in INDEX else (f"{name}Left", f"{name}Right"):
            weights[first:last, INDEX[shape]] = value


def loudness_floor(audio: Audio) -> Float32[np.ndarray, "T 52"]:
    """Weights of a mouth that opens with the loudness and knows nothing else.

    jawOpen is 0.6 at the 98th percentile of the decibels and 0 from 6 dB above the 10th down.
    """
    reach = round(0.02 * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(audio.samples.astype(np.float64) ** 2)])
    centre = np.round(np.arange(frame_count(audio)) / FPS * SAMPLE_RATE).astype(np.int64)
    first = np.clip(centre - reach, 0, len(audio.samples) - 1)
    last = np.clip(centre + reach, first + 1, len(audio.samples))
    decibels = 10 * np.log10(np.maximum((energy[last] - energy[first]) / (last - first), 1e-12))
    low, high = np.percentile(decibels, 10) + 6.0, np.percentile(decibels, 98)
    jaw = 0.6 * np.clip((decibels - low) / max(high - low, 1e-6), 0.0, 1.0)
    weights = np.zeros((len(jaw), len(ARKIT_NAMES)), dtype=np.float32)
    weights[:, INDEX["jawOpen"]] = smooth(jaw, 0.07, FPS)
    return weights


def label_curves(
    phones: Sequence[Phone], frames: int, *, jitter: float = 0.013, seed: int = 0
) -> Float32[np.ndarray, "T 52"]:
    """Curves made from the phones themselves, with `jitter` (seconds) on their borders.

    They score what a perfect system would, given that the labels are off by about as much.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    weights = np.zeros((frames, len(ARKIT_NAMES)), dtype=np.float32)
    borders = np.array([phone.start for phone in phones] + [phones[-1].end])
    borders = np.sort(borders + random.normal(0.0, jitter, len(borders)))
    for phone, start, end in zip(phones, borders[:-1], borders[1:], strict=True):
        pose = next((pose for group, pose in _LABEL_POSES if phone.name in group), _OTHER_POSE)
        _lay(weights, max(round(start * FPS), 0), max(round(end * FPS), 0), pose)
    return smooth(weights.astype(np.float64), _LABEL_SMOOTHING, FPS).astype(np.float32)


def rhubarb_program() -> Path | None:
    """The executable of Rhubarb Lip Sync, if it is on the PATH."""
    found = shutil.which("rhubarb")
    return Path(found) if found else None


def rhubarb_curves(
    program: Path, audio: Audio, *, recognizer: str = "phonetic"
) -> Float32[np.ndarray, "T 52"]:
    """Rhubarb Lip Sync's cues as weights; `recognizer` is phonetic or pocketSphinx.

    Raises VividKeysError(missing_dependency) if the program fails.
    """
    options = ["--quiet", "-f", "json", "-r", recognizer, "--extendedShapes", "GHX"]
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "voice.wav"
        soundfile.write(wave, audio.samples, SAMPLE_RATE, subtype="PCM_16")
        try:
            answer = subprocess.run(
                [program, *options, wave], check=True, capture_output=True, text=True
            )
            return cues_to_curves(json.loads(answer.stdout)["mouthCues"], frame_count(audio))
        except (OSError, subprocess.CalledProcessError, ValueError, LookupError) as error:
            raise VividKeysError(
                ErrorKind.MISSING_DEPENDENCY,
                f"Rhubarb at '{program}' gave no mouth cues: {error}.",
                "Take it off the PATH, or install Rhubarb Lip Sync 1.13 or later.",
            ) from error


def cues_to_curves(
    cues: Sequence[dict[str, object]], frames: int
) -> Float32[np.ndarray, "frames 52"]:
    """Weights from cues {start, end, value}, smoothed over 80 ms."""
    weights = np.zeros((frames, len(ARKIT_NAMES)), dtype=np.float32)
    for cue in cues:
        first, last = (round(float(str(cue[edge])) * FPS) for edge in ("start", "end"))
        _lay(weights, first, last, _RHUBARB_POSES[str(cue["value"])])
    return smooth(weights.astype(np.float64), _RHUBARB_SMOOTHING, FPS).astype(np.float32)
