# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the held-out voices as recordings with phone times, so that they can be evaluated.

    python -m backend.training.corpus.held_out CACHE OUTPUT
    python -m backend evaluate speech --data OUTPUT/real-test

One recording per speaker (their sentences in a row, at most 100 s), and degraded copies: three
draws of room, microphone, line and noise for each. Held out are the corpora of `CORPORA` and all
whose names end in `-held-out`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from backend.training.corpus.augment import degrade
from backend.training.corpus.utterance import (
    SAMPLE_RATE,
    Phone,
    Utterance,
    is_complete,
    load_corpus,
)

CORPORA = ("real-tune", "real-test", "flite-rms")
# Recordings longer than this are split between sentences, so that intervals can be drawn over them.
_LONGEST = 100.0
DRAWS = 3


def in_a_row(utterances: Sequence[Utterance], name: str) -> Utterance:
    """Several utterances as one, with their phone times shifted accordingly."""
    phones: list[Phone] = []
    samples = []
    offset = 0.0
    for utterance in utterances:
        phones += [Phone(p.start + offset, p.end + offset, p.label) for p in utterance.phones]
        samples.append(utterance.samples)
        offset += utterance.duration
    return Utterance(name, utterances[0].speaker, np.concatenate(samples), tuple(phones))


def recordings(utterances: Sequence[Utterance], name: str) -> list[Utterance]:
    """A speaker's sentences, joined into as many recordings as their length requires."""
    groups: list[list[Utterance]] = [[]]
    length = 0.0
    for utterance in utterances:
        if groups[-1] and length + utterance.duration > _LONGEST:
            groups.append([])
            length = 0.0
        groups[-1].append(utterance)
        length += utterance.duration
    if len(groups) == 1:
        return [in_a_row(groups[0], name)]
    return [in_a_row(group, f"{name}-{number}") for number, group in enumerate(groups)]


def write_recording(utterance: Utterance, folder: Path) -> None:
    """NAME.wav and NAME.phones.json: rows of start and end in seconds and a label."""
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{utterance.name}.wav", utterance.samples, SAMPLE_RATE)
    rows = [[round(p.start, 4), round(p.end, 4), p.label.upper()] for p in utterance.phones]
    (folder / f"{utterance.name}.phones.json").write_text(json.dumps(rows))


def write_held_out(cache: Path, output: Path) -> None:
    """Write every held-out corpus of the cache, clean and degraded, below `output`."""
    others = sorted(folder.name for folder in cache.glob("*-held-out"))
    for corpus in (*CORPORA, *others):
        if not is_complete(cache / corpus):
            print(f"{corpus}: missing")
            continue
        by_speaker: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in load_corpus(cache / corpus):
            by_speaker[utterance.speaker].append(utterance)
        speakers = [
            recording
            for speaker, utterances in sorted(by_speaker.items())
            for recording in recordings(utterances, speaker.replace(":", "-"))
        ]
        for number, speaker in enumerate(speakers):
            write_recording(speaker, output / corpus)
            for draw in range(DRAWS):
                random = np.random.default_rng([99, number, draw])
                copy = degrade(speaker, speakers, random)
                copy = replace(copy, name=f"{speaker.name}-{draw}")
                write_recording(copy, output / f"{corpus}-degraded")
        print(f"{corpus}: {len(speakers)} recordings")


if __name__ == "__main__":
    write_held_out(Path(sys.argv[1]), Path(sys.argv[2]))
