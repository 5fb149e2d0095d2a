# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud a voice is over time and where it pauses: what head and eyes need to know about it.

Everything runs at 100 Hz with a bounded look-ahead: a voice that is still being spoken gives the
same result as the whole recording, however the sound is cut. The levels of the voice and of its
pauses are tracked over the last nine seconds; until there is evidence, the usual levels of
recordings stand in. An hour of sound takes about half a second.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from backend.audio.load import SAMPLE_RATE

LOUDNESS_RATE = 100
_HOP = SAMPLE_RATE // LOUDNESS_RATE
# Below this a recording contains no voice, only the converter's noise (-65 dB of full scale).
QUIETEST_VOICE = 10 ** (-65 / 20)
# A pause shorter than this is a stop consonant; a sound shorter than this is a click.
_SHORTEST_PAUSE, _SHORTEST_SOUND = 0.15, 0.08
# Breath and listening take about this long; shorter gaps do not end a phrase.
_PHRASE_PAUSE = 0.25

# Levels are judged once per block, from what precedes it and a little after its beginning (frames).
BLOCK, _JUDGED_AFTER = 30, 9
# Frames per coarse level, the unit of judgement, and coarse levels in memory: nine seconds.
_COARSE, _MEMORY = 3, 300
# Before any evidence: the voice of a usual recording (-30 dB), its pauses this far below (dB).
_USUAL_VOICE, _USUAL_PAUSE = 10 ** (-30 / 20), -40.0
# Speech alternates between loud and quiet, steady noise does not: decibels between the lowest and
# the highest tenth.
_STEADY, _LIVELY = 6.0, 12.0
_FALLS = 0.05  # share of the way down that the voice's level goes within one block
# Frames on either side that closing short pauses and dropping short sounds depend on.
_MARGIN = 24
_PIECE = 60 * LOUDNESS_RATE

VOICE_LOOK_AHEAD = _MARGIN + 1 + _JUDGED_AFTER
"""Most frames after a moment that `VoiceStream` needs to judge it."""
PHRASE_LOOK_AHEAD = (VOICE_LOOK_AHEAD + round(_PHRASE_PAUSE * LOUDNESS_RATE) + 1) / LOUDNESS_RATE
"""Most seconds after a phrase end until `PhraseStream` reports it."""


def loudness(samples: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, " T"]:
    """Root mean square of every 10 ms: from samples at 16 kHz to ceil(S / 160) levels at 100 Hz."""
    stream = LoudnessStream()
    return np.concatenate([stream.push(samples), stream.finish()])


class LoudnessStream:
    """`loudness` of sound that arrives in pieces."""

    def __init__(self) -> None:
        self._rest: Float32[np.ndarray, " S"] = np.zeros(0, np.float32)

    def push(self, samples: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, " T"]:
        """Levels of the 10 ms intervals that are complete; `samples` at 16 kHz."""
        joined = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(joined) // _HOP
        self._rest = np.array(joined[whole * _HOP :], np.float32)
        levels = [np.zeros(0, np.float32)]
        for start in range(0, whole, _PIECE):
            stop = min(start + _PIECE, whole)
            # Row by row, so that no rounding depends on where the sound was cut.
            pieces = joined[start * _HOP : stop * _HOP].reshape(-1, _HOP)
            power = np.einsum("ij,ij->i", pieces, pieces)
            levels.append(np.sqrt(power / np.float32(_HOP)))
        return np.concatenate(levels)

    def finish(self) -> Float32[np.ndarray, " T"]:
        """The level of the incomplete interval at the end, if there is one."""
        tail, self._rest = self._rest.astype(np.float64), np.zeros(0, np.float32)
        return np.sqrt([tail @ tail / len(tail)] if len(tail) else []).astype(np.float32)


class _Judgement:
    """The level of the voice and the threshold of pauses, block by block."""

    def __init__(self) -> None:
        # -1 stands for what precedes the beginning.
        self._coarse: Float32[np.ndarray, " N"] = np.full(_MEMORY, -1.0, np.float32)
        self._first = -_MEMORY  # number of the first coarse level in memory
        self._voice, self._evidence = math.log(_USUAL_VOICE), 1.0
        self.blocks = 0

    def push(
        self, coarse: Float32[np.ndarray, " N"]
    ) -> tuple[Float64[np.ndarray, " B"], Float64[np.ndarray, " B"]]:
        """Voice (as an amplitude) and threshold (in decibels of full scale) of the new blocks."""
        self._coarse = np.concatenate([self._coarse, coarse])
        step = BLOCK // _COARSE
        known = self._first + len(self._coarse)
        until = max((known - _JUDGED_AFTER // _COARSE) // step + 1, self.blocks)
        voices, thresholds = np.empty(until - self.blocks), np.empty(until - self.blocks)
        if until == self.blocks:
            return voices, thresholds
        start = self.blocks * step + _JUDGED_AFTER // _COARSE - _MEMORY - self._first
        windows = np.lib.stride_tricks.sliding_window_view(self._coarse[start:], _MEMORY)[::step]
        ordered = np.sort(windows[: until - self.blocks], axis=1)
        before = np.count_nonzero(ordered < 0.0, axis=1)
        silent = np.count_nonzero(ordered <= QUIETEST_VOICE, axis=1)
        rows = np.arange(len(ordered))
        sounding = _MEMORY - silent
        loud = ordered[rows, np.minimum(silent + (sounding * 9) // 10, _MEMORY - 1)]
        quiet = ordered[rows, np.minimum(before + (_MEMORY - before) // 10, _MEMORY - 1)]
        quiet = np.maximum(quiet, QUIETEST_VOICE)
        for row in rows:
            voices[row], thresholds[row] = self._judge(
                float(loud[row]), float(quiet[row]), int(sounding[row]), int(_MEMORY - before[row])
            )
        self.blocks = until
        keep = until * step + _JUDGED_AFTER // _COARSE - _MEMORY
        self._coarse = self._coarse[keep - self._first :]
        self._first = keep
        return voices, thresholds

    def _judge(self, loud: float, quiet: float, sounding: int, heard: int) -> tuple[float, float]:
        """Track the voice's level, and place the threshold below it.

        The threshold lies a third of the way, in decibels, from the quiet parts to the voice, at
        most 30 dB below the voice and at least 9, so that room noise does not count as speech and
        a recording without pauses does not lose its soft syllables.
        """
        if sounding >= 10:
            contrast = 20 * math.log10(loud / quiet)
            sure = min(sounding / 100, 1.0) * min(
                max((contrast - _STEADY) / (_LIVELY - _STEADY), 0.0), 1.0
            )
            way = math.log(loud) - self._voice
            share = max(sure, 0.5) if way > 0 else sure * max(_FALLS, 1 / (1 + self._evidence))
            self._voice += share * way
            self._evidence += sure
        voice = math.exp(self._voice)
        known = min(heard / 100, 1.0)
        pause = known * 20 * math.log10(quiet / voice) + (1 - known) * _USUAL_PAUSE
        return voice, 20 * math.log10(voice) + min(max(pause * 2 / 3, -30.0), -9.0)


class VoiceStream:
    """How loud the voice itself is and where somebody speaks, from levels that arrive in pieces."""

    def __init__(self) -> None:
        self._judgement = _Judgement()
        # Levels that are not yet part of a coarse one.
        self._levels: Float32[np.ndarray, " T"] = np.zeros(0, np.float32)
        self._decibels = np.zeros(0)  # one frame of context, then what is not yet decided
        self._voices, self._thresholds = np.zeros(0), np.zeros(0)
        self._first_block = 0
        # Decisions before short pauses and sounds are removed, with `_MARGIN` frames of context.
        self._raw: Bool[np.ndarray, " T"] = np.zeros(0, np.bool_)
        self._decided = 0  # frames that have been compared with a threshold
        self._waiting = np.zeros(0)  # the voice at frames that were decided but not yet returned

    def push(
        self, levels: Float32[np.ndarray, " N"]
    ) -> tuple[Float64[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
        """The voice's level (an amplitude) and whether somebody speaks, in frames that are final.

        `levels` are the next frames of `loudness`.
        """
        voices, actives = [np.zeros(0)], [np.zeros(0, np.bool_)]
        for start in range(0, len(levels), _PIECE):
            voice, active = self._advance(levels[start : start + _PIECE])
            voices.append(voice)
            actives.append(active)
        return np.concatenate(voices), np.concatenate(actives)

    def finish(self) -> tuple[Float64[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
        """The remaining frames; the sound is assumed to continue as it ended."""
        if not len(self._decibels):
            return np.zeros(0), np.zeros(0, np.bool_)
        # The last level stands in for its neighbour, and for the rest of its block.
        left = len(self._waiting) + len(self._decibels) - 1
        last = self._levels[-1:] if len(self._levels) else self._last
        voice, active = self._advance(np.repeat(last, 3 * BLOCK), ending=left)
        return voice[:left], active[:left]

    def _advance(
        self, levels: Float32[np.ndarray, " N"], ending: int = 0
    ) -> tuple[Float64[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
        self._last = levels[-1:]
        joined = np.concatenate([self._levels, levels])
        whole = len(joined) // _COARSE
        self._levels = joined[whole * _COARSE :]
        coarse = joined[: whole * _COARSE].astype(np.float64).reshape(whole, _COARSE).mean(axis=1)
        voices, thresholds = self._judgement.push(coarse.astype(np.float32))
        self._voices = np.concatenate([self._voices, voices])
        self._thresholds = np.concatenate([self._thresholds, thresholds])

        decibels = 20 * np.log10(np.maximum(levels.astype(np.float64), QUIETEST_VOICE))
        if not len(self._decibels):
            decibels = np.concatenate([decibels[:1], decibels])
        self._decibels = np.concatenate([self._decibels, decibels])
        known = self._decided + len(self._decibels) - 2
        until = max(min(known, self._judgement.blocks * BLOCK), self._decided)
        count = until - self._decided
        block = np.arange(self._decided, until) // BLOCK - self._first_block
        smooth = (
            self._decibels[:count] + self._decibels[1 : count + 1] + self._decibels[2 : count + 2]
        ) / 3
        raw = smooth > self._thresholds[block]
        self._waiting = np.concatenate([self._waiting, self._voices[block]])
        self._decibels = self._decibels[count:]
        self._decided = until
        passed = until // BLOCK - self._first_block
        self._voices, self._thresholds = self._voices[passed:], self._thresholds[passed:]
        self._first_block += passed

        if not len(self._raw) and count:
            self._raw = np.full(_MARGIN, raw[0])
        self._raw = np.concatenate([self._raw, raw])
        if ending:
            # What follows the end is made up: only extend the last decision.
            length = _MARGIN + ending
            self._raw = np.concatenate(
                [self._raw[:length], np.full(_MARGIN, self._raw[length - 1])]
            )
        ready = max(len(self._raw) - 2 * _MARGIN, 0)
        if not ready:
            return np.zeros(0), np.zeros(0, np.bool_)
        pause = round(_SHORTEST_PAUSE * LOUDNESS_RATE)
        sound = round(_SHORTEST_SOUND * LOUDNESS_RATE)
        shaped = ndimage.binary_closing(self._raw, np.ones(pause))
        shaped = ndimage.binary_opening(shaped, np.ones(sound))
        active: Bool[np.ndarray, " T"] = shaped[_MARGIN : _MARGIN + ready]
        voice = self._waiting[:ready]
        self._raw, self._waiting = self._raw[ready:], self._waiting[ready:]
        return voice, active


class PhraseStream:
    """`phrase_ends` of sound that arrives in pieces."""

    def __init__(self) -> None:
        self._loudness, self._voice = LoudnessStream(), VoiceStream()
        self._frame = 0
        self._active = False
        self._fell_silent = -1

    @property
    def known_until(self) -> float:
        """Time in seconds before which no more phrase ends will be found."""
        frame = self._fell_silent if self._fell_silent >= 0 else self._frame
        return frame / LOUDNESS_RATE

    def push(self, samples: Float32[np.ndarray, " S"]) -> Float64[np.ndarray, " N"]:
        """Phrase ends in seconds that are certain now; `samples` at 16 kHz."""
        return self._follow(self._voice.push(self._loudness.push(samples))[1])

    def finish(self) -> Float64[np.ndarray, " N"]:
        """The remaining ones; the end of the recording counts only if such a pause precedes it."""
        first = self._follow(self._voice.push(self._loudness.finish())[1])
        return np.concatenate([first, self._follow(self._voice.finish()[1])])

    def _follow(self, active: Bool[np.ndarray, " T"]) -> Float64[np.ndarray, " N"]:
        ends = []
        needed = round(_PHRASE_PAUSE * LOUDNESS_RATE)
        edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=np.int8(self._active)))
        for edge in [*edges.tolist(), len(active)]:
            frame = self._frame + edge
            if 0 <= self._fell_silent <= frame - needed:
                ends.append(self._fell_silent / LOUDNESS_RATE)
                self._fell_silent = -1
            if edge < len(active):
                self._fell_silent = -1 if active[edge] else frame
        if len(active):
            self._active = bool(active[-1])
        self._frame += len(active)
        return np.array(ends)


def voice_and_speech(
    levels: Float32[np.ndarray, " T"],
) -> tuple[Float64[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
    """`VoiceStream` for all of `levels` at once: the voice's level, and where somebody speaks."""
    stream = VoiceStream()
    parts = [stream.push(levels), stream.finish()]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def speaking(levels: Float32[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
    """Where somebody speaks, from `loudness` at 100 Hz."""
    return voice_and_speech(levels)[1]


def phrase_ends(samples: Float32[np.ndarray, " S"]) -> Float64[np.ndarray, " N"]:
    """Times in seconds at which the voice falls silent for a quarter of a second or more.

    `samples` at 16 kHz. The end of the recording counts only if such a pause precedes it.
    """
    stream = PhraseStream()
    return np.concatenate([stream.push(samples), stream.finish()])
