# SPDX-License-Identifier: GPL-3.0-or-later
"""Student against teacher: what is counted, where speech comes from, what is printed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.audio.load import Audio
from backend.audio_to_mesh.lip_motion import linear_lips
from backend.audio_to_mesh.lip_offsets import offset_basis, offset_targets
from backend.evaluation import teacher as table
from backend.evaluation.lip_picture import DRIVEN, LINEAR, save_picture
from backend.evaluation.teacher import (
    Motion,
    compare,
    held_out,
    lesson_of,
    mean_face,
    run,
    systems,
    take_lips,
    teacher_figures,
)
from backend.training.corpus.utterance import Phone, Utterance, save_corpus
from backend.training.teacher.articulation import Lesson
from backend.training.teacher.driven_mesh import lesson_lips
from shared.take import Take


def _utterance(seed: int) -> Utterance:
    """Noise bursts with made-up phones: nothing here depends on what is heard."""
    random = np.random.default_rng(seed)
    phones = [Phone(0.0, 0.3, "sil")]
    for label in ("m", "aa", "p", "iy", "f", "ow", "b", "ae"):
        start = phones[-1].end
        phones.append(Phone(start, start + float(random.uniform(0.07, 0.16)), label))
    phones.append(Phone(phones[-1].end, phones[-1].end + 0.3, "sil"))
    samples = random.normal(0.0, 2000.0, round(phones[-1].end * 16000)).astype(np.int16)
    return Utterance(f"clip{seed}", f"speaker{seed}", samples, tuple(phones))


UTTERANCES = [_utterance(seed) for seed in range(4)]
LIPS = mean_face().lips


def _still(audio: Audio, lesson: Lesson) -> np.ndarray:
    return linear_lips(LIPS, np.zeros_like(lesson.weights()))


def _perfect(audio: Audio, lesson: Lesson) -> np.ndarray:
    return lesson_lips(LIPS, lesson)[0]


def _shifted(audio: Audio, lesson: Lesson) -> np.ndarray:
    return _perfect(audio, lesson) + np.float32([0.0, 0.003, 0.004])


def test_errors_are_millimetres_of_distance_and_intervals_hold_them() -> None:
    compared: list[tuple[str, Motion]] = [
        ("still", _still), ("perfect", _perfect), ("shifted", _shifted),
    ]  # fmt: skip
    rows = {row.name: row for row in compare("real-test", UTTERANCES, compared).rows}
    assert rows["perfect"].largest == (0.0, 0.0, 0.0)
    # Every vertex is 5 mm off.
    for figure, value in (("largest", 5.0), ("mean", 5.0), ("squared", 25.0)):
        assert getattr(rows["shifted"], figure) == pytest.approx((value,) * 3, rel=1e-4)
    value, low, high = rows["still"].largest
    assert 2.0 < low < value < high and rows["still"].mean[0] < value
    assert rows["perfect"].sealed_gap < 0.1 and rows["shifted"].sealed_gap < 0.1


def test_weights_alone_leave_gaps_on_bilabials_that_fields_close() -> None:
    figures = teacher_figures(UTTERANCES)
    assert figures.reduction_mean > 0.4 and figures.reduction_max > 0.4
    assert figures.offsets_gap < 0.3 < figures.alone_gap
    assert figures.driven_crossing < 0.2 and figures.offsets_crossing < 0.2


def test_a_take_with_offsets_moves_the_lips_that_its_fields_say() -> None:
    face = mean_face()
    lesson = lesson_of(UTTERANCES[0])
    driven, linear = lesson_lips(face.lips, lesson)
    weights = lesson.weights()
    still = np.zeros((len(weights), 3), np.float32)
    take = Take(100.0, weights, still, still, face.neutral.astype(np.float32),
                np.array([[0, 1, 2]], np.int32))  # fmt: skip
    assert np.allclose(take_lips(take, True), linear, atol=1e-6)
    helped = replace(
        take,
        offset_basis=offset_basis(face.neutral),
        offset_weights=offset_targets(driven, linear, face.neutral),
    )
    assert np.allclose(take_lips(helped, False), linear, atol=1e-6)
    before, after = np.abs(linear - driven).max(), np.abs(take_lips(helped, True) - driven).max()
    assert after < 0.2 * before


def test_every_system_gives_a_motion_of_the_clip() -> None:
    utterance = UTTERANCES[1]
    lesson, audio = lesson_of(utterance), table.audio_of(utterance)
    compared = systems()
    assert {"no motion", "loudness", "the teacher's weights alone"} <= {n for n, _ in compared}
    for name, motion in compared:
        made = motion(audio, lesson)
        assert np.isfinite(made).all() and abs(len(made) - len(lesson.rest)) <= 2, name


def test_the_cache_is_read_and_cut_to_length(tmp_path: Path) -> None:
    save_corpus(UTTERANCES, tmp_path / "real-test")
    everything = held_out(tmp_path, 100.0)
    assert list(everything) == ["real-test"] and len(everything["real-test"]) == 4
    assert len(held_out(tmp_path, 2.0)["real-test"]) < 4


def test_without_a_cache_other_languages_are_spoken(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    spoken = held_out(tmp_path, 4.0)["espeak-held-out"]
    languages = {u.speaker.removeprefix("espeak:").split("+")[0] for u in spoken}
    assert languages <= set(table.held_out_languages())


def test_json_and_table_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_corpus(UTTERANCES[:2], tmp_path / "real-test")
    assert run(tmp_path, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["teacher"]["reduction"]["mean"] > 0.4
    names = [row["name"] for row in answer["student"][0]["rows"]]
    assert names[0] == "no motion" and any("with offsets" in name for name in names)
    assert run(tmp_path) == 0
    assert "with offsets" in capsys.readouterr().out


def test_the_picture_shows_both_lips(tmp_path: Path) -> None:
    save_picture(tmp_path / "lips.png")
    with Image.open(tmp_path / "lips.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    for colour in (LINEAR, DRIVEN):
        assert (pixels == colour).all(axis=2).sum() > 500
    assert [path.name for path in tmp_path.iterdir()] == ["lips.png"]
