# SPDX-License-Identifier: GPL-3.0-or-later
"""A voice in pieces of any size to motion, as it comes; a whole file goes the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

Curves = NDArray[np.float32]

# How much later head and eyes come in a live performance, seconds.
_LATER = max(EYES_LOOK_AHEAD, HEAD_LOOK_AHEAD)


@dataclass(frozen=True, eq=False)
class MotionChunk:
    """Frames start_frame .. start_frame + n - 1.

    weights [n, 52], head_rotation [n, 3] (Euler XYZ, radians), head_translation [n, 3] (metres),
    offset_weights [n, K] of the lip offsets' basis; `fraction` of the clip that is done, 0..1.
    """

    start_frame: int
    weights: Curves
    head_rotation: Curves
    head_translation: Curves
    offset_weights: Curves
    fraction: float = 1.0

    def __len__(self) -> int:
        return len(self.weights)


def take_length(sample_count: int, fps: float) -> int:
    """Frames of the animation of a clip of 16 kHz samples: the last begins before it ends."""
    return max(math.ceil(sample_count / SAMPLE_RATE * fps - 1e-6), 1)


class StreamingAnimator:
    """`push` mono sound at 16 kHz in pieces of any size, then `finish`.

    How the sound is cut changes nothing: the frames are those of the whole recording. A frame is
    given once everything it depends on was heard, which takes about a second. With `live` the lips
    are there within a quarter of a second (see `CurveStream`); head and eyes, which have to know
    more of what follows, then keep their distance and come that much later.

    `neutral` [468, 3] are the landmarks of the face that speaks, by default the mean face's.
    The frames come without `settings.style`, which looks at the whole performance.
    """

    def __init__(
        self,
        model: MotionModel,
        settings: AnimateSettings | None = None,
        neutral: NDArray[np.float32] | None = None,
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
        # What is known of frame `_sent` on: mouth, offsets, eyes, rotation, translation.
        self._waiting: list[list[Curves]] = [[] for _ in range(5)]
        self._later = math.ceil(_LATER * settings.fps) if live else 0
        if self._later:
            still = [np.zeros((self._later, n), np.float32) for n in (len(ARKIT_NAMES), 3, 3)]
            for waiting, rows in zip(self._waiting[2:], still, strict=True):
                waiting.append(rows)

    @property
    def phrase_ends(self) -> list[float]:
        """Seconds at which phrases ended so far."""
        return self._eyes.phrase_ends

    def push(self, samples: NDArray[np.float32]) -> MotionChunk | None:
        """Sound [N] to the frames that are certain now; None while there are none.

        Raises VividKeysError(bad_request) for sound that is not finite or not one row of numbers,
        and after `finish`.
        """
        samples = np.asarray(samples)
        if self._ended or samples.ndim != 1 or not np.isfinite(samples).all():
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                "A stream takes mono sound at 16 kHz: one row of finite numbers, until it ends.",
                "Mix the channels down, and begin a new stream for a new recording.",
            )
        self._samples += len(samples)
        samples = samples.astype(np.float32, copy=False)
        self._keep(*self._mouth.push(samples), self._eyes.push(samples), *self._head.push(samples))
        return self._give()

    def finish(self) -> MotionChunk | None:
        """The frames that are left; there is at least one frame in all."""
        total = take_length(self._samples, self.settings.fps)
        self._ended = True
        rest = max(total - self._later, 0)
        self._keep(*self._mouth.finish(total), self._eyes.finish(rest), *self._head.finish(rest))
        return self._give()

    def _keep(self, *curves: Curves) -> None:
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
