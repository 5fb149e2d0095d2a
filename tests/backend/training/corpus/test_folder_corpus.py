# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's folder of recordings: transcripts, bad files, other languages, joined prompts."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from backend.training.corpus import align, align_share, espeak, pronounce
from backend.training.corpus.folder import (
    Recording,
    read_recordings,
    read_samples,
    unusable_reason,
)
from backend.training.corpus.label_check import check_labels, has_slipped, has_unlabelled_speech
from backend.training.corpus.utterance import Phone, Utterance, load_corpus
from shared.errors import VividKeysError

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed"
)
needs_aligner = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="pocketsphinx is not installed"
)


def write_sound(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    soundfile.write(path, 0.1 * random.standard_normal(int(seconds * 16_000)), 16_000)
    return path


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("utterances.csv", "file,speaker,gender,transcript\na.wav,ann,Female,Hello there\n"),
        ("metadata.csv", "a|Hello  there|Hello there\n"),
        ("transcripts.tsv", "client_id\tpath\tsentence\tgender\nann\ta.wav\tHello there\tfemale\n"),
        ("prompts.txt", "; a comment\na: Hello (softly) there [beep]\nb/c: not there\n"),
        ("a.txt", "Hello\nthere\n"),
    ],
)
def test_every_kind_of_transcript_is_read(tmp_path: Path, table: str, text: str) -> None:
    write_sound(tmp_path / "a.wav")
    (tmp_path / table).write_text(text)
    (recording,) = read_recordings(tmp_path)
    assert recording.path == tmp_path / "a.wav" and recording.name == "a.wav"
    assert recording.transcript == "Hello there"
    named = "ann" in text
    assert recording.speaker == ("ann" if named else tmp_path.name)
    assert recording.gender == ("f" if named else "")


def test_files_without_sound_or_words_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("digits/1.wav", "b.wav"):
        write_sound(tmp_path / name)
    (tmp_path / "metadata.csv").write_text("file,text\ndigits/1,one\nb.wav,[tone]\ngone.wav,hi\n")
    assert [r.name for r in read_recordings(tmp_path)] == ["digits/1.wav"]
    printed = capsys.readouterr().out
    assert "gone.wav" in printed and "without words: b.wav" in printed


def test_a_folder_without_transcripts_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav")
    with pytest.raises(VividKeysError) as caught:
        read_recordings(tmp_path)
    assert "metadata.csv" in caught.value.next_step
    with pytest.raises(VividKeysError, match="no folder"):
        read_recordings(tmp_path / "none")


def test_unusable_samples_are_told_apart() -> None:
    speech = np.random.default_rng(0).integers(-3000, 3000, 16_000).astype(np.int16)
    assert unusable_reason(speech) == ""
    assert unusable_reason(np.zeros(16_000, np.int16)) == "silent"
    assert "long" in unusable_reason(np.tile(speech, 41))
    assert "shorter" in unusable_reason(speech[:1000])


def test_g722_without_a_header_is_decoded(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    tone = (8000 * np.sin(np.arange(16_000) * 0.2)).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="g722") as target:
        stream = target.add_stream("g722", rate=16_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            target.mux(packet)
    (tmp_path / "a.g722").write_bytes(buffer.getvalue())
    samples = read_samples(tmp_path / "a.g722")
    assert abs(len(samples) - 16_000) < 400
    assert np.abs(np.fft.rfft(samples[:16_000].astype(float))).argmax() == pytest.approx(509, abs=2)


@needs_espeak
def test_foreign_sounds_keep_their_labels_and_get_english_neighbours() -> None:
    (word,) = pronounce.speak_words("tu", "fr")
    assert word.labels == ("t", "ue") and word.nearest[1] == ("UW", "IH")
    (word,) = pronounce.speak_words("lava", "es")
    assert word.labels == ("l", "ae", "bh", "ae") and word.nearest[2] == ("V", "B")
    assert len(pronounce.speak_words("28", "fr")) >= 1
    # Regions and other names of a language, as tables have them.
    assert pronounce.speak_words("tu", "fr-XY") == pronounce.speak_words("tu", "fr")
    assert pronounce.speak_words("你好", "zh-CN") == pronounce.speak_words("你好", "cmn") != []
    with pytest.raises(VividKeysError, match="does not speak"):
        pronounce.speak_words("x", "xx-none")


@needs_espeak
@needs_aligner
def test_english_words_keep_the_dictionary_and_others_enter_it(tmp_path: Path) -> None:
    dictionary = pronounce.Dictionary(english=True)
    names = dictionary.sentence("Please, don't blorp 42!", "en")
    assert names[:2] == ["please", "don't"] and len(names) == 5
    assert dictionary.labels[names[2]] == ("b", "l", "ao", "r", "p")
    assert dictionary.sentence("blorp", "en") == names[2:3]
    dictionary.write(tmp_path / "words.dict")
    lines = (tmp_path / "words.dict").read_text().splitlines()
    assert f"{names[2]} B L AO R P" in lines and len(lines) > 100_000
    french = pronounce.Dictionary(english=False)
    french.sentence("rue", "fr")
    french.write(tmp_path / "words.dict")
    assert len((tmp_path / "words.dict").read_text().splitlines()) == 2


@needs_espeak
@needs_aligner
def test_a_language_nobody_speaks_skips_the_file_or_stops_if_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_sound(tmp_path / "a.wav")
    odd = Recording(sound, "ann", "", "hello there", "a.wav", "xx-none")
    good = Recording(sound, "ann", "", "bonjour", "b.wav", "fr")
    job = json.loads(align.write_job([odd, good], tmp_path, "fr").read_text())
    assert [r["name"] for r in job["recordings"]] == ["b.wav"]
    assert "a.wav: skipped" in capsys.readouterr().out
    with pytest.raises(VividKeysError, match="xx-none"):
        align.write_job([replace(odd, language="")], tmp_path, "xx-none")


@needs_espeak
@needs_aligner
def test_a_french_folder_becomes_a_corpus_with_phones_in_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "voice"
    source.mkdir()
    texts = ("Composez votre numéro.", "Appuyez sur la touche.", "Bonjour madame, merci beaucoup.")
    truth = {}
    for number, text in enumerate(texts):
        spoken = espeak.speak(text, "fr+f2", rate=150)
        hiss = np.random.default_rng(number).normal(0.0, 3.0, len(spoken.samples) + 6400)
        hiss[3200 : 3200 + len(spoken.samples)] += spoken.samples
        soundfile.write(source / f"p{number}.wav", hiss.astype(np.int16), 16_000)
        (source / f"p{number}.txt").write_text(text)
        truth[f"p{number}"] = [(p.start + 0.2, p.label) for p in spoken.phones if p.label != "sil"]
    (source / "broken.wav").write_bytes(b"not a sound")
    (source / "broken.txt").write_text("Bonjour.")
    output = align.align_folder(source, tmp_path, 1, "fr")
    aligned = align.read_alignment(source, output, worst_share=0.0)
    assert "broken.wav" in capsys.readouterr().out
    assert len(aligned) >= 2
    for utterance in aligned:
        found = [(p.start, p.label) for p in utterance.phones if p.label != "sil"]
        assert [x[1] for x in found] == [x[1] for x in truth[utterance.name]]
        error = [abs(a[0] - b[0]) for a, b in zip(found, truth[utterance.name], strict=True)]
        assert np.mean(error) < 0.04
    # Nothing is aligned a second time.
    before = (output / "share0.jsonl").read_bytes()
    align.align_folder(source, tmp_path, 1, "fr")
    assert (output / "share0.jsonl").read_bytes() == before
    align.build_corpus(source, tmp_path, "native-x", "fr", processes=1)
    corpus = list(load_corpus(tmp_path / "native-x"))
    assert sum(u.duration for u in corpus) > 1.0 and {u.speaker for u in corpus} == {"voice"}


def test_a_torn_line_and_a_started_file_do_not_stop_the_reading(tmp_path: Path) -> None:
    lines = [{"file": "a", "state": "started"}, {"file": "b", "state": "aligned"}]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"file": "c", "sta'
    (tmp_path / "share0.jsonl").write_text(text)
    states = {name: entry["state"] for name, entry in align_share.finished(tmp_path).items()}
    assert states == {"a": "started", "b": "aligned"}


def _spoken(name: str, seconds: float, speaker: str = "ann") -> Utterance:
    """Noise as speech in the middle, silence around."""
    count = int(seconds * 16_000)
    samples = np.random.default_rng(len(name)).normal(0.0, 3.0, count)
    middle = slice(count // 4, 3 * count // 4)
    samples[middle] *= 1000.0
    quarter = seconds / 4
    phones = (
        Phone(0.0, quarter, "sil"),
        Phone(quarter, 2 * quarter, "aa"),
        Phone(2 * quarter, 3 * quarter, "eh"),
        Phone(3 * quarter, seconds, "sil"),
    )
    return Utterance(name, speaker, samples.astype(np.int16), phones)


def test_prompts_of_a_speaker_are_joined_with_their_own_pauses() -> None:
    prompts = [_spoken(str(k), 1.5) for k in range(5)] + [_spoken("other", 1.0, "bob")]
    joined = align.join_utterances(prompts, shortest=4.0, longest=12.0)
    assert [u.duration for u in joined] == pytest.approx([4.5, 3.0, 1.0])
    assert joined[0].phones[0].start == 0.0 and joined[0].phones[-1].end == pytest.approx(4.5)
    for before, after in zip(joined[0].phones[:-1], joined[0].phones[1:], strict=True):
        assert before.end == pytest.approx(after.start)
    assert [p.label for p in joined[0].phones].count("sil") == 4
    np.testing.assert_array_equal(joined[0].samples[24_000:48_000], prompts[1].samples)


def test_labels_that_do_not_fit_the_sound_are_found() -> None:
    good = _spoken("good", 1.2)
    moved = tuple(Phone(p.start, p.end, "aa" if p.label == "sil" else "sil") for p in good.phones)
    bad = Utterance("bad", "ann", good.samples, moved)
    assert not has_slipped(good) and not has_unlabelled_speech(good)
    assert has_slipped(bad) and has_unlabelled_speech(bad)
    right, wrong = check_labels([good]), check_labels([bad])
    assert right.loud_silence < 0.05 < 0.5 < wrong.loud_silence
    assert right.quiet_vowel < 0.05 < 0.5 < wrong.quiet_vowel
