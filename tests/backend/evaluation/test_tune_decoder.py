# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from backend.audio_to_mesh.motion_model import MotionModel
from backend.evaluation import tune_decoder
from backend.models import shipped_weights

pytest.importorskip("espeakng_loader", reason="espeakng-loader makes the labelled speech")


def test_the_chosen_thresholds_are_kept_and_the_network_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.training.corpus.espeak import speak
    from backend.training.held_out import write_recording

    write_recording(speak("Maybe Bob and Pam bump my map.", "en-us", 160, 50, 50), tmp_path / "set")
    weights = tmp_path / "motion.safetensors"
    shutil.copy(shipped_weights()["motion"], weights)
    # Nothing is certain enough for the first of these, so the second must win.
    monkeypatch.setattr(tune_decoder, "ON", (1.01, 0.4))
    monkeypatch.setattr(tune_decoder, "OFF_SHARE", (0.5,))
    chosen = tune_decoder.tune(weights, [tmp_path / "set"])
    assert (chosen.seal_on, chosen.seal_off) == (0.4, 0.2)
    assert MotionModel.load(weights).decoder == chosen
    before, after = load_file(shipped_weights()["motion"]), load_file(weights)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
