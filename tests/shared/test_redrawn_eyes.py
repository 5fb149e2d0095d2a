# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes of a finished Take: drawn anew, taken out completely, and honest where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.arkit import ARKIT_NAMES, EYES, INDEX
from shared.performance.eyes import EyeProcess, eye_weights
from shared.performance.redrawn_eyes import EyesNote, redrawn
from shared.performance.style import StyleDials, restyle_take
from shared.take import Take, resample_take, slice_take

FPS = 60.0
FRAMES = 1200
NOTE = EyesNote(5, FPS, 1.0, 1.0, 0, FRAMES, (2.0, 6.5, 11.0, 15.2))
LOOKS = [INDEX[name] for name in ARKIT_NAMES if name.startswith("eyeLook")]
LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]


def made(note: EyesNote = NOTE) -> Take:
    """A Take of a mouth that moves, a voice that squints, and eyes."""
    weights = np.zeros((note.frames, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = 0.3 + 0.3 * np.sin(np.arange(note.frames) / 9.0)
    weights[:, INDEX["eyeSquintLeft"]] = 0.1
    still = np.zeros((note.frames, 3), np.float32)
    return Take(
        note.fps,
        np.minimum(weights + note.drawn(), 1.0),
        still,
        still,
        np.zeros((3, 3), np.float32),
        np.array([[0, 1, 2]], np.int32),
        meta={"eyes": note.as_meta()},
    )


def test_neutral_gives_the_very_same_take() -> None:
    take = made()
    assert redrawn(take, 1.0, 1.0) is take


def test_zero_removes_each_motion_completely() -> None:
    take = made()
    assert take.weights[:, LIDS].max() > 0.9 and take.weights[:, LOOKS].max() > 0.03
    neither = redrawn(take, 0.0, 0.0).weights
    assert not neither[:, LIDS + LOOKS].any()
    # The voice's own squint stays.
    assert np.allclose(neither[:, INDEX["eyeSquintLeft"]], 0.1, atol=1e-6)
    others = [INDEX[name] for name in ARKIT_NAMES if name not in EYES]
    assert np.array_equal(neither[:, others], take.weights[:, others])
    without_gaze = redrawn(take, 1.0, 0.0).weights
    assert not without_gaze[:, LOOKS].any() and without_gaze[:, LIDS].max() > 0.9
    without_blinks = redrawn(take, 0.0, 1.0).weights
    assert without_blinks[:, LIDS].max() < 0.1 and without_blinks[:, LOOKS].any()


@settings(max_examples=10, deadline=None)
@given(blinks=st.floats(0.1, 3.0), gaze=st.floats(0.1, 3.0))
def test_drawn_anew_is_as_drawn_at_once(blinks: float, gaze: float) -> None:
    """And what was turned can be turned back, as long as no dial was at its end."""
    later = redrawn(made(), blinks, gaze)
    at_once = made(replace(NOTE, blinks=blinks, gaze=gaze))
    assert np.abs(later.weights - at_once.weights).max() < 1e-5
    back = redrawn(later, 1.0 / blinks, 1.0 / gaze) if min(blinks, gaze) > 1 / 3 else None
    if back is not None and later.weights.max() < 1.0:
        assert np.abs(back.weights - made().weights).max() < 1e-4


@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, FRAMES - 30), length=st.integers(10, FRAMES))
def test_a_slice_knows_where_it_was_cut(start: int, length: int) -> None:
    part = slice_take(made(), start, start + length)
    found = redrawn(part, 2.0, 0.5)
    whole = redrawn(made(), 2.0, 0.5)
    expected = whole.weights[start : start + length]
    assert np.abs(found.weights - expected).max() < 1e-5


@pytest.mark.parametrize("fps", [24.0, 29.97, 120.0])
def test_another_frame_rate(fps: float) -> None:
    take = resample_take(made(), fps)
    assert not redrawn(take, 0.0, 0.0).weights[:, LIDS + LOOKS].any()
    expected = resample_take(redrawn(made(), 2.0, 2.0), fps).weights
    assert np.abs(redrawn(take, 2.0, 2.0).weights - expected).max() < 1e-5
    # Twice is too often: what the eyes were drawn from does not fit any more.
    assert "eyes" not in resample_take(take, 30.0).meta
    assert "eyes" not in slice_take(take, 3, 20).meta


@pytest.mark.parametrize(
    "eyes",
    [
        None,
        "much",
        {},
        {**NOTE.as_meta(), "frames": 99},
        {**NOTE.as_meta(), "first": -1},
        {**NOTE.as_meta(), "first": 10**12},
        {**NOTE.as_meta(), "fps": float("nan")},
        {**NOTE.as_meta(), "ends": "abc"},
        {**NOTE.as_meta(), "ends": ["a"]},
        {**NOTE.as_meta(), "blinks": -3.0},
    ],
)
def test_a_take_that_does_not_say(eyes: object) -> None:
    take = replace(made(), meta={"eyes": eyes})
    assert not redrawn(take, 0.0, 1.0).weights[:, LIDS].any()
    assert np.array_equal(redrawn(take, 2.0, 1.0).weights, take.weights)
    half = redrawn(take, 1.0, 0.5).weights
    assert np.allclose(half[:, LOOKS], 0.5 * take.weights[:, LOOKS])


def test_the_dials_of_style() -> None:
    styled = restyle_take(made(), StyleDials(blinks=0.0, gaze=0.0, articulation=0.0))
    assert not styled.weights[:, [*LIDS, *LOOKS, INDEX["jawOpen"]]].any()
    assert styled.meta["style"] == {"articulation": 0.0, "blinks": 0.0, "gaze": 0.0}


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(st.floats(0.0, 3.0), max_size=20),
    ends=st.lists(st.floats(0.0, 20.0), max_size=8),
    fps=st.sampled_from([24.0, 60.0]),
    blinks=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_phrase_ends_may_come_one_by_one(
    steps: list[float], ends: list[float], fps: float, blinks: float
) -> None:
    ends.sort()
    frames = int(20.0 * fps)
    whole = eye_weights(frames, fps, 9, blinks, 1.0, np.array(ends))
    process, known, parts = EyeProcess(fps, 9, blinks, 1.0), 0.0, []
    left = list(ends)
    for step in steps:
        known += step
        new = [end for end in left if end < known]
        left = left[len(new) :]
        parts.append(process.push(np.array(new), known))
        assert len(np.concatenate(parts)) >= int(known * fps)
    parts += [process.push(np.array(left), 0.0), process.finish(frames)]
    assert np.array_equal(np.concatenate(parts)[:frames], whole)
