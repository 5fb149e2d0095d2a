# SPDX-License-Identifier: GPL-3.0-or-later
"""The synthetic half of the corpus: sentences, espeak-ng in all its languages, flite."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from backend.training.corpus import espeak, flite, synthesise, text
from backend.training.corpus.utterance import SAMPLE_RATE, Phone, Utterance, load_corpus
from backend.training.teacher.articulation import phone_names

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed"
)
needs_flite = pytest.mark.skipif(not flite.is_installed(), reason="flite is not installed")
_VOWELS = set(
    ["iy", "ih", "ey", "eh", "ae", "aa", "ao", "ow", "uh", "uw", "ue", "ah", "er", "ay", "aw", "oy"]
)


def _covers_the_clip(utterance: Utterance) -> None:
    """Phones in order, without gaps, from 0 to the end, all known to the teacher."""
    assert utterance.phones[0].start == 0.0
    assert utterance.phones[-1].end == pytest.approx(utterance.duration, abs=1e-3)
    for before, after in zip(utterance.phones[:-1], utterance.phones[1:], strict=True):
        assert before.start < before.end == pytest.approx(after.start)
    assert {phone.label for phone in utterance.phones} <= set(phone_names())


def _level(utterance: Utterance, phone: Phone) -> float:
    start, end = (int(t * SAMPLE_RATE) for t in (phone.start, phone.end))
    return float(np.sqrt(np.mean(utterance.samples[start:end].astype(np.float64) ** 2)))


def test_sentences_are_repeatable_and_rich_in_lip_sounds() -> None:
    first, second = (
        [text.english_sentence(np.random.default_rng(seed)) for seed in range(60)] for _ in range(2)
    )
    assert first == second and len(set(first)) > 55
    assert not any("{" in sentence for sentence in first)
    letters = "".join(first).lower()
    assert sum(letters.count(x) for x in "pbmfvw") > 0.12 * len(letters)


def test_held_out_languages_are_not_for_training() -> None:
    assert len(text.languages()) >= 32
    assert len(text.held_out_languages()) == 2
    assert not set(text.languages()) & set(text.held_out_languages())
    for language in (*text.languages(), *text.held_out_languages()):
        assert len(set(text.words(language))) >= 40, language


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us", "en-gb-x-rp+klatt2", "de+f3"])
def test_espeak_phones_fit_the_sound(voice: str) -> None:
    utterance = espeak.speak("Baby map, forms.", voice, rate=160)
    _covers_the_clip(utterance)
    labels = [phone.label for phone in utterance.phones]
    assert labels.count("m") >= 2 and "b" in labels and "f" in labels and "sil" in labels
    vowels = [p for p in utterance.phones if p.label in ("ey", "iy", "ae", "ao", "eh", "aa")]
    pauses = [p for p in utterance.phones if p.label == "sil" and p.end - p.start > 0.1]
    assert min(_level(utterance, v) for v in vowels) > 3 * max(_level(utterance, p) for p in pauses)


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us", "it", "en-us+klatt2"])
def test_a_stop_holds_its_closure(voice: str) -> None:
    utterance = espeak.speak("Papa papa papa papa.", voice, rate=150)
    _covers_the_clip(utterance)
    inner = [
        (before, stop)
        for before, stop in zip(utterance.phones[:-1], utterance.phones[1:], strict=True)
        if stop.label == "p" and before.label in _VOWELS
    ]
    assert len(inner) >= 6
    for before, stop in inner:
        vowel = _level(utterance, before)
        # Its first 20 ms are silent, and no silence is left to the vowel.
        assert _level(utterance, Phone(stop.start, stop.start + 0.02, "p")) < 0.1 * vowel
        assert _level(utterance, Phone(before.end - 0.015, before.end, "aa")) > 0.05 * vowel
        assert stop.end - stop.start > 0.04


@needs_espeak
@pytest.mark.parametrize("language", [*text.languages(), *text.held_out_languages()])
def test_a_language_is_mapped_whole_and_sounds_plausible(language: str) -> None:
    random = np.random.default_rng(3)
    times: Counter[str] = Counter()
    for _ in range(5):
        utterance = espeak.speak(text.foreign_sentence(language, random), language)
        _covers_the_clip(utterance)
        for phone in utterance.phones:
            times[phone.label] += phone.end - phone.start  # type: ignore[assignment]
    speech = sum(times.values()) - times["sil"]
    assert 0.22 < sum(times[v] for v in _VOWELS) / speech < 0.7
    assert 0.02 < sum(times[b] for b in ("p", "b", "m")) / speech < 0.25
    assert 0.01 < times["sil"] / (speech + times["sil"]) < 0.3


@needs_espeak
@pytest.mark.parametrize("language", [*text.languages(), *text.held_out_languages()])
def test_every_single_word_is_mapped(language: str) -> None:
    known = text.words(language)
    for start in range(0, len(known), 40):
        espeak.speak(", ".join(known[start : start + 40]), language, rate=450)


@needs_espeak
def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(ValueError, match="xx-none"):
        espeak.speak("hello", "xx-none")


@pytest.mark.parametrize(
    ("language", "symbol", "labels"),
    [
        ("", "ˈaɪə", ["ae", "ih", "ah"]),
        ("", "(en)", []),
        ("", "_:", ["sil"]),
        ("", "ɾ", ["d"]),
        ("fr", "ˈɔ̃", ["ow"]),
        ("hi", "ˈã", ["ae"]),
        ("hi", "bʰ", ["b"]),
        ("hi", "c", ["ch"]),
        ("tr", "c", ["k"]),
        ("cs", "l̩", ["l"]),
        ("cs", "r̝̊", ["zh"]),
        ("cmn", "ts.h", ["ch"]),
        ("cmn", "ˈonɡ", ["uh", "ng"]),
        ("vi", "ɓ", ["b"]),
        ("vi", "ˈy", ["ih"]),
        ("da", "ˈʔœ", ["ue"]),
        ("da", "ˈʔʌ", ["ao"]),
        ("da", "ʔʌ", ["ah"]),
        ("ja", "ˈɯᵝ", ["uh"]),
        ("ka", "pʰ", ["p"]),
        ("ru", "mʲ", ["m"]),
    ],
)
def test_quirks_of_languages(language: str, symbol: str, labels: list[str]) -> None:
    assert espeak.phone_labels(symbol, language) == labels


def test_unknown_symbols_are_named() -> None:
    with pytest.raises(KeyError, match="☃"):
        espeak.phone_labels("☃")


@needs_flite
def test_flite_phones_fit_the_sound() -> None:
    utterance = flite.speak("Baby map forms.", "kal16")
    _covers_the_clip(utterance)
    assert [p.label for p in utterance.phones][:4] == ["sil", "b", "ey", "b"]


@needs_espeak
def test_sentences_and_voices_follow_from_the_seed() -> None:
    one, two = (list(synthesise.espeak_utterances(15.0, 4)) for _ in range(2))
    for first, second in zip(one, two, strict=False):
        assert first.speaker == second.speaker
        assert [p.label for p in first.phones] == [p.label for p in second.phones]
        # The library's own noise moves a phone by some milliseconds.
        assert first.duration == pytest.approx(second.duration, abs=0.03)


@needs_espeak
def test_languages_for_evaluation_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flite, "is_installed", lambda: False)
    synthesise.synthesise(tmp_path, 30.0, 0.0, seed=4)
    held_out = set(text.held_out_languages())
    for corpus in ("espeak", "espeak-held-out"):
        speakers = [u.speaker for u in load_corpus(tmp_path / corpus)]
        spoken = {speaker.split(":")[1].split("+")[0] for speaker in speakers}
        assert spoken == held_out if corpus == "espeak-held-out" else not spoken & held_out
        assert len(set(speakers)) > 5
    assert not (tmp_path / "flite").exists()


@needs_espeak
def test_bad_sentences_are_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speak = espeak.speak
    calls = iter(range(1000))

    def sometimes(sentence: str, *rest: int | str) -> Utterance:
        if next(calls) % 2:
            raise KeyError("☃")
        return speak(sentence, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(espeak, "speak", sometimes)
    utterances = list(synthesise.espeak_utterances(6.0, 1))
    assert sum(u.duration for u in utterances) >= 6.0
    assert "☃" in capsys.readouterr().out


def test_a_voice_that_always_fails_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object) -> Utterance:
        raise RuntimeError("no")

    monkeypatch.setattr(flite, "speak", never)
    assert list(synthesise.flite_utterances(5.0, "slt", 0)) == []
    assert "given up: flite-slt" in capsys.readouterr().out
