# SPDX-License-Identifier: GPL-3.0-or-later
"""Blinks and gaze for a voice: the process of `shared.performance.eyes` with phrase ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from backend.audio_to_mesh.loudness import PHRASE_LOOK_AHEAD, PhraseStream, phrase_ends
from shared.performance.eyes import EyeProcess, eye_weights
from shared.performance.redrawn_eyes import EyesNote

__all__ = ["LOOK_AHEAD", "EyesStream", "blink_weights", "eyes_note", "phrase_ends"]

LOOK_AHEAD = PHRASE_LOOK_AHEAD
"""Most seconds of sound after a frame that are needed before it is final."""


class EyesStream:
    """Eye motion for sound in pieces of any size; `blinks` and `gaze` 0..3, 0 for none."""

    def __init__(self, fps: float, seed: int, blinks: float = 1.0, gaze: float = 1.0) -> None:
        self._phrases = PhraseStream()
        self._eyes = EyeProcess(fps, seed, blinks, gaze)
        self._ends: list[float] = []

    @property
    def phrase_ends(self) -> list[float]:
        """Times in seconds at which phrases have ended so far."""
        return list(self._ends)

    def push(self, samples: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, "T 52"]:
        """Curves of the frames that are final now; `samples` at 16 kHz."""
        ends = self._phrases.push(samples)
        self._ends += ends.tolist()
        return self._eyes.push(ends, self._phrases.known_until)

    def finish(self, frame_count: int) -> Float32[np.ndarray, "T 52"]:
        """The remaining frames, up to `frame_count` in all."""
        ends = self._phrases.finish()
        self._ends += ends.tolist()
        known = self._eyes.push(ends, 0.0)
        return np.concatenate([known, self._eyes.finish(frame_count)])


def blink_weights(
    frame_count: int,
    fps: float,
    seed: int,
    strength: float,
    phrase_ends: Float64[np.ndarray, " N"],
    gaze: float = 1.0,
) -> Float32[np.ndarray, "T 52"]:
    """Eye curves of `frame_count` frames: blinks, gaze and lids; every other column is zero.

    `phrase_ends` are seconds (see `loudness.phrase_ends`). `strength` scales how often the eyes
    blink, `gaze` how far they wander; 0 turns it off. The same arguments give the same curves.
    """
    return eye_weights(frame_count, fps, seed, strength, gaze, phrase_ends)


def eyes_note(
    frame_count: int, fps: float, seed: int, blinks: float, gaze: float, ends: Sequence[float]
) -> dict[str, Any]:
    """The entry `meta["eyes"]` of a Take, from which its eye motion can be generated again."""
    known = tuple(float(end) for end in ends)
    return EyesNote(seed, fps, blinks, gaze, 0, frame_count, known).as_meta()
