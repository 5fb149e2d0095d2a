# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud a voice is over time and where it pauses: what head and eyes need to know of it.

Everything runs at 100 Hz over the whole recording; an hour takes about a tenth of a second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from backend.audio.load import SAMPLE_RATE

LOUDNESS_RATE = 100
_HOP = SAMPLE_RATE // LOUDNESS_RATE
# Below this a recording holds no voice, only the converter's noise (-65 dB of full scale).
_QUIETEST_VOICE = 10 ** (-65 / 20)
# A pause shorter than this is a stop consonant; a sound shorter than this is a click.
_SHORTEST_PAUSE, _SHORTEST_SOUND = 0.15, 0.08
# Breath and listening take about this long; shorter gaps do not end a phrase.
_PHRASE_PAUSE = 0.25


def loudness(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square of every 10 ms: samples [N] at 16 kHz to [ceil(N / 160)] at 100 Hz."""
    whole = len(samples) // _HOP
    pieces = samples[: whole * _HOP].reshape(whole, _HOP)
    power = np.einsum("ij,ij->i", pieces, pieces)
    if rest := samples[whole * _HOP :].size:
        tail = samples[-rest:]
        power = np.append(power, np.float32(tail @ tail) * (_HOP / rest))
    return np.sqrt(power / _HOP).astype(np.float32)


def voice_level(level: NDArray[np.float32]) -> float:
    """Loudness of the voice itself: the 90th percentile of what is not digital silence."""
    sounding = level[level > _QUIETEST_VOICE]
    return float(np.percentile(sounding, 90)) if len(sounding) else 0.0


def speaking(level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where somebody speaks, from `loudness`: [N] at 100 Hz.

    The threshold lies a third of the way, in decibels, from the quiet parts to the voice, at
    most 30 dB below the voice and at least 9, so that room noise does not count as speech and a
    recording without pauses does not lose its soft syllables.
    """
    voice = voice_level(level)
    if voice == 0.0:
        return np.zeros(len(level), dtype=np.bool_)
    decibels = 20 * np.log10(np.maximum(level, _QUIETEST_VOICE) / voice)
    decibels = ndimage.uniform_filter1d(decibels, 3)
    quiet = float(np.percentile(decibels, 10))
    active = decibels > np.clip(quiet * 2 / 3, -30.0, -9.0)
    pause = round(_SHORTEST_PAUSE * LOUDNESS_RATE)
    sound = round(_SHORTEST_SOUND * LOUDNESS_RATE)
    # Closing at the border would invent silence there: carry the border value on.
    padded = np.pad(active, pause, mode="edge")
    padded = ndimage.binary_opening(ndimage.binary_closing(padded, np.ones(pause)), np.ones(sound))
    result: NDArray[np.bool_] = padded[pause : pause + len(active)]
    return result


def phrase_ends(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Seconds at which the voice falls silent for a quarter of a second or more.

    `samples` [N] at 16 kHz. The end of the recording counts only if such a pause precedes it.
    """
    return pauses_to_ends(speaking(loudness(samples)))


def pauses_to_ends(active: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Ends [s] of the runs of True in `active` [N] at 100 Hz that a phrase pause follows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    following = np.append(starts[1:], len(active))
    return ends[following - ends >= _PHRASE_PAUSE * LOUDNESS_RATE] / LOUDNESS_RATE
