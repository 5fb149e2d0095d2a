# SPDX-License-Identifier: GPL-3.0-or-later
"""Brows and cheeks, which mark stressed syllables and phrases.

Brows rise at the start of a phrase and sink towards its end. There is no channel for the lids: they
follow the cheeks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from backend.audio_to_mesh.channels import CHANNEL

_STRESS_SHAPES = {"browInnerUp": 0.16, "browOuterUp": 0.07, "cheekSquint": 0.09}
# At the start of a phrase the brows rise by this, and they sink until it ends.
_LIFT_SHAPES = {"browInnerUp": 0.1, "browOuterUp": 0.06}
# It starts this long before the first sound; its rise and decay, seconds; the share that remains.
_LIFT_AHEAD, _LIFT_RISE, _LIFT_FALL, _LIFT_KEPT = 0.1, 0.24, 0.45, 0.35
# Shorter silences do not end a phrase, seconds.
_BREAK = 0.2
# Strong stress tightens the lids: the extra rise of the cheeks.
_TIGHT = 0.1
_PITCH_SHARE = 0.5


def prominence(
    vowels: Sequence[tuple[float, float]], level: Float32[np.ndarray, " T"], rate: int
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Centre times of vowels (seconds), and how much louder each is than their mean.

    `vowels` are (start, end) in seconds, `level` is in dB at `rate`; loudness is in standard
    deviations over the vowels.
    """
    times, peaks = [], []
    for start, end in vowels:
        first, last = int(start * rate), int(np.ceil(end * rate))
        part = level[first : max(last, first + 1)]
        if len(part):
            times.append(0.5 * (start + end))
            peaks.append(float(part.max()))
    if len(peaks) < 3:
        return np.array(times, np.float32), np.zeros(len(times), np.float32)
    values = np.array(peaks, np.float32)
    spread = max(float(values.std()), 2.0)
    return np.array(times, np.float32), np.clip((values - values.mean()) / spread, -2.0, 2.0)


def phrases(silences: Sequence[tuple[float, float]], duration: float) -> list[tuple[float, float]]:
    """Phrases, as (start, end) in seconds: speech between sufficiently long silences."""
    found, start = [], 0.0
    for first, last in silences:
        if last - first >= _BREAK or first <= 0.0 or last >= duration - 0.02:
            if first - start > 0.05:
                found.append((start, first))
            start = last
    if duration - start > 0.05:
        found.append((start, duration))
    return found


def _melody(
    pitch: Float32[np.ndarray, " T"],
    time: Float32[np.ndarray, " T"],
    centres: Float32[np.ndarray, " N"],
) -> Float32[np.ndarray, " N"]:
    """How much higher each vowel is than the utterance, in standard deviations; `pitch` in Hz."""
    voiced = pitch > 0
    if voiced.sum() < 10 or len(centres) < 3:
        return np.zeros(len(centres), np.float32)
    height = np.log2(pitch[voiced])
    spread = max(float(height.std()), 0.08)
    at = np.interp(centres, time[voiced], height)
    return np.asarray(np.clip((at - height.mean()) / spread, -2.0, 2.0), np.float32)


def add_expression(
    curves: Float32[np.ndarray, "T C"],
    time: Float32[np.ndarray, " T"],
    centres: Float32[np.ndarray, " N"],
    louder: Float32[np.ndarray, " N"],
    silences: Sequence[tuple[float, float]],
    pitch: Float32[np.ndarray, " T"] | None = None,
) -> None:
    """Set the brow and cheek channels of `curves`, in place; `time` is in seconds.

    `centres` and `louder` are the results of `prominence`.
    """
    strength = louder
    if pitch is not None:
        strength = (1.0 - _PITCH_SHARE) * louder + _PITCH_SHARE * _melody(pitch, time, centres)
    stress = np.zeros(len(time), np.float32)
    for centre, value in zip(centres, strength, strict=True):
        if value > 0.5:
            near = slice(*np.searchsorted(time, (centre - 0.64, centre + 0.64)))
            bump = np.exp(-0.5 * ((time[near] - centre) / 0.16) ** 2)
            bump *= np.float32(min(value / 2.0, 1.0))
            np.maximum(stress[near], bump, out=stress[near])
    lift = np.zeros(len(time), np.float32)
    for start, end in phrases(silences, float(time[-1])) if len(centres) else []:
        near = slice(*np.searchsorted(time, (start - _LIFT_AHEAD, end)))
        lift[near] = np.maximum(lift[near], _phrase_lift(time[near], start, end))
    for name, amount in _STRESS_SHAPES.items():
        raised = amount * stress
        if name in _LIFT_SHAPES:
            raised = raised + _LIFT_SHAPES[name] * lift
        else:
            raised = raised + _TIGHT * np.maximum(stress - 0.5, 0.0)
        curves[:, CHANNEL[name]] = raised


def _phrase_lift(
    time: Float32[np.ndarray, " T"], start: float, end: float
) -> Float32[np.ndarray, " T"]:
    """A lift that rises as the phrase begins, soon decays to a share and is 0 at its end."""
    rise = np.clip((time - (start - _LIFT_AHEAD)) / _LIFT_RISE, 0.0, 1.0)
    late = np.clip((time - start) / max(end - start, 0.2), 0.0, 1.0)
    settle = _LIFT_KEPT + (1.0 - _LIFT_KEPT) * np.exp(-np.maximum(time - start, 0.0) / _LIFT_FALL)
    smooth = rise * rise * (3.0 - 2.0 * rise)
    return np.asarray(smooth * settle * (1.0 - late * late), np.float32)
