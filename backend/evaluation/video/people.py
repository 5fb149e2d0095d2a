# SPDX-License-Identifier: GPL-3.0-or-later
"""The photos and recordings from which test videos are rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backend.audio.load import SAMPLE_RATE, Audio, load_audio
from backend.evaluation.phones import Phone, read_phones
from backend.samples import PORTRAIT, SPEECH

COMPOSITES = Path("faces/london/composite")
NEUTRAL = Path("faces/london/neutral")
PORTRAITS = Path("faces/portraits_cc0")
RECORDINGS = Path("speech")
# The folders photos are taken from in turn; composites of no real person first: they may be shown.
_TURNS = (COMPOSITES, NEUTRAL, COMPOSITES, PORTRAITS)


@dataclass(frozen=True, eq=False)
class Speech:
    """A recording; `phones` is None if it has no phone labels."""

    name: str
    audio: Audio
    phones: tuple[Phone, ...] | None


def photos(data: Path, most: int) -> list[Path]:
    """Up to `most` photos, spread over the folders that DATA has; the sample if there are none."""
    found = {folder: sorted((data / folder).glob("*.jpg")) for folder in set(_TURNS)}
    places = dict.fromkeys(found, 0)
    chosen: list[Path] = []
    while len(chosen) < most:
        before = len(chosen)
        for folder in _TURNS:
            files, place = found[folder], places[folder]
            if len(chosen) < most and place < len(files):
                # A stride through the folder that visits every file once.
                chosen.append(files[(place * _step(len(files))) % len(files)])
                places[folder] += 1
        if len(chosen) == before:
            break
    return chosen or [PORTRAIT]


def _step(count: int) -> int:
    """A stride near 0.38 of the number of files, and coprime to it."""
    step = max(round(0.38 * count), 1)
    while np.gcd(step, count) != 1:
        step += 1
    return step


def recordings(data: Path, most: int, seconds: float) -> list[Speech]:
    """The sample, then recordings with phone labels, each cut to `seconds`."""
    found = [Speech(SPEECH.stem, cut(load_audio(SPEECH), seconds), None)]
    for wave in sorted((data / RECORDINGS).glob("*.wav")):
        labels = wave.with_suffix(".phones.json")
        if len(found) >= most:
            break
        if labels.is_file():
            phones = tuple(phone for phone in read_phones(labels) if phone.end <= seconds)
            found.append(Speech(wave.stem, cut(load_audio(wave), seconds), phones))
    return found[:most]


def cut(audio: Audio, seconds: float) -> Audio:
    """The beginning of a recording."""
    samples = audio.samples[: round(seconds * SAMPLE_RATE)]
    return replace(audio, samples=samples, duration=len(samples) / SAMPLE_RATE)
