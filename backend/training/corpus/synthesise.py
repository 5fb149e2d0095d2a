# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the synthetic corpora: espeak-ng in many voices and languages, flite, festival.

    python -m backend.training.corpus.synthesise CACHE_FOLDER

A sentence that cannot be spoken is printed and skipped. Sentences, voices, speeds and pitches are
determined by the seed; espeak-ng's samples are so only up to its internal noise, which shifts a
phone by a few milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.training.corpus import espeak, festival, flite, text
from backend.training.corpus.utterance import Utterance, is_complete, save_corpus

_SHORTEST, _LONGEST = 0.5, 15.0
# A voice that fails this often in a row will not recover.
_FAILURES_IN_A_ROW = 25
_FESTIVAL_BATCH = 20
_FLITE_MEAN_HZ = {"slt": 170.0, "awb": 130.0, "rms": 95.0}


def _until(seconds: float, name: str, speak: Callable[[], Utterance]) -> Iterator[Utterance]:
    """Call `speak` until there are `seconds` of speech; failures are printed and left out."""
    total = 0.0
    number = failures = 0
    while total < seconds and failures < _FAILURES_IN_A_ROW:
        try:
            utterance = speak()
        except (KeyError, ValueError, RuntimeError, OSError) as error:
            failures += 1
            print(f"skipped: {name}: {error}")
            continue
        if not _SHORTEST <= utterance.duration <= _LONGEST or not utterance.phones:
            failures += 1
            continue
        failures = 0
        number += 1
        total += utterance.duration
        yield replace(utterance, name=f"{name}-{number}")
    if total < seconds:
        print(f"given up: {name}: {failures} sentences in a row failed")


def espeak_utterances(
    seconds: float, seed: int, foreign_share: float = 0.5, languages: list[str] | None = None
) -> Iterator[Utterance]:
    """At least `seconds` of espeak-ng speech with random voice, rate, pitch and range.

    `foreign_share` of the sentences are in one of `languages` (default: all for training).
    """
    random = np.random.default_rng(seed)
    foreign = languages if languages is not None else text.languages()

    def speak() -> Utterance:
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
        voice = f"{language}+{variant}"
        try:
            return espeak.speak(sentence, voice, rate, pitch, pitch_range)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{voice}: {sentence}: {error}") from error

    yield from _until(seconds, f"espeak{seed}", speak)


def flite_utterances(seconds: float, voice: str, seed: int) -> Iterator[Utterance]:
    """At least `seconds` of one flite voice with random speed and pitch."""
    random = np.random.default_rng(seed)
    mean = _FLITE_MEAN_HZ.get(voice, 105.0)

    def speak() -> Utterance:
        sentence = text.english_sentence(random)
        stretch = float(np.exp(random.uniform(np.log(0.75), np.log(1.35))))
        pitch = mean * float(np.exp(random.normal(0.0, 0.15)))
        return flite.speak(sentence, voice, stretch, pitch)

    yield from _until(seconds, f"flite-{voice}", speak)


def festival_utterances(seconds: float, voice: festival.Voice, seed: int) -> Iterator[Utterance]:
    """At least `seconds` of one festival voice with random speed and pitch, many in one run."""
    random = np.random.default_rng(seed)

    def line() -> festival.Line:
        if voice.language == "en":
            sentence = text.english_sentence(random)
        else:
            sentence = text.foreign_sentence(voice.language, random)
        # Voices that ignore the first two are still varied by the third.
        stretch, pitch, tape = (
            float(np.exp(random.uniform(np.log(low), np.log(high))))
            for low, high in ((0.75, 1.35), (0.8, 1.25), (0.92, 1.09))
        )
        return festival.Line(sentence, stretch, pitch, tape)

    def batches() -> Iterator[Utterance]:
        while True:
            count = 0
            for utterance in festival.speak(voice, [line() for _ in range(_FESTIVAL_BATCH)]):
                count += 1
                yield utterance
            if count == 0:
                return

    name = f"festival-{voice.name}"
    total = 0.0
    for number, utterance in enumerate(batches(), 1):
        if total >= seconds:
            return
        if _SHORTEST <= utterance.duration <= _LONGEST:
            total += utterance.duration
            yield replace(utterance, name=f"{name}-{number}")
    print(f"given up: {name}: a whole run produced no sentence")


def _festival_training(seconds: float, seed: int) -> Iterator[Utterance]:
    voices = [v for v in festival.installed_voices() if v.name != festival.held_out_voice()]
    # A voice's sentences follow from its name, not from which others are installed.
    names = sorted(festival.known_voices())
    for voice in voices:
        number = names.index(voice.name)
        yield from festival_utterances(seconds / len(voices), voice, seed + 300 + number)


def _write_festival(cache: Path, seconds: float, seed: int) -> None:
    voices = {voice.name: voice for voice in festival.installed_voices()}
    missing = sorted(set(festival.known_voices()) - set(voices))
    if missing:
        print(f"festival lacks these voices; training continues without: {', '.join(missing)}")
    held_out = festival.held_out_voice()
    if set(voices) - {held_out}:
        _write_once(cache / "festival", _festival_training(seconds, seed))
    if held_out in voices:
        _write_once(
            cache / "festival-held-out",
            festival_utterances(150.0, voices[held_out], seed + 400),
        )


def _write_once(folder: Path, utterances: Iterable[Utterance]) -> None:
    if not is_complete(folder):
        save_corpus(utterances, folder)


def _flite_training(seconds: float, seed: int) -> Iterator[Utterance]:
    shares = {"slt": 0.4, "awb": 0.4, "kal16": 0.2}
    for number, voice in enumerate(flite.TRAINING_VOICES):
        yield from flite_utterances(seconds * shares[voice], voice, seed + 1 + number)


def synthesise(
    cache: Path,
    espeak_seconds: float,
    flite_seconds: float,
    seed: int = 0,
    festival_seconds: float = 0.0,
) -> None:
    """Write the corpora below `cache`; existing ones are left as they are.

    For training `espeak`, `flite` and, if wanted, `festival`; for evaluation only
    `espeak-held-out` (languages that training never hears), `flite-rms` and `festival-held-out`
    (voices that training never hears).
    """
    _write_once(cache / "espeak", espeak_utterances(espeak_seconds, seed))
    _write_once(
        cache / "espeak-held-out",
        espeak_utterances(150.0, seed + 200, 1.0, text.held_out_languages()),
    )
    if flite.is_installed():
        _write_once(cache / "flite", _flite_training(flite_seconds, seed))
        held_out = flite_utterances(200.0, flite.HELD_OUT_VOICE, seed + 100)
        _write_once(cache / "flite-rms", held_out)
    else:
        print("flite is not installed: training continues without its voices")
    if festival_seconds > 0:
        _write_festival(cache, festival_seconds, seed)


if __name__ == "__main__":
    synthesise(
        Path(sys.argv[1]), espeak_seconds=4200.0, flite_seconds=3000.0, festival_seconds=2400.0
    )
