# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether phone labels fit the sound: figures per utterance and per corpus.

Three signs that need no reference labels: silences are quiet, vowels are loud, and the sound dips
where lips meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from backend.audio.log_mel import level, log_mel
from backend.training.corpus.utterance import Utterance, to_float

VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw", "ue"]
)
BILABIALS = frozenset(["p", "b", "m"])
_LOUD_DECIBELS = 20.0  # a "silence" this near to the loud parts is speech
_QUIET_DECIBELS = 25.0  # a "vowel" this far below them is not


@dataclass(frozen=True)
class LabelCheck:
    """Figures of a corpus; shares are 0..1.

    dip    dB by which the level falls from the neighbouring vowel to the quietest frame of a
           bilabial (median)
    flat   share of dips below 3 dB
    chance_dip, chance_flat  the same with the bilabials moved by 0.15 s
    """

    seconds: float
    loud_silence: float
    quiet_vowel: float
    bilabials: int
    dip: float
    flat: float
    chance_dip: float
    chance_flat: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.0f} s; silence frames that are loud {self.loud_silence:.1%}; "
            f"vowel frames that are quiet {self.quiet_vowel:.1%}; {self.bilabials} bilabials dip "
            f"{self.dip:.1f} dB, {self.flat:.0%} not (moved by 0.15 s: {self.chance_dip:.1f} dB, "
            f"{self.chance_flat:.0%})"
        )


def _decibels(utterance: Utterance) -> Float64[np.ndarray, " T"]:
    features = log_mel(to_float(utterance.samples))
    return np.asarray(level(features) * (10.0 / np.log(10.0)), np.float64)


def has_slipped(utterance: Utterance) -> bool:
    """Whether phones and sound disagree, as they do when the text lacks words that were spoken.

    The aligner then hides speech in silences (more than 6 % of the clip is labelled silent but
    within 20 dB of its loud parts) or stretches phones (two or more last over 0.4 s).
    """
    long_phones = sum(p.label != "sil" and p.end - p.start > 0.4 for p in utterance.phones)
    decibels = _decibels(utterance)
    silent = np.zeros(len(decibels), bool)
    for phone in utterance.phones:
        if phone.label == "sil":
            silent[int(np.ceil((phone.start + 0.03) * 100)) : int((phone.end - 0.03) * 100)] = True
    loud = silent & (decibels > np.quantile(decibels, 0.95) - _LOUD_DECIBELS)
    return long_phones >= 2 or bool(loud.mean() > 0.06)


def has_unlabelled_speech(utterance: Utterance, longest: float = 0.08) -> bool:
    """Whether any silence holds more than `longest` seconds that are as loud as speech.

    Stricter than `has_slipped`: a single word that the text lacks, inside a pause, is enough.
    """
    decibels = _decibels(utterance)
    limit = float(np.quantile(decibels, 0.95)) - _LOUD_DECIBELS if len(decibels) else 0.0
    for phone in utterance.phones:
        if phone.label == "sil":
            inside = slice(int(np.ceil((phone.start + 0.03) * 100)), int((phone.end - 0.03) * 100))
            if float((decibels[inside] > limit).sum()) * 0.01 > longest:
                return True
    return False


def _dips(utterance: Utterance, decibels: Float64[np.ndarray, " T"], moved: float) -> list[float]:
    """For each bilabial beside a vowel: the vowel's level minus the lowest within the bilabial."""
    result = []
    phones = utterance.phones
    for index in range(1, len(phones) - 1):
        if phones[index].label not in BILABIALS:
            continue
        beside = [p for p in (phones[index - 1], phones[index + 1]) if p.label in VOWELS]
        first = int((phones[index].start + moved) * 100)
        last = max(int(np.ceil((phones[index].end + moved) * 100)), first + 1)
        if not beside or last > len(decibels):
            continue
        cores = [decibels[int(p.start * 100) : int(np.ceil(p.end * 100))] for p in beside]
        vowel = max((float(np.median(core)) for core in cores if len(core)), default=None)
        if vowel is not None:
            result.append(vowel - float(decibels[first:last].min()))
    return result


def check_labels(utterances: Iterable[Utterance]) -> LabelCheck:
    """The figures of a set of utterances, pooled over frames and phones."""
    seconds = 0.0
    silent = loud = vowel = quiet = 0
    dips: list[float] = []
    chance: list[float] = []
    for utterance in utterances:
        decibels = _decibels(utterance)
        if not len(decibels):
            continue
        seconds += utterance.duration
        reference = float(np.quantile(decibels, 0.95))
        for phone in utterance.phones:
            inside = decibels[
                int(np.ceil((phone.start + 0.03) * 100)) : int((phone.end - 0.03) * 100)
            ]
            if phone.label == "sil":
                silent += len(inside)
                loud += int((inside > reference - _LOUD_DECIBELS).sum())
            elif phone.label in VOWELS:
                vowel += len(inside)
                quiet += int((inside < reference - _QUIET_DECIBELS).sum())
        dips += _dips(utterance, decibels, 0.0)
        chance += _dips(utterance, decibels, 0.15)
    return LabelCheck(
        seconds,
        loud / max(silent, 1),
        quiet / max(vowel, 1),
        len(dips),
        float(np.median(dips)) if dips else 0.0,
        float(np.mean(np.array(dips) < 3.0)) if dips else 0.0,
        float(np.median(chance)) if chance else 0.0,
        float(np.mean(np.array(chance) < 3.0)) if chance else 0.0,
    )
