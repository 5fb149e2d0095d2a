# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped network speaks in another manner when it is told to."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.audio.load import Audio, load_audio
from backend.audio_to_mesh.animate import AnimateSettings, animate
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.speaker import STYLE_SIZE, SpeakerStyle, style_vector
from backend.samples import SPEECH
from shared.arkit import INDEX
from shared.lips import CLOSED, aperture


@cache
def spoken(effort: float = 0.0, jaw_share: float = 0.0, parted: float = 0.0) -> NDArray[np.float32]:
    """Mouth curves [T, 52] of the sample voice."""
    settings = AnimateSettings(
        blinks=0.0, gaze=0.0, head_motion=0.0, effort=effort, jaw_share=jaw_share, parted=parted
    )
    return animate(load_audio(SPEECH), MotionModel.load(), settings).weights


def spread(weights: NDArray[np.float32], name: str) -> float:
    return float(weights[:, INDEX[name]].std())


def test_who_speaks_crisply_moves_more_than_who_mumbles() -> None:
    speeds = [np.abs(np.diff(aperture(spoken(effort=e).T))).mean() for e in (-1.0, 0.0, 1.0)]
    assert speeds[0] < 0.96 * speeds[1] < 0.96 * 0.99 * speeds[2]


def test_lips_and_jaw_share_the_work() -> None:
    lips, jaw = spoken(jaw_share=-1.0), spoken(jaw_share=1.0)
    assert spread(lips, "jawOpen") < 0.9 * spread(jaw, "jawOpen")
    assert spread(lips, "mouthLowerDownLeft") > 1.3 * spread(jaw, "mouthLowerDownLeft")
    opening = [aperture(weights.T).mean() for weights in (lips, spoken(), jaw)]
    assert max(opening) < 1.2 * min(opening)


def test_no_manner_keeps_lips_apart_on_closures() -> None:
    """What is sealed in the usual manner is sealed in every other."""
    usual = spoken()
    sealed = usual[:, INDEX["mouthClose"]] > 0.95 * usual[:, INDEX["jawOpen"]]
    sealed &= usual[:, INDEX["mouthClose"]] > 0.01
    assert sealed.sum() > 10
    reference = np.median(aperture(usual.T)[aperture(usual.T) > 0.05])
    for manner in ({"effort": -1.0}, {"effort": 1.0}, {"jaw_share": -1.0}, {"parted": 1.0}):
        assert (aperture(spoken(**manner).T)[sealed] < CLOSED * reference).all(), manner


def test_parted_lips_stay_apart_in_pauses_only() -> None:
    silent = np.zeros(16000, np.float32)
    settings = AnimateSettings(blinks=0.0, gaze=0.0, head_motion=0.0)
    model = MotionModel.load()
    shut = animate(Audio(silent), model, settings).weights
    apart = animate(
        Audio(silent), model, AnimateSettings(blinks=0.0, gaze=0.0, head_motion=0.0, parted=1.0)
    ).weights
    assert shut.max() < 0.02
    assert (apart[:, INDEX["jawOpen"]] > 0.05).all()


def test_the_style_vector_is_limited() -> None:
    vector = style_vector(SpeakerStyle(5.0, -5.0, 5.0), np.full(8, 40.0, np.float32))
    assert vector.shape == (STYLE_SIZE,)
    assert vector[:3] == pytest.approx([1.0, -1.0, 1.0]) and (vector[3:] == 3.0).all()
