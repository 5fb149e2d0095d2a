# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound that is not a clean voice: finite, shut or plausible, never flapping."""

from __future__ import annotations

import numpy as np
import pytest

from backend.audio_to_mesh.motion_model import MotionModel
from backend.evaluation.bad_input import (
    Calmness,
    bad_inputs,
    calmness,
    evaluate_bad_input,
    openings,
)
from shared.arkit import INDEX


@pytest.fixture(scope="module")
def rows() -> dict[str, Calmness]:
    return {row.name: row for row in evaluate_bad_input(MotionModel.load(), seconds=3.0)}


def test_everything_is_finite(rows: dict[str, Calmness]) -> None:
    assert len(rows) == 21 and all(row.finite for row in rows.values())


def test_silence_is_shut(rows: dict[str, Calmness]) -> None:
    assert rows["silence"].open_share == 0.0 and rows["silence"].largest_jaw < 0.05


@pytest.mark.parametrize("name", ["silence", "mains hum", "white", "pink"])
def test_noise_does_not_flap(rows: dict[str, Calmness], name: str) -> None:
    for row in rows.values():
        if row.name.startswith(name):
            assert row.openings < 0.5, row


def test_a_voice_is_followed(rows: dict[str, Calmness]) -> None:
    assert rows["clean voice"].likeness == pytest.approx(1.0)
    assert rows["clean voice"].openings > 0.5 and rows["clean voice"].largest_jaw > 0.1
    for name in ("dead channel", "voice with DC offset", "telephone, 8 kHz"):
        likeness = rows[name].likeness
        assert likeness is not None and likeness > 0.6, rows[name]


def test_inputs_are_what_they_say() -> None:
    inputs = {each.name: each for each in bad_inputs(2.0)}
    again = {each.name: each for each in bad_inputs(2.0)}
    for name, each in inputs.items():
        assert each.samples.dtype == np.float32 and np.isfinite(each.samples).all()
        np.testing.assert_array_equal(each.samples, again[name].samples)
    assert len(inputs["one sample"].samples) == 1 and len(inputs["50 ms of voice"].samples) == 800
    loud = inputs["pink noise, -15 dB"].samples
    assert 20 * np.log10(loud.std()) == pytest.approx(-15.0, abs=0.5)
    late = inputs["voice after 30 s silence"].samples
    assert not late[: 30 * 16_000].any() and late[30 * 16_000 :].any()
    assert inputs["voice clipped, gain 30"].samples.max() == 1.0


def test_openings_are_counted_with_patience() -> None:
    assert openings(np.array([0, 0.06, 0.04, 0.06, 0.02, 0.06, 0.3])) == 2
    assert openings(np.zeros(5)) == 0 and openings(np.array([0.2])) == 1
    weights = np.zeros((120, 52), np.float32)
    weights[60:, INDEX["jawOpen"]] = 0.5
    found = calmness("half", weights, np.linspace(0.0, 1.0, 120))
    assert (found.open_share, found.openings, found.largest_jaw) == (0.5, 0.5, 0.5)
    assert found.likeness is not None and 0.8 < found.likeness < 0.9
    weights[3] = np.nan
    assert not calmness("broken", weights).finite
