# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a prepared set: folders of corpora, the older single folder, and damage."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from backend.audio.log_mel import BANDS
from backend.training.corpus import align
from backend.training.corpus.utterance import Phone, Utterance, save_corpus
from backend.training.motion.prepare import (
    PrepareRecipe,
    choose_corpora,
    prepare,
    store_native_corpora,
)
from backend.training.motion.prepared import load_prepared
from shared.errors import VividKeysError


def write_part(folder: Path, clips: list[tuple[str, int]], value: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows, start = [], 0
    for number, (name, length) in enumerate(clips):
        rows.append([name, start, length, [[0.0, length / 100, f"p{number}"]]])
        start += length
    frames = value + np.arange(start, dtype=np.float16)[:, None] * np.ones(BANDS, np.float16)
    (folder / "features.raw").write_bytes(frames.astype(np.float16).tobytes())
    (folder / "clips.json").write_text(json.dumps(rows))


def test_folders_of_corpora_are_concatenated(tmp_path: Path) -> None:
    write_part(tmp_path / "native-x", [("native-x", 5), ("native-x", 7)], 0.0)
    write_part(tmp_path / "noise", [("noise", 4)], 100.0)
    (tmp_path / "unfinished").mkdir()
    prepared = load_prepared(tmp_path)
    assert list(prepared.corpus) == ["native-x", "native-x", "noise"]
    assert list(prepared.length) == [5, 7, 4]
    assert prepared.features(1).shape == (7, BANDS)
    assert list(prepared.features(1, 2, 4)[:, 0]) == [7.0, 8.0]
    assert list(prepared.features(2, 3, 99)[:, -1]) == [103.0]
    assert prepared.phones(1) == (Phone(0.0, 0.07, "p1"),)
    assert {k: list(v) for k, v in prepared.clips_of().items()} == {
        "native-x": [0, 1],
        "noise": [2],
    }


def test_older_set_is_read_and_replaced_corpus_by_corpus(tmp_path: Path) -> None:
    write_part(tmp_path, [("real", 3), ("espeak", 2)], 0.0)
    write_part(tmp_path / "espeak", [("espeak", 6)], 50.0)
    prepared = load_prepared(tmp_path)
    assert list(prepared.corpus) == ["real", "espeak"]
    assert list(prepared.length) == [3, 6]
    assert prepared.features(1, 0, 1)[0, 0] == 50.0


def test_damage_is_named_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VividKeysError):
        load_prepared(tmp_path)
    write_part(tmp_path / "noise", [("noise", 4), ("noise", 3)], 0.0)
    (tmp_path / "noise" / "features.raw").write_bytes(b"\0" * (2 * BANDS * 6 + 1))
    write_part(tmp_path / "flite", [("flite", 4)], 0.0)
    (tmp_path / "flite" / "clips.json").write_text("[[1, 2")
    assert list(load_prepared(tmp_path).length) == [4]
    told = capsys.readouterr().out
    assert "1 clips" in told and "noise" in told and str(tmp_path / "flite") in told
    (tmp_path / "noise" / "features.raw").write_bytes(b"")
    with pytest.raises(VividKeysError, match="no prepared training set"):
        load_prepared(tmp_path)


def test_a_clip_that_is_not_fit_to_learn_from_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "espeak"
    write_part(folder, [("espeak", 10)] * 5, 0.0)
    rows = json.loads((folder / "clips.json").read_text())
    rows[1][3] = [[0.05, 0.1, "aa"], [0.0, 0.05, "m"]]
    rows[2][3] = [[0.0, None, "aa"]]
    rows[3][3] = [[0.0, 0.1, "xyz"]]
    rows[0][3] = rows[4][3] = [[0.0, 0.1, "aa"]]
    (folder / "clips.json").write_text(json.dumps(rows))
    frames = np.fromfile(folder / "features.raw", np.float16).reshape(-1, BANDS)
    frames[45, 3] = np.nan
    frames.tofile(folder / "features.raw")
    prepared = load_prepared(tmp_path)
    labels = frozenset({"aa", "m"})
    for _ in range(2):
        fit = [clip for clip in range(5) if prepared.read(clip, labels) is not None]
        assert fit == [0]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4
    for line, reason in zip(told, ("order", "cannot be read", "'xyz'", "not finite"), strict=True):
        assert reason in line and "espeak" in line


def test_what_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    write_part(tmp_path / "native-a", [("native-a", 5)], 0.0)
    write_part(tmp_path / "native-b-held-out", [("native-b-held-out", 5)], 0.0)
    assert list(load_prepared(tmp_path).corpus) == ["native-a"]
    _corpus(tmp_path / "corpora" / "native-b-held-out", 1)
    _corpus(tmp_path / "corpora" / "native-a", 1)
    chosen = choose_corpora(tmp_path / "corpora", PrepareRecipe(copies=(("native-*", 0),)))
    assert chosen == [("native-a", 0)]


def _corpus(folder: Path, count: int) -> None:
    random = np.random.default_rng(count)
    phones = (Phone(0.0, 0.3, "aa"), Phone(0.3, 0.5, "m"))
    samples = [random.integers(-5000, 5000, 8000).astype(np.int16) for _ in range(count)]
    save_corpus([Utterance(str(k), "x", s, phones) for k, s in enumerate(samples)], folder)


def test_a_new_corpus_does_not_redo_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = PrepareRecipe(
        copies=(("real", 1), ("native-*", 0), ("flite", 1)), noise_clips=2, processes=1
    )
    _corpus(tmp_path / "real", 2)
    _corpus(tmp_path / "real-test", 2)
    target = prepare(tmp_path, recipe)
    assert "flite: missing" in capsys.readouterr().out
    assert {k: len(v) for k, v in load_prepared(target).clips_of().items()} == {
        "noise": 2,
        "real": 4,
    }
    long_ago = 1_000_000_000
    made = [target / part / "features.raw" for part in ("real", "noise")]
    for path in made:
        os.utime(path, (long_ago, long_ago))
    _corpus(tmp_path / "native-a", 3)
    prepare(tmp_path, recipe)
    assert [path.stat().st_mtime for path in made] == [long_ago, long_ago]
    prepared = load_prepared(target)
    assert {k: len(v) for k, v in prepared.clips_of().items()} == {
        "native-a": 3,
        "noise": 2,
        "real": 4,
    }
    native = int(prepared.clips_of()["native-a"][1])
    assert prepared.length[native] == 51  # recordings are not padded with silence
    assert prepared.phones(native) == (Phone(0.0, 0.3, "aa"), Phone(0.3, 0.5, "m"))
    _corpus(tmp_path / "native-a", 1)  # a corpus that changed is prepared again
    prepare(tmp_path, recipe)
    assert len(load_prepared(target).clips_of()["native-a"]) == 1


def test_named_folders_become_corpora_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(folder: Path, cache: Path, name: str, language: str, processes: int) -> None:
        built.append((folder.name, name, language))
        _corpus(cache / name, 1)

    monkeypatch.setattr(align, "build_corpus", build)
    folders = [("native-a", tmp_path / "a", "fr"), ("native-b", tmp_path / "b", "en")]
    _corpus(tmp_path / "native-b", 2)
    for _ in range(2):
        store_native_corpora(folders, tmp_path)
    assert built == [("a", "native-a", "fr")]


def test_a_folder_that_cannot_be_used_is_named_and_the_next_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    store_native_corpora([("native-x", tmp_path / "empty", "en")], tmp_path)
    assert "native-x" in capsys.readouterr().out
