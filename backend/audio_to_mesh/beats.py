# SPDX-License-Identifier: GPL-3.0-or-later
"""Stressed syllables, found while somebody speaks, and the grid that head motion lives on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.audio_to_mesh.loudness import LOUDNESS_RATE, voice_and_speech

# Head motion is made on a grid of its own; nothing in it is faster than a few hertz.
GRID = 20

# Frames at 100 Hz. Peaks of the envelope below about 6 Hz are syllables.
_SMOOTH = np.exp(-0.5 * (np.arange(-12, 13) / 4.0) ** 2)
_REACH = len(_SMOOTH) // 2
_GAP, _HIGHEST_OF = 42, 10
# What a syllable stands out from: the second before it.
_PAST = 100
_STANDS_OUT, _LOUD_ENOUGH, _LOUDEST = 1.15, 0.35, 1.5
_BEFORE, AFTER = _PAST + _REACH, _HIGHEST_OF + _REACH


class BeatStream:
    """Frames at 100 Hz of syllables that stand out, and by how much (1: as loud as the voice)."""

    def __init__(self) -> None:
        self._levels = np.zeros(_BEFORE, np.float32)
        self._next = 0  # frame that is judged next
        self._last = -_GAP

    def push(
        self, levels: NDArray[np.float32], voice: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Beats that are certain now. `levels` are the next frames of `loudness`, `voice` the
        next ones of `VoiceStream`; they need not reach equally far, but `voice` not farther than
        the frames that `AFTER` more levels follow.
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


def stressed_beats(level: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times [s] of the syllables that stand out and by how much (1 = as loud as the voice).

    `level` [N] is `loudness` at 100 Hz.
    """
    voice, _ = voice_and_speech(level)
    ended = np.concatenate([level, np.zeros(AFTER, np.float32)])
    frames, heights = BeatStream().push(ended, voice)
    return frames / LOUDNESS_RATE, heights


def impulses_on_grid(
    times: NDArray[np.float64], amounts: NDArray[np.float64], cells: int
) -> NDArray[np.float64]:
    """Impulses [cells, n] of `amounts` [B, n] at the turning points that belong to beats [B]."""
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
