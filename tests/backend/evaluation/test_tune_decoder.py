# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.table import Table

from backend.audio_to_mesh.decoder_settings import SHIPPED_DECODER, decoder_beside
from backend.audio_to_mesh.motion_model import MotionModel
from backend.evaluation import tune_decoder
from backend.models import shipped_weights

pytest.importorskip("espeakng_loader", reason="espeakng-loader makes the labelled speech")


def _copied(weights: Path) -> None:
    """The shipped weights and their decoder's values under this name."""
    shutil.copy(shipped_weights()["motion"], weights)
    shutil.copy(SHIPPED_DECODER, decoder_beside(weights))


def test_the_chosen_thresholds_are_kept_and_the_network_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.training.corpus.espeak import speak
    from backend.training.corpus.held_out import write_recording

    write_recording(speak("Maybe Bob and Pam bump my map.", "en-us", 160, 50, 50), tmp_path / "set")
    weights = tmp_path / "motion.safetensors"
    _copied(weights)
    monkeypatch.setattr(tune_decoder, "ON", (0.4,))
    monkeypatch.setattr(tune_decoder, "OFF_SHARE", (0.5,))
    tables: list[Table] = []
    chosen = tune_decoder.tune(weights, [tmp_path / "set"], tables.append)
    assert (chosen.seal_on, chosen.seal_off) == (0.4, 0.2)
    assert chosen.expected in tune_decoder.EXPECTED
    assert [table.row_count for table in tables] == [1, len(tune_decoder.EXPECTED)]
    assert MotionModel.load(weights).decoder == chosen
    assert weights.read_bytes() == shipped_weights()["motion"].read_bytes()


def _merit(closures: float, opening: float) -> tune_decoder.Merit:
    return tune_decoder.Merit(closures, opening, ())


def test_the_share_of_the_expected_pose_serves_the_opening_but_loses_no_closures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "motion.safetensors"
    _copied(weights)
    worth = {0.0: (0.8, 0.7), 0.2: (0.799, 0.75), 0.4: (0.796, 0.8), 0.5: (0.7, 0.95)}
    monkeypatch.setattr(tune_decoder, "merit", lambda _, s: _merit(*worth[s.expected]))
    monkeypatch.setattr(tune_decoder, "_table", lambda *_: None)
    assert tune_decoder.tune(weights, []).expected == 0.4
    worth[0.4] = (0.79, 0.8)
    assert tune_decoder.tune(weights, []).expected == 0.2


def test_thresholds_that_open_the_mouth_better_win_among_equal_closures() -> None:
    worth = [_merit(0.800, 0.70), _merit(0.797, 0.80), _merit(0.780, 0.99)]
    assert tune_decoder._best(worth) == 1
