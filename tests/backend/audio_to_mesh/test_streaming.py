# SPDX-License-Identifier: GPL-3.0-or-later
"""A voice in pieces gives the whole recording's motion; live lips hear a quarter of a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backend.audio.load import Audio, load_audio
from backend.audio_to_mesh.animate import animate
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import AnimateSettings
from backend.audio_to_mesh.speaker import OFFSETS
from backend.audio_to_mesh.streaming import MotionChunk, StreamingAnimator, take_length
from backend.samples import SPEECH
from shared.errors import ErrorKind, VividKeysError

RATE = 16_000
VOICE = load_audio(SPEECH).samples[RATE : 3 * RATE + 1000]
# An example takes a second; shrinking one that fails would take minutes.
FEW = settings(max_examples=3, deadline=None, phases=(Phase.generate,))
CURVES = ("weights", "head_rotation", "head_translation", "offset_weights")
LIPS_ONLY = {"blinks": 0.0, "gaze": 0.0, "head_motion": 0.0}
LIVE_SECONDS = 0.25


@pytest.fixture(scope="module")
def model() -> MotionModel:
    """The shipped weights, with offsets that surely move."""
    loaded = MotionModel.load()
    torch.manual_seed(0)
    torch.nn.init.normal_(loaded.network.offsets.direct.weight, std=0.01)
    return loaded


def stream(
    model: MotionModel,
    pieces: Sequence[NDArray[np.floating]],
    live: bool = False,
    fps: float = 60.0,
    **dials: float,
) -> dict[str, NDArray[np.float32]]:
    """All frames, joined; they come in order and without gaps."""
    animator = StreamingAnimator(model, AnimateSettings(seed=3, fps=fps, **dials), live=live)
    chunks: list[MotionChunk] = []
    for chunk in [*(animator.push(piece) for piece in pieces), animator.finish()]:
        if chunk is not None:
            assert len(chunk) > 0 and chunk.start_frame == sum(map(len, chunks))
            assert all(len(getattr(chunk, name)) == len(chunk) for name in CURVES)
            chunks.append(chunk)
    return {name: np.concatenate([getattr(c, name) for c in chunks]) for name in CURVES}


def assert_alike(
    one: dict[str, NDArray[np.float32]],
    two: dict[str, NDArray[np.float32]],
    frames: int | None = None,
) -> None:
    for name in CURVES:
        np.testing.assert_allclose(one[name][:frames], two[name][:frames], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("live", [False, True])
@FEW
@given(
    cuts=st.lists(st.integers(0, len(VOICE)), max_size=8),
    fps=st.sampled_from([24.0, 29.97, 60.0, 120.0]),
)
def test_cuts_change_nothing(model: MotionModel, live: bool, cuts: list[int], fps: float) -> None:
    whole = stream(model, [VOICE], live, fps)
    assert len(whole["weights"]) == take_length(len(VOICE), fps)
    assert_alike(stream(model, np.split(VOICE, sorted(cuts)), live, fps), whole)


@pytest.mark.parametrize("live", [False, True])
def test_pieces_of_forty_milliseconds(model: MotionModel, live: bool) -> None:
    pieces = np.split(VOICE, range(640, len(VOICE), 640))
    whole = stream(model, [VOICE], live, parted=0.5, effort=0.3)
    assert_alike(stream(model, pieces, live, parted=0.5, effort=0.3), whole)
    assert whole["weights"].std(axis=0).max() > 0.05
    assert whole["offset_weights"].shape[1] == OFFSETS and whole["offset_weights"].any()
    assert whole["head_rotation"].any()


def test_a_file_goes_the_same_way(model: MotionModel) -> None:
    take = animate(Audio(VOICE), model, AnimateSettings(seed=3))
    streamed = stream(model, np.array_split(VOICE, 7))
    for name in CURVES:
        np.testing.assert_allclose(getattr(take, name), streamed[name], atol=1e-4, err_msg=name)


@FEW
@given(at=st.integers(RATE // 2, len(VOICE) - RATE // 4), seed=st.integers(0, 9))
def test_live_lips_hear_a_quarter_of_a_second(model: MotionModel, at: int, seed: int) -> None:
    """Other sound later than that after a frame leaves its lips as they are."""
    other = VOICE.copy()
    other[at:] = np.random.default_rng(seed).normal(0.0, 0.2, len(VOICE) - at)
    one, two = (stream(model, [v], True, **LIPS_ONLY) for v in (VOICE, other))
    same = int(np.floor((at / RATE - LIVE_SECONDS) * 60.0)) + 1
    assert_alike(one, two, same)
    assert np.abs(one["weights"] - two["weights"]).max() > 0.02


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_live_lips_are_there_within_a_quarter_of_a_second(model: MotionModel, fps: float) -> None:
    animator = StreamingAnimator(model, AnimateSettings(fps=fps, **LIPS_ONLY), live=True)
    sent, pushed = 0, 0
    for piece in np.split(VOICE[:RATE], range(160, RATE, 160)):
        chunk = animator.push(piece)
        pushed += len(piece)
        sent += 0 if chunk is None else len(chunk)
        assert sent / fps >= pushed / RATE - LIVE_SECONDS - 1e-9


def test_live_head_and_eyes_come_later_but_are_those_of_the_file(model: MotionModel) -> None:
    file, live = (stream(model, [VOICE], live) for live in (False, True))
    rotation = live["head_rotation"]
    late = int(np.flatnonzero(np.abs(rotation).max(axis=1) > 1e-9)[0])
    early = int(np.flatnonzero(np.abs(file["head_rotation"]).max(axis=1) > 1e-9)[0])
    assert 30 < late - early < 75
    shift = late - early
    np.testing.assert_allclose(rotation[shift:], file["head_rotation"][:-shift], atol=1e-6)


@pytest.mark.parametrize("live", [False, True])
def test_a_longer_recording_begins_like_a_shorter_one(model: MotionModel, live: bool) -> None:
    short = VOICE[: round(1.8 * RATE)]
    dials = LIPS_ONLY if live else {}
    one, two = (stream(model, [v], live, **dials) for v in (short, VOICE))
    assert_alike(one, two, int((1.8 - (LIVE_SECONDS if live else 1.2)) * 60.0))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("count", [0, 1, 7, 160, 800])
def test_the_shortest_recordings(model: MotionModel, live: bool, count: int) -> None:
    whole = stream(model, [VOICE[:count]], live)
    frames = max(int(np.ceil(count / RATE * 60.0 - 1e-6)), 1)
    assert whole["weights"].shape == (frames, 52) == (take_length(count, 60.0), 52)
    assert whole["offset_weights"].shape == (frames, OFFSETS)
    assert all(np.isfinite(rows).all() for rows in whole.values())
    assert whole["weights"].min() >= 0.0 and whole["weights"].max() <= 1.0
    empty = VOICE[:0]
    single = [VOICE[k : k + 1] for k in range(min(count, 50))]
    assert_alike(stream(model, [empty, *single, empty, VOICE[len(single) : count]], live), whole)


def test_empty_pieces_give_nothing(model: MotionModel) -> None:
    animator = StreamingAnimator(model)
    assert animator.push(VOICE[:0]) is None
    chunk = animator.finish()
    assert chunk is not None and len(chunk) == 1


@pytest.mark.parametrize(
    "bad",
    [
        np.array([0.0, np.nan]),
        np.array([np.inf]),
        np.zeros((2, 800), np.float32),
        np.float32(0.0),
    ],
)
def test_what_is_no_mono_sound_is_refused_and_does_no_harm(
    model: MotionModel, bad: NDArray[np.floating]
) -> None:
    animator = StreamingAnimator(model, AnimateSettings(seed=3))
    first = animator.push(VOICE[:RATE])
    with pytest.raises(VividKeysError) as error:
        animator.push(bad)
    assert error.value.kind == ErrorKind.BAD_REQUEST
    rest = animator.finish()
    chunks = [chunk for chunk in (first, rest) if chunk is not None]
    whole = stream(model, [VOICE[:RATE]])
    found = np.concatenate([chunk.weights for chunk in chunks])
    np.testing.assert_allclose(found, whole["weights"], atol=1e-4)


def test_nothing_is_taken_after_the_end(model: MotionModel) -> None:
    animator = StreamingAnimator(model)
    animator.push(VOICE[:1600])
    assert animator.finish() is not None
    with pytest.raises(VividKeysError) as error:
        animator.push(VOICE[:1600])
    assert error.value.kind == ErrorKind.BAD_REQUEST


def test_other_kinds_of_numbers_are_the_same_sound(model: MotionModel) -> None:
    whole = stream(model, [VOICE[:8000]])
    assert_alike(stream(model, [VOICE[:8000].astype(np.float64)]), whole)


def test_what_is_kept_does_not_grow(model: MotionModel) -> None:
    animator = StreamingAnimator(model)
    kept = []
    for _ in range(3):
        for piece in np.array_split(VOICE, 3):
            animator.push(piece)
        mouth = animator._mouth
        rows = sum(len(part) for waiting in animator._waiting for part in waiting)
        kept.append(rows + len(mouth._heard) + len(mouth._decoded))
    assert kept[2] <= kept[1] + 60 and kept[2] < 600
