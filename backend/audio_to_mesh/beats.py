# SPDX-License-Identifier: GPL-3.0-or-later
"""Stressed syllables, found in a stream, and the time grid of head motion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy import ndimage

from backend.audio_to_mesh.loudness import LOUDNESS_RATE, voice_and_speech

# Head motion is generated on a grid of this rate (Hz); nothing in it is faster than a few hertz.
GRID = 20

# Frames at 100 Hz. Peaks of the envelope below about 6 Hz are syllables.
_SMOOTH = np.exp(-0.5 * (np.arange(-12, 13) / 4.0) ** 2)
_REACH = len(_SMOOTH) // 2
_GAP, _HIGHEST_OF = 42, 10
# A syllable is compared with the second before it.
_PAST = 100
_STANDS_OUT, _LOUD_ENOUGH, _LOUDEST = 1.15, 0.35, 1.5
_BEFORE, AFTER = _PAST + _REACH, _HIGHEST_OF + _REACH


class BeatStream:
    """Finds stressed syllables: their frames at 100 Hz and heights (1: as loud as the voice)."""

    def __init__(self) -> None:
        self._levels = np.zeros(_BEFORE, np.float32)
        self._next = 0  # the next frame to judge
        self._last = -_GAP

    def push(
        self, levels: Float32[np.ndarray, " T"], voice: Float64[np.ndarray, " N"]
    ) -> tuple[Int64[np.ndarray, " B"], Float64[np.ndarray, " B"]]:
        """Frames and heights of the beats that are certain now.

        `levels` are the next frames of `loudness`, `voice` the next ones of `VoiceStream`. They
        need not extend equally far, but each frame of `voice` needs `AFTER` more levels after it;
        ValueError otherwise.
        """
        self._levels = np.concatenate([self._levels, levels])
        count = len(voice)
        if not count:
            return np.zeros(0, np.int64), np.zeros(0)
        if count + _BEFORE + AFTER > len(self._levels):
            raise ValueError("the voice is ahead of the levels")
        frames, heights = [], []
        envelope = ndimage.correlate1d(
            self._levels[: count + _BEFORE + AFTER].astype(np.float64),
            _SMOOTH / _SMOOTH.sum(),
            mode="constant",
        )
        judged = envelope[_BEFORE : _BEFORE + count]
        tops = np.flatnonzero(
            (judged > envelope[_BEFORE - 1 : _BEFORE + count - 1])
            & (judged >= envelope[_BEFORE + 1 : _BEFORE + count + 1])
            & (judged > _LOUD_ENOUGH * voice)
        )
        around = (tops + _BEFORE)[:, None] + np.arange(-_PAST, _HIGHEST_OF + 1)
        stretch = envelope[around]
        height = judged[tops]
        highest = stretch[:, _PAST - _GAP :].max(axis=1, initial=0.0)
        good = (height >= highest) & (height > _STANDS_OUT * stretch.mean(axis=1))
        for top in tops[good].tolist():
            if self._next + top - self._last >= _GAP:
                self._last = self._next + top
                frames.append(self._last)
                heights.append(min(judged[top] / voice[top], _LOUDEST))
        self._levels = self._levels[count:]
        self._next += count
        return np.array(frames, np.int64), np.array(heights, np.float64)


def stressed_beats(
    level: Float32[np.ndarray, " T"],
) -> tuple[Float64[np.ndarray, " B"], Float64[np.ndarray, " B"]]:
    """Times in seconds of the stressed syllables, and their heights (1: as loud as the voice).

    `level` is `loudness` at 100 Hz.
    """
    voice, _ = voice_and_speech(level)
    ended = np.concatenate([level, np.zeros(AFTER, np.float32)])
    frames, heights = BeatStream().push(ended, voice)
    return frames / LOUDNESS_RATE, heights


def impulses_on_grid(
    times: Float64[np.ndarray, " B"], amounts: Float64[np.ndarray, "B N"], cells: int
) -> Float64[np.ndarray, "cells N"]:
    """Impulses of `amounts` at the turning points that belong to beats at `times` (seconds)."""
    # A nod has its turning point a moment after the loudest point of the syllable.
    place = (times + 0.04) * GRID
    left = np.floor(place).astype(np.int64)
    impulses = np.zeros((cells, amounts.shape[1]))
    for offset in (0, 1):
        share = 1.0 - np.abs(place - left - offset)
        cell = left + offset
        inside = (cell >= 0) & (cell < cells)
        np.add.at(impulses, cell[inside], (amounts * share[:, None])[inside])
    return impulses
