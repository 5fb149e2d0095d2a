# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a prepared set: folders of corpora, the older single folder, and damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.audio.log_mel import BANDS
from backend.training.corpus.utterance import Phone
from backend.training.prepared import load_prepared
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


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(VividKeysError):
        load_prepared(tmp_path)
    write_part(tmp_path / "noise", [("noise", 4)], 0.0)
    (tmp_path / "noise" / "features.raw").write_bytes(b"\0" * (2 * BANDS * 3))
    with pytest.raises(VividKeysError, match="shorter than its index"):
        load_prepared(tmp_path)
