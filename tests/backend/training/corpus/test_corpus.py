# SPDX-License-Identifier: GPL-3.0-or-later
"""Corpora: degradation, storage, alignment of real speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.training.corpus import align, augment
from backend.training.corpus.utterance import (
    SAMPLE_RATE,
    Phone,
    Utterance,
    is_complete,
    load_corpus,
    save_corpus,
)
from backend.training.teacher.articulation import phone_names


def _covers_the_clip(utterance: Utterance) -> None:
    """Phones in order, without gaps, from 0 to the end, all known to the teacher."""
    assert utterance.phones[0].start == 0.0
    assert utterance.phones[-1].end == pytest.approx(utterance.duration, abs=1e-3)
    for before, after in zip(utterance.phones[:-1], utterance.phones[1:], strict=True):
        assert before.start < before.end == pytest.approx(after.start)
    assert {phone.label for phone in utterance.phones} <= set(phone_names())


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
