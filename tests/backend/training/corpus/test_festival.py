# SPDX-License-Identifier: GPL-3.0-or-later
"""Festival's voices: phone tables, segments, sound that fits the phones, what happens without."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from backend.training.corpus import festival, flite, synthesise, text
from backend.training.corpus.utterance import (
    SAMPLE_RATE,
    Phone,
    Utterance,
    load_corpus,
    save_corpus,
)
from backend.training.teacher.articulation import phone_names

_INSTALLED = festival.installed_voices()
_VOWELS = set(
    ["iy", "ih", "ey", "eh", "ae", "aa", "ao", "ow", "uh", "uw", "ue", "ah", "er", "ay", "aw", "oy"]
)
needs_voices = pytest.mark.skipif(not _INSTALLED, reason="festival has no voice here")


def _level(utterance: Utterance, phone: Phone) -> float:
    start, end = (int(t * SAMPLE_RATE) for t in (phone.start, phone.end))
    return float(np.sqrt(np.mean(utterance.samples[start:end].astype(np.float64) ** 2)) + 1e-3)


def _dip(utterance: Utterance, phone: Phone) -> float:
    """The quietest 15 ms within a phone: a stop is silent before it bursts."""
    steps = np.linspace(phone.start, max(phone.start, phone.end - 0.015), 8)
    return min(_level(utterance, Phone(s, s + 0.015, phone.label)) for s in steps.tolist())


def test_tables_lead_to_labels_of_the_teacher() -> None:
    for voice in festival.known_voices().values():
        table = festival.phone_table(voice.phones)
        assert {label for labels in table.values() for label in labels} <= set(phone_names())
        assert {"p", "b", "m", "f", "sil"} <= {labels[0] for labels in table.values()}
        if voice.language != "en":
            for word in text.words(voice.language):
                assert word.encode(voice.encoding), voice.name
    assert festival.held_out_voice() in festival.known_voices()


def test_segments_become_phones_without_gaps() -> None:
    written = "#\n0.2000 100 #\n0.3000 100 b\n0.4 100 e1\n0.5 100 m\n0.6 100 m\n0.7 100 ts\n"
    phones = festival.read_segments(written, "italian", 1.0, 0.9)
    assert [p.label for p in phones] == ["sil", "b", "eh", "m", "t", "s", "sil"]
    assert [round(p.end, 3) for p in phones] == [0.2, 0.3, 0.4, 0.6, 0.65, 0.7, 0.9]
    fast = festival.read_segments(written, "italian", 2.0, 0.45)
    assert fast[0].end == pytest.approx(0.1) and fast[-1].end == 0.45


@pytest.mark.parametrize(
    ("written", "error", "words"),
    [
        ("#\n0.2 100 #\n0.3 100 qq\n", KeyError, "qq"),
        ("#\n0.2 100 #\n", ValueError, "no phones"),
        ("", ValueError, "no phones"),
        ("#\nrubbish\n\n", ValueError, "no phones"),
    ],
)
def test_bad_segments_are_named(written: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        festival.read_segments(written, "italian", 1.0, 1.0)


@needs_voices
@pytest.mark.parametrize("voice", _INSTALLED, ids=lambda voice: voice.name)
def test_the_sound_fits_the_phones(voice: festival.Voice) -> None:
    random = np.random.default_rng(2)
    sentences = ["Papa keeps paper maps, perhaps.", "Happy people open a purple pipe."]
    if voice.language != "en":
        sentences = [text.foreign_sentence(voice.language, random) for _ in range(4)]
    speeds = (0.8, 1.0, 1.25, 1.0)
    lines = [
        festival.Line(sentence, stretch, pitch=1.1)
        for sentence, stretch in zip(sentences, speeds, strict=False)
    ]
    spoken = list(festival.speak(voice, lines))
    # A sentence with a pair of sounds that was never recorded may be missing.
    assert len(spoken) >= len(lines) - 1
    closures, pauses, vowels = [], [], []
    for utterance in spoken:
        phones = utterance.phones
        assert phones[0].start == 0.0 and phones[-1].end == pytest.approx(utterance.duration)
        for before, after in pairwise(phones):
            assert before.start < before.end == pytest.approx(after.start)
        levels = {phone: _level(utterance, phone) for phone in phones}
        vowels += [levels[p] for p in phones if p.label in _VOWELS]
        pauses += [levels[p] for p in phones if p.label == "sil"]
        closures += [_dip(utterance, p) for p in phones if p.label == "p"]
    assert np.median(vowels) > 8 * np.median(pauses)
    assert closures and np.median(vowels) > 5 * np.median(closures)


@needs_voices
def test_the_tape_moves_phones_with_the_sound_and_a_bad_line_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    voice = _INSTALLED[-1]
    sentence = "mama papa"
    if voice.language in ("hi", "mr", "te", "ru"):
        sentence = text.words(voice.language)[40]
    lines = [festival.Line(sentence), festival.Line(""), festival.Line(sentence, tape=1.25)]
    plain, fast = festival.speak(voice, lines)
    assert fast.duration == pytest.approx(plain.duration / 1.25, abs=0.02)
    assert [p.label for p in fast.phones] == [p.label for p in plain.phones]
    assert "skipped: festival" in capsys.readouterr().out


def test_training_goes_on_without_festival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_corpus([], tmp_path / "espeak")
    save_corpus([], tmp_path / "espeak-held-out")
    monkeypatch.setattr(flite, "is_installed", lambda: False)
    monkeypatch.setattr(festival, "installed_voices", lambda: ())
    synthesise.synthesise(tmp_path, 0.0, 0.0, festival_seconds=10.0)
    assert "training continues without" in capsys.readouterr().out
    assert not (tmp_path / "festival").exists()


def test_the_held_out_voice_stays_apart_and_a_dead_voice_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    voices = festival.known_voices()
    there = tuple(voices[name] for name in ("ked_diphone", "lp_diphone", "czech_ph"))

    def speak(voice: festival.Voice, lines: list[festival.Line]) -> list[Utterance]:
        silence = np.zeros(SAMPLE_RATE * 3, np.int16)
        phones = (Phone(0.0, 3.0, "aa"),)
        speaker = f"festival:{voice.name}"
        dead = voice.name == "lp_diphone"
        return [] if dead else [Utterance(line.text, speaker, silence, phones) for line in lines]

    for corpus in ("espeak", "espeak-held-out"):
        save_corpus([], tmp_path / corpus)
    monkeypatch.setattr(flite, "is_installed", lambda: False)
    monkeypatch.setattr(festival, "installed_voices", lambda: there)
    monkeypatch.setattr(festival, "speak", speak)
    synthesise.synthesise(tmp_path, 0.0, 0.0, festival_seconds=100.0)
    training, held_out = (
        {u.speaker for u in load_corpus(tmp_path / name)}
        for name in ("festival", "festival-held-out")
    )
    assert training == {"festival:ked_diphone"} and held_out == {"festival:czech_ph"}
    assert "given up: festival-lp_diphone" in capsys.readouterr().out
