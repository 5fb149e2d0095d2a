# SPDX-License-Identifier: GPL-3.0-or-later
"""Corpora: sentences, voices with phone times, degradation, storage."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from backend.training.corpus import align, augment, espeak, flite, text
from backend.training.corpus.utterance import (
    SAMPLE_RATE,
    Phone,
    Utterance,
    is_complete,
    load_corpus,
    save_corpus,
)
from backend.training.teacher import phone_names

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed"
)
needs_flite = pytest.mark.skipif(not flite.is_installed(), reason="flite is not installed")


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
def test_every_language_has_a_mapping_for_all_it_says() -> None:
    random = np.random.default_rng(3)
    for language in text.languages():
        for _ in range(3):
            _covers_the_clip(espeak.speak(text.foreign_sentence(language, random), language))


@needs_espeak
def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(ValueError, match="xx-none"):
        espeak.speak("hello", "xx-none")


def test_unknown_symbols_are_named() -> None:
    with pytest.raises(KeyError, match="☃"):
        espeak.phone_labels("☃")
    assert espeak.phone_labels("ˈaɪə") == ["ae", "ih", "ah"]
    assert espeak.phone_labels("(en)") == [] and espeak.phone_labels("_:") == ["sil"]


@needs_flite
def test_flite_phones_fit_the_sound() -> None:
    utterance = flite.speak("Baby map forms.", "kal16")
    _covers_the_clip(utterance)
    assert [p.label for p in utterance.phones][:4] == ["sil", "b", "ey", "b"]


def _tone(seconds: float = 2.0) -> Utterance:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (8000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)
    phones = (Phone(0.0, 1.0, "aa"), Phone(1.0, seconds, "m"))
    return Utterance("tone", "nobody", samples, phones)


def test_degraded_copies_are_repeatable_and_keep_their_phones() -> None:
    tone = _tone()
    for seed in range(12):
        copies = [augment.degrade(tone, [tone], np.random.default_rng(seed)) for _ in range(2)]
        np.testing.assert_array_equal(copies[0].samples, copies[1].samples)
        _covers_the_clip(copies[0])
        assert [p.label for p in copies[0].phones] == ["aa", "m"]
        assert np.abs(copies[0].samples.astype(int)).max() > 1000


def test_speed_moves_phones_with_the_sound() -> None:
    fast = augment.change_speed(_tone(), 1.25)
    assert fast.duration == pytest.approx(1.6, abs=0.01)
    assert fast.phones[0].end == pytest.approx(0.8)


def test_padding_adds_silence_around() -> None:
    padded = augment.pad_with_silence(_tone(), 0.25, 0.5)
    _covers_the_clip(padded)
    assert [p.label for p in padded.phones] == ["sil", "aa", "m", "sil"]
    assert padded.duration == pytest.approx(2.75)
    assert not padded.samples[: int(0.24 * SAMPLE_RATE)].any()


def test_noise_clips_have_no_voice_label() -> None:
    clip = augment.noise_only(1.0, np.random.default_rng(0), 1)
    assert [p.label for p in clip.phones] == ["sil"] and len(clip.samples) == SAMPLE_RATE


def test_a_corpus_survives_the_disk(tmp_path: Path) -> None:
    assert not is_complete(tmp_path)
    save_corpus([_tone(), _tone(1.5)], tmp_path)
    back = list(load_corpus(tmp_path))
    assert is_complete(tmp_path) and len(back) == 2
    np.testing.assert_array_equal(back[1].samples, _tone(1.5).samples)
    assert back[1].phones == _tone(1.5).phones


def test_real_speech_is_aligned_in_a_child_process(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    source = shared_data / "speech" / "speechocean762"
    lines = (source / "utterances.csv").read_text().splitlines()
    (tmp_path / "utterances.csv").write_text("\n".join(lines[:3]) + "\nnone.opus,9,f,30,MISSING\n")
    for line in lines[1:3]:
        name = line.split(",")[0]
        (tmp_path / name).write_bytes((source / name).read_bytes())
    output = align.align_folder(tmp_path, tmp_path, processes=1)
    utterances = align.read_alignment(tmp_path, output, worst_share=0.0)
    # The recording that is not there is left out, the others are aligned.
    assert len(utterances) == 2
    for utterance in utterances:
        _covers_the_clip(utterance)
    labels = [p.label for p in utterances[0].phones if p.label != "sil"]
    assert labels[:5] == ["ih", "t", "w", "ah", "z"]
