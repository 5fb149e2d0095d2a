# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's input: loudness, speech and stressed beats around each window of motion.

It is computed window by window, and how the sound is cut does not affect it. A window's sound is
known `HEAD_WAITS` levels after its first frame.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from backend.audio_to_mesh.beats import AFTER, GRID, BeatStream, impulses_on_grid
from backend.audio_to_mesh.head_codebook import BEATS_AFTER, HEARD, HEARD_BEFORE, HOP, SOUND_AFTER
from backend.audio_to_mesh.loudness import LOUDNESS_RATE, VoiceStream

_CELL = LOUDNESS_RATE // GRID
_WINDOW = HOP * _CELL
HEAD_WAITS = 82
"""Levels (at 100 Hz) that must follow a window's first frame before its motion can be chosen."""
# Cells on each side over which loudness and speech are smoothed.
_SOFT = np.exp(-0.5 * np.arange(-2, 3) ** 2)
_REACH = 2
_BEHIND = (HEARD_BEFORE + _REACH) * _CELL
# Levels that are processed at once, so that an hour needs no more memory than a minute.
_PIECE = 60 * LOUDNESS_RATE


class HeadListener:
    """Turns levels that arrive in pieces into the mapping network's input for each window."""

    def __init__(self) -> None:
        self._voices, self._beats = VoiceStream(), BeatStream()
        # All three start at frame `_start`.
        self._levels = np.zeros(_BEHIND, np.float32)
        self._voice, self._active = np.ones(_BEHIND), np.zeros(_BEHIND, np.bool_)
        self._start = -_BEHIND
        self._times, self._heights = np.zeros(0), np.zeros(0)
        self._heard_levels = 0
        self._waiting = np.zeros(0, np.float32)
        self._last_voice = 1.0
        self.windows = 0

    def push(self, levels: Float32[np.ndarray, " T"]) -> Float64[np.ndarray, "N heard"]:
        """Rows (`HEARD` columns) of the windows that are certain now; `levels` at 100 Hz."""
        rows = [np.zeros((0, HEARD))]
        levels = np.concatenate([self._waiting, levels])
        self._waiting = np.zeros(0, np.float32)
        if self._heard_levels + len(levels) < self.windows * _WINDOW + HEAD_WAITS:
            # No window becomes certain, so small pieces cost next to nothing.
            self._waiting = levels
            return rows[0]
        for start in range(0, len(levels), _PIECE):
            piece = levels[start : start + _PIECE]
            rows.append(self._advance(piece, *self._voices.push(piece)))
        return np.concatenate(rows)

    def finish(self, windows: int) -> Float64[np.ndarray, "N heard"]:
        """The remaining rows, up to `windows` in all; silence follows the sound."""
        wanted = max(windows - self.windows, 0)
        waiting, self._waiting = self._waiting, np.zeros(0, np.float32)
        rows = [self._advance(waiting, *self._voices.push(waiting))]
        rows += [self._advance(np.zeros(AFTER, np.float32), *self._voices.finish())]
        while self.windows < windows:
            missing = (windows - self.windows) * _WINDOW + HEAD_WAITS
            count = min(missing, _PIECE)
            nothing = np.zeros(count, np.float32)
            rows.append(
                self._advance(nothing, np.full(count, self._last_voice), np.zeros(count, np.bool_))
            )
        return np.concatenate(rows)[:wanted]

    def _advance(
        self,
        levels: Float32[np.ndarray, " T"],
        voice: Float64[np.ndarray, " N"],
        active: Bool[np.ndarray, " N"],
    ) -> Float64[np.ndarray, "windows heard"]:
        self._heard_levels += len(levels)
        self._levels = np.concatenate([self._levels, levels])
        self._voice = np.concatenate([self._voice, voice])
        self._active = np.concatenate([self._active, active])
        if len(voice):
            self._last_voice = float(voice[-1])
        frames, heights = self._beats.push(levels, voice)
        self._times = np.concatenate([self._times, frames / LOUDNESS_RATE])
        self._heights = np.concatenate([self._heights, heights])

        until = (self._heard_levels - HEAD_WAITS) // _WINDOW + 1
        count = max(until - self.windows, 0)
        if not count:
            return np.zeros((0, HEARD))
        cells = HEARD_BEFORE + count * HOP - HOP + max(SOUND_AFTER, BEATS_AFTER)
        first = self.windows * HOP - HEARD_BEFORE
        sound = HEARD_BEFORE + count * HOP - HOP + SOUND_AFTER - 1
        frames_used = (sound + 2 * _REACH) * _CELL
        relative = self._levels[:frames_used] / self._voice[:frames_used]
        loud = np.minimum(self._soft(relative), 2.0)
        active_share = self._soft(self._active[:frames_used].astype(np.float64))
        beats = impulses_on_grid(self._times - first / GRID, self._heights[:, None], cells)[:, 0]
        at = np.arange(count)[:, None] * HOP
        every_other = at + np.arange(0, HEARD_BEFORE + SOUND_AFTER, 2)
        every = at + np.arange(HEARD_BEFORE + BEATS_AFTER)
        rows = np.concatenate([loud[every_other], active_share[every_other], beats[every]], axis=1)

        self.windows += count
        passed = count * _WINDOW
        self._start += passed
        self._levels, self._voice = self._levels[passed:], self._voice[passed:]
        self._active = self._active[passed:]
        recent = self._times > self._start / LOUDNESS_RATE - 1.0
        self._times, self._heights = self._times[recent], self._heights[recent]
        return rows

    @staticmethod
    def _soft(values: Float64[np.ndarray, " T"]) -> Float64[np.ndarray, " cells"]:
        """Smoothed means of cells, without the cells at both ends that lack neighbours."""
        cells = values.reshape(-1, _CELL).mean(axis=1)
        smooth: Float64[np.ndarray, " all"] = ndimage.correlate1d(
            cells, _SOFT / _SOFT.sum(), mode="constant"
        )
        return smooth[_REACH:-_REACH]


def heard(level: Float32[np.ndarray, " T"], windows: int) -> Float64[np.ndarray, "windows heard"]:
    """The mapping network's input (`HEARD` columns) for `loudness` at 100 Hz."""
    listener = HeadListener()
    first = listener.push(level)[:windows]
    return np.concatenate([first, listener.finish(windows)])[:windows]
