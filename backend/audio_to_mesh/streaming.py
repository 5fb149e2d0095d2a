# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams a voice in pieces of any size to motion; a whole file is animated the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from backend.audio.load import SAMPLE_RATE
from backend.audio_to_mesh.blinks import LOOK_AHEAD as EYES_LOOK_AHEAD
from backend.audio_to_mesh.blinks import EyesStream
from backend.audio_to_mesh.curve_stream import CurveStream
from backend.audio_to_mesh.head_motion import LOOK_AHEAD as HEAD_LOOK_AHEAD
from backend.audio_to_mesh.head_motion import HeadMotionStream
from backend.audio_to_mesh.lip_motion import face_with
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import AnimateSettings
from shared.arkit import ARKIT_NAMES
from shared.errors import ErrorKind, VividKeysError

# Delay of head and eyes behind the lips in a live performance, seconds.
_LATER = max(EYES_LOOK_AHEAD, HEAD_LOOK_AHEAD)


@dataclass(frozen=True, eq=False)
class MotionChunk:
    """Frames start_frame .. start_frame + T - 1.

    `head_rotation` is in Euler XYZ radians, `head_translation` in metres, `offset_weights` are
    those of the lip offsets' basis; `fraction` is how much of the clip is done, 0..1.
    """

    start_frame: int
    weights: Float32[np.ndarray, "T 52"]
    head_rotation: Float32[np.ndarray, "T 3"]
    head_translation: Float32[np.ndarray, "T 3"]
    offset_weights: Float32[np.ndarray, "T K"]
    fraction: float = 1.0

    def __len__(self) -> int:
        return len(self.weights)


def take_length(sample_count: int, fps: float) -> int:
    """Frames in the animation of a clip of 16 kHz samples: the last begins before the clip ends."""
    return max(math.ceil(sample_count / SAMPLE_RATE * fps - 1e-6), 1)


class StreamingAnimator:
    """`push` mono sound at 16 kHz in pieces of any size, then `finish`.

    How the sound is cut changes nothing: the frames are those of the whole recording. A frame is
    returned once everything it depends on was heard, which takes about a second. With `live` the
    lips follow within a quarter of a second (see `CurveStream`); head and eyes, which need more
    look-ahead, then lag behind the lips by a constant delay.

    `neutral` are the landmarks in metres of the face that speaks, by default the mean face's.
    `settings.style` is not applied, because it needs the whole performance.
    """

    def __init__(
        self,
        model: MotionModel,
        settings: AnimateSettings | None = None,
        neutral: Float32[np.ndarray, "468 3"] | None = None,
        live: bool = False,
    ) -> None:
        settings = settings or AnimateSettings()
        self.settings = settings
        self._samples = 0
        self._sent = 0
        self._ended = False
        face = None if neutral is None else face_with(neutral)
        self._mouth = CurveStream(
            model, settings.fps, settings.articulation, settings.speaker, face, live
        )
        self._eyes = EyesStream(settings.fps, settings.seed, settings.blinks, settings.gaze)
        self._head = HeadMotionStream(
            settings.fps,
            settings.seed,
            settings.head_motion,
            liveliness=settings.head_liveliness,
        )
        # What is known from frame `_sent` on: mouth, offsets, eyes, rotation, translation.
        self._waiting: list[list[Float32[np.ndarray, "T N"]]] = [[] for _ in range(5)]
        self._later = math.ceil(_LATER * settings.fps) if live else 0
        if self._later:
            still = [np.zeros((self._later, n), np.float32) for n in (len(ARKIT_NAMES), 3, 3)]
            for waiting, rows in zip(self._waiting[2:], still, strict=True):
                waiting.append(rows)

    @property
    def phrase_ends(self) -> list[float]:
        """Times in seconds at which phrases have ended so far."""
        return self._eyes.phrase_ends

    def push(self, samples: ArrayLike) -> MotionChunk | None:
        """Take a piece of sound; returns the frames that are certain now, None if there are none.

        Raises VividKeysError(bad_request) for sound that is not a one-dimensional array of finite
        numbers, and after `finish`.
        """
        samples = np.asarray(samples)
        if self._ended or samples.ndim != 1 or not np.isfinite(samples).all():
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                "A stream takes mono sound at 16 kHz, one row of finite numbers, until it is "
                "finished.",
                "Mix the channels down, and begin a new stream for a new recording.",
            )
        self._samples += len(samples)
        samples = samples.astype(np.float32, copy=False)
        self._keep(*self._mouth.push(samples), self._eyes.push(samples), *self._head.push(samples))
        return self._give()

    def finish(self) -> MotionChunk | None:
        """The remaining frames; there is at least one frame in all."""
        total = take_length(self._samples, self.settings.fps)
        self._ended = True
        rest = max(total - self._later, 0)
        self._keep(*self._mouth.finish(total), self._eyes.finish(rest), *self._head.finish(rest))
        return self._give()

    def _keep(self, *curves: Float32[np.ndarray, "_ _"]) -> None:
        for waiting, fresh in zip(self._waiting, curves, strict=True):
            if len(fresh):
                waiting.append(fresh)

    def _give(self) -> MotionChunk | None:
        count = min(sum(map(len, waiting)) for waiting in self._waiting)
        if count == 0:
            return None
        ready = []
        for waiting in self._waiting:
            rows = np.concatenate(waiting)
            ready.append(rows[:count])
            waiting[:] = [rows[count:]] if len(rows) > count else []
        mouth, offsets, eyes, rotation, translation = ready
        start, self._sent = self._sent, self._sent + count
        weights = np.clip(mouth + eyes, 0.0, 1.0)
        return MotionChunk(start, weights, rotation, translation, offsets)
