# SPDX-License-Identifier: GPL-3.0-or-later
"""Phones from files, the table of systems, and the published figures of the loudness floor."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from backend.audio.load import Audio
from backend.audio_to_mesh.decoder_settings import decoder_beside, save_decoder, shipped_decoder
from backend.evaluation.baselines import FPS, rhubarb_curves
from backend.evaluation.curve_picture import lip_curves
from backend.evaluation.lip_metric import SCORE_NAMES
from backend.evaluation.phones import Phone, merge_closures, read_phones
from backend.evaluation.speech import (
    evaluate_speech,
    label_system,
    loudness_system,
    read_clips,
    rhubarb_systems,
    rich_table,
    run,
)
from backend.models import shipped_weights
from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError


def test_phones_from_json(tmp_path: Path) -> None:
    path = tmp_path / "a.phones.json"
    path.write_text('[[0.0, 0.2, "SIL"], [0.2, 0.31, "AE1"], [0.31, 0.4, "PCL"], [0.4, 0.5, "P"]]')
    assert read_phones(path) == [
        Phone(0.0, 0.2, "sil"),
        Phone(0.2, 0.31, "ae"),
        Phone(0.31, 0.5, "p"),
    ]


def test_phones_from_timit(tmp_path: Path) -> None:
    path = tmp_path / "a.phn"
    path.write_text("0 1600 h#\n1600 3200 bcl\n3200 3520 b\n3520 8000 iy\n8000 9600 h#\n")
    assert [(p.start, p.end, p.name) for p in read_phones(path)] == [
        (0.0, 0.1, "h#"),
        (0.1, 0.22, "b"),
        (0.22, 0.5, "iy"),
        (0.5, 0.6, "h#"),
    ]


def test_closures_merge_with_their_own_bursts_only() -> None:
    names = ["pcl", "p", "bcl", "aa", "tcl", "ch", "kcl"]
    phones = [Phone(k / 10, (k + 1) / 10, name) for k, name in enumerate(names)]
    assert [phone.name for phone in merge_closures(phones)] == ["p", "b", "aa", "ch", "k"]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[[1, 2]]", '[["a", 1, "p"]]', '[[1, 2, "p"], [0, 1, "b"]]', "\0"]
)
def test_bad_phone_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.phones.json"
    path.write_text(text)
    with pytest.raises(VividKeysError) as caught:
        read_phones(path)
    assert caught.value.kind == ErrorKind.BAD_FILE and "a.phones.json" in caught.value.sentence


def test_folder_without_labels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    with pytest.raises(VividKeysError) as caught:
        run(tmp_path)
    assert caught.value.kind == ErrorKind.BAD_FILE


def test_loudness_floor_reads_as_published(shared_data: Path) -> None:
    """The floor's row of the reference table, to two digits; lag to a millisecond."""
    clips = read_clips(shared_data / "speech")
    table = evaluate_speech(clips, [loudness_system(), label_system()])
    assert (table.clips, table.bilabials, table.labiodentals) == (9, 99, 51)
    floor, labels = table.rows
    published = {
        "bilabial_recall": 0.37, "bilabial_precision": 0.27, "bilabial_f1": 0.31,
        "vowel_false_closure": 0.01, "closure_score": 0.36, "auc_open_close": 0.56,
        "auc_vowel_bilabial": 0.86, "spearman_openness": 0.44, "auc_round_spread": 0.50,
        "auc_labiodental_tuck": 0.50, "silence_closed": 0.96, "peak_r": 0.63,
    }  # fmt: skip
    for name, value in published.items():
        assert getattr(floor.scores, name) == pytest.approx(value, abs=0.0051), name
    assert floor.scores.lag_ms == pytest.approx(10.0, abs=1.0)
    for name in SCORE_NAMES:
        low, high = floor.intervals[name]
        assert low <= getattr(floor.scores, name) <= high, name
    assert labels.scores.closure_score > 0.97 and labels.scores.auc_round_spread > 0.97


def _labelled_clip(folder: Path) -> None:
    time = np.arange(3 * 16000) / 16000
    voice = 0.3 * np.sin(2 * np.pi * 200 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    soundfile.write(folder / "a.wav", voice, 16000)
    names = ["b", "aa", "p", "iy", "m", "uw", "f", "ae", "b", "ow", "sil"]
    rows = [[k * 0.25, (k + 1) * 0.25, name] for k, name in enumerate(names)]
    (folder / "a.phones.json").write_text(json.dumps(rows))


def test_json_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _labelled_clip(tmp_path)
    assert run(tmp_path, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["bilabials"] == 4 and answer["labels"] == "silver"
    assert [row["name"] for row in answer["systems"]][:1] == ["loudness floor"]
    for row in answer["systems"]:
        assert set(row["scores"]) == set(row["intervals_95"]) == set(SCORE_NAMES)
    table = evaluate_speech(read_clips(tmp_path), [loudness_system(), label_system()])
    console = Console(width=120, record=True)
    console.print(rich_table(table))
    printed = console.export_text()
    assert "closure score" in printed and "loudness" in printed and "silver" in printed


@pytest.mark.skipif(os.name == "nt", reason="the stand-in program is a shell script")
def test_rhubarb_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name with Rhubarb's command line and output; none is shipped."""
    program = tmp_path / "rhubarb"
    program.write_text(
        "#!/bin/sh\n"
        'for last in "$@"; do :; done\n'
        'head -c 4 "$last" | grep -q RIFF || exit 3\n'
        'echo \'{"mouthCues": [{"start": 0.0, "end": 0.5, "value": "D"},\'\n'
        'echo \'{"start": 0.5, "end": 1.0, "value": "A"}]}\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert [system.name for system in rhubarb_systems()] == ["rhubarb phonetic", "rhubarb sphinx"]
    weights = rhubarb_curves(program, Audio(np.zeros(16000, np.float32)))
    assert weights.shape == (int(FPS), 52)
    assert weights[15, INDEX["jawOpen"]] == pytest.approx(0.6)
    assert weights[50, INDEX["mouthPressLeft"]] == pytest.approx(0.3)
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(VividKeysError) as caught:
        rhubarb_curves(program, Audio(np.zeros(16000, np.float32)))
    assert caught.value.kind == ErrorKind.MISSING_DEPENDENCY
    monkeypatch.setenv("PATH", "")
    assert rhubarb_systems() == []


def test_other_weights_a_live_row_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _labelled_clip(tmp_path)
    weights = tmp_path / "other.safetensors"
    shutil.copy(shipped_weights()["motion"], weights)
    save_decoder(shipped_decoder(), decoder_beside(weights))
    assert run(tmp_path, weights=weights, live=True, plot=tmp_path / "plots", as_json=True) == 0
    names = [row["name"] for row in json.loads(capsys.readouterr().out)["systems"]]
    assert names[-1] == names[-2] + " live" and names[-2].startswith("VividKeys")
    picture = (tmp_path / "plots" / "a.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    assert run(tmp_path, weights=tmp_path / "none.safetensors", as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "none.safetensors" in " ".join(answer["remarks"])


def test_curves_of_a_picture() -> None:
    weights = np.zeros((3, 52), np.float32)
    weights[1:, INDEX["jawOpen"]] = 0.4
    weights[2, INDEX["mouthClose"]] = 0.4
    weights[1, INDEX["mouthPucker"]] = 0.3
    curves = lip_curves(weights)
    np.testing.assert_allclose(curves["jawOpen"], [0.0, 0.4, 0.4])
    np.testing.assert_allclose(curves["seal"], [0.0, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(curves["rounding"], [0.0, 0.3, 0.0], atol=1e-6)
    assert curves["aperture"][1] > 0.3 > curves["aperture"][2]
