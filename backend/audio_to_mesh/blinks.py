# SPDX-License-Identifier: GPL-3.0-or-later
"""Blinks and gaze for a voice: the process of `shared.performance.eyes` with phrase ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.audio_to_mesh.loudness import PHRASE_LOOK_AHEAD, PhraseStream, phrase_ends
from shared.performance.eyes import EyeProcess, eye_weights
from shared.performance.redrawn_eyes import EyesNote

__all__ = ["LOOK_AHEAD", "EyesStream", "blink_weights", "eyes_note", "phrase_ends"]

LOOK_AHEAD = PHRASE_LOOK_AHEAD
"""Seconds of sound after a frame that are heard before it is final, at most."""


class EyesStream:
    """Eyes for sound that comes in pieces of any size; `blinks` and `gaze` 0..3, 0 for none."""

    def __init__(self, fps: float, seed: int, blinks: float = 1.0, gaze: float = 1.0) -> None:
        self._phrases = PhraseStream()
        self._eyes = EyeProcess(fps, seed, blinks, gaze)
        self._ends: list[float] = []

    @property
    def phrase_ends(self) -> list[float]:
        """Seconds at which phrases ended so far."""
        return list(self._ends)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Curves [n, 52] of the frames that are final now; `samples` [N] at 16 kHz."""
        ends = self._phrases.push(samples)
        self._ends += ends.tolist()
        return self._eyes.push(ends, self._phrases.known_until)

    def finish(self, frame_count: int) -> NDArray[np.float32]:
        """The frames that are left of `frame_count` in all."""
        ends = self._phrases.finish()
        self._ends += ends.tolist()
        known = self._eyes.push(ends, 0.0)
        return np.concatenate([known, self._eyes.finish(frame_count)])


def blink_weights(
    frame_count: int,
    fps: float,
    seed: int,
    strength: float,
    phrase_ends: NDArray[np.float64],
    gaze: float = 1.0,
) -> NDArray[np.float32]:
    """Eye curves [frame_count, 52]: blinks, gaze and lids; every other column is zero.

    `phrase_ends` are seconds (see `loudness.phrase_ends`). `strength` scales how often the eyes
    blink, `gaze` how far they wander; 0 gives none of it. The same arguments give the same curves.
    """
    return eye_weights(frame_count, fps, seed, strength, gaze, phrase_ends)


def eyes_note(
    frame_count: int, fps: float, seed: int, blinks: float, gaze: float, ends: Sequence[float]
) -> dict[str, Any]:
    """What a Take notes under `meta["eyes"]`, so that its eyes can be drawn anew."""
    known = tuple(float(end) for end in ends)
    return EyesNote(seed, fps, blinks, gaze, 0, frame_count, known).as_meta()
