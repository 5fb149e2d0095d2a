# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the synthetic corpora: espeak-ng in many voices and languages, flite in four.

    python -m backend.training.corpus.synthesise CACHE_FOLDER

A sentence that cannot be spoken is named and skipped; the rest goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.training.corpus import espeak, flite, text
from backend.training.corpus.utterance import Utterance, is_complete, save_corpus


def espeak_utterances(
    seconds: float, seed: int, foreign_share: float = 0.3, languages: list[str] | None = None
) -> Iterator[Utterance]:
    """At least `seconds` of espeak-ng speech with random voice, rate, pitch and range."""
    random = np.random.default_rng(seed)
    foreign = languages if languages is not None else text.languages()
    total = 0.0
    number = 0
    while total < seconds:
        variant = espeak.VARIANTS[int(random.integers(len(espeak.VARIANTS)))]
        if foreign and random.random() < foreign_share:
            language = foreign[int(random.integers(len(foreign)))]
            sentence = text.foreign_sentence(language, random)
        else:
            language = espeak.ENGLISH[int(random.integers(len(espeak.ENGLISH)))]
            sentence = text.english_sentence(random)
        rate, pitch, pitch_range = (
            int(random.integers(low, high)) for low, high in ((115, 225), (15, 85), (15, 95))
        )
        try:
            utterance = espeak.speak(sentence, f"{language}+{variant}", rate, pitch, pitch_range)
        except (KeyError, ValueError) as error:
            print(f"skipped: {language}+{variant}: {sentence}: {error}")
            continue
        if utterance.duration < 0.5 or utterance.duration > 15:
            continue
        number += 1
        total += utterance.duration
        yield replace(utterance, name=f"espeak{seed}-{number}")


def flite_utterances(seconds: float, voice: str, seed: int) -> Iterator[Utterance]:
    """At least `seconds` of one flite voice with random speed and pitch."""
    random = np.random.default_rng(seed)
    mean = {"slt": 170.0, "awb": 130.0, "rms": 95.0}.get(voice, 105.0)
    total = 0.0
    number = 0
    while total < seconds:
        sentence = text.english_sentence(random)
        stretch = float(np.exp(random.uniform(np.log(0.75), np.log(1.35))))
        pitch = mean * float(np.exp(random.normal(0.0, 0.15)))
        try:
            utterance = flite.speak(sentence, voice, stretch, pitch)
        except (RuntimeError, ValueError) as error:
            print(f"skipped: {voice}: {sentence}: {error}")
            continue
        number += 1
        total += utterance.duration
        yield replace(utterance, name=f"flite-{voice}-{number}")


def synthesise(cache: Path, espeak_seconds: float, flite_seconds: float, seed: int = 0) -> None:
    """Write the corpora `espeak`, `flite` and the held-out `flite-rms` below `cache`."""
    if not is_complete(cache / "espeak"):
        save_corpus(espeak_utterances(espeak_seconds, seed), cache / "espeak")
    if not flite.is_installed():
        print("flite is not installed: training goes on without its voices")
        return
    shares = {"slt": 0.4, "awb": 0.4, "kal16": 0.2}
    if not is_complete(cache / "flite"):
        save_corpus(
            (
                utterance
                for number, voice in enumerate(flite.TRAINING_VOICES)
                for utterance in flite_utterances(
                    flite_seconds * shares[voice], voice, seed + 1 + number
                )
            ),
            cache / "flite",
        )
    if not is_complete(cache / "flite-rms"):
        held_out = flite_utterances(200.0, flite.HELD_OUT_VOICE, seed + 100)
        save_corpus(held_out, cache / "flite-rms")


if __name__ == "__main__":
    synthesise(Path(sys.argv[1]), espeak_seconds=4200.0, flite_seconds=3000.0)
