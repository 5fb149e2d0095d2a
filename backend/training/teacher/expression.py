# SPDX-License-Identifier: GPL-3.0-or-later
"""Brows and cheeks: they mark stressed syllables, lift at the start of a phrase and sink towards
its end. With the channels there are, lids take part through the cheeks alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from backend.audio_to_mesh.channels import CHANNEL

_STRESS_SHAPES = {"browInnerUp": 0.16, "browOuterUp": 0.07, "cheekSquint": 0.09}
# At the start of a phrase brows go up by this, and come down until it ends.
_LIFT_SHAPES = {"browInnerUp": 0.1, "browOuterUp": 0.06}
# It begins this long before the first sound.
_LIFT_AHEAD, _LIFT_RISE, _LIFT_FALL, _LIFT_KEPT = 0.1, 0.24, 0.45, 0.35
# Shorter silences belong to the phrase.
_BREAK = 0.2
# Strong stress tightens the lids: cheeks rise by this beyond what all stress does.
_TIGHT = 0.1
_PITCH_SHARE = 0.5


def prominence(
    vowels: Sequence[tuple[float, float]], level: Float32[np.ndarray, " T"], rate: int
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Middle times of vowels (start, end in seconds) and how much louder each is than the
    utterance's vowels, in sd; `level` [T] in dB at `rate`.
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
    """Stretches of speech between silences (start, end in seconds) that are long enough to part
    phrases.
    """
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
    """How much higher each vowel is than the utterance, in sd; `pitch` [T] in Hz, 0 unvoiced."""
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
    """Set the brow and cheek channels of `curves` [T, C] at times [T] in seconds.

    `centres`, `louder` [N]: the vowels as `prominence` gives them.
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
    """Up as the phrase begins, down to a share of it soon, to nothing at its end."""
    rise = np.clip((time - (start - _LIFT_AHEAD)) / _LIFT_RISE, 0.0, 1.0)
    late = np.clip((time - start) / max(end - start, 0.2), 0.0, 1.0)
    settle = _LIFT_KEPT + (1.0 - _LIFT_KEPT) * np.exp(-np.maximum(time - start, 0.0) / _LIFT_FALL)
    smooth = rise * rise * (3.0 - 2.0 * rise)
    return np.asarray(smooth * settle * (1.0 - late * late), np.float32)
