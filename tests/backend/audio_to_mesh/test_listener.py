# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening in pieces: cuts change nothing, the future counts only so far, memory stays small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backend.audio.load import load_audio
from backend.audio.log_mel import frame_count, log_mel, normalise
from backend.audio.reference import references
from backend.audio_to_mesh.channels import CHANNELS, EVENTS
from backend.audio_to_mesh.curve_stream import LIVE_LOOK_AHEAD
from backend.audio_to_mesh.heard import Heard, no_frames
from backend.audio_to_mesh.listener import LIVE_HOP, Listener, hear
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.speaker import OFFSETS, SpeakerStyle, style_vector
from backend.samples import SPEECH

RATE = 16_000
VOICE = load_audio(SPEECH).samples[RATE : 3 * RATE]
# An example takes a second; shrinking one that fails would take minutes.
FEW = settings(max_examples=3, deadline=None, phases=(Phase.generate,))
AHEADS = {"file": None, "live": LIVE_LOOK_AHEAD}
# Half a feature window and a frame: what a frame needs beside the network's future.
_BESIDE = 3


@pytest.fixture(scope="module")
def model() -> MotionModel:
    """The shipped weights, with offsets that surely move and a style that surely counts."""
    loaded = MotionModel.load()
    torch.manual_seed(0)
    for layer in (loaded.network.lips.out, loaded.network.lips.modulation):
        torch.nn.init.normal_(layer.weight, std=0.05)
    torch.nn.init.normal_(loaded.network.offsets.direct.weight, std=0.01)
    return loaded


def listen(
    model: MotionModel, pieces: list[NDArray[np.float32]], ahead: int | None = None
) -> Heard:
    listener = Listener(model, None, ahead)
    return Heard.join([*(listener.push(piece) for piece in pieces), listener.finish()])


def assert_alike(one: Heard, two: Heard, frames: int | None = None, atol: float = 1e-4) -> None:
    for name in ("curves", "expected", "events", "offsets"):
        left, right = getattr(one, name)[:frames], getattr(two, name)[:frames]
        np.testing.assert_allclose(left, right, atol=atol, err_msg=name)


@pytest.mark.parametrize("kind", AHEADS)
@FEW
@given(cuts=st.lists(st.integers(0, len(VOICE)), max_size=5))
def test_cuts_change_nothing(model: MotionModel, kind: str, cuts: list[int]) -> None:
    whole = listen(model, [VOICE], AHEADS[kind])
    assert len(whole) == frame_count(len(VOICE))
    assert_alike(listen(model, np.split(VOICE, sorted(cuts)), AHEADS[kind]), whole)


def test_it_is_the_network_over_the_whole_clip_at_once(model: MotionModel) -> None:
    features = log_mel(VOICE)
    normal = normalise(features, references(features, model.profile))
    even = np.pad(normal, ((0, len(normal) % 2), (0, 0)))
    at_once = model.listen(even[None], style_vector())[0].slice(0, len(normal))
    assert_alike(hear(VOICE, model), at_once)
    assert at_once.curves.std() > 0.01


def test_long_clips_go_in_parts_without_seams(
    model: MotionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.audio_to_mesh import listener

    whole = hear(VOICE, model)
    monkeypatch.setattr(listener, "_PART", 34)
    assert_alike(hear(VOICE, model), whole)


@pytest.mark.parametrize("kind", AHEADS)
@FEW
@given(at=st.integers(RATE // 2, len(VOICE)), seed=st.integers(0, 9))
def test_only_the_near_future_counts(model: MotionModel, kind: str, at: int, seed: int) -> None:
    ahead = AHEADS[kind]
    other = VOICE.copy()
    other[at:] = np.random.default_rng(seed).normal(0.0, 0.2, len(VOICE) - at)
    reach = model.context + 1 if ahead is None else ahead + LIVE_HOP
    same = at // 160 - reach - _BESIDE
    assert_alike(
        listen(model, [VOICE], ahead), listen(model, [other], ahead), max(same, 0), atol=1e-4
    )


@pytest.mark.parametrize("kind", AHEADS)
def test_frames_come_as_soon_as_they_are_certain(model: MotionModel, kind: str) -> None:
    ahead = AHEADS[kind]
    listener = Listener(model, None, ahead)
    heard = 0
    reach = model.context + 3 if ahead is None else ahead + LIVE_HOP
    for piece in np.split(VOICE, range(640, len(VOICE), 640)):
        heard += len(listener.push(piece))
        received = listener._received
        assert heard >= received // 160 - reach - _BESIDE
    assert heard + len(listener.finish()) == frame_count(len(VOICE))


@pytest.mark.parametrize("kind", AHEADS)
@pytest.mark.parametrize("count", [0, 1, 159, 160, 161, 800, 1599])
def test_the_shortest_clips(model: MotionModel, kind: str, count: int) -> None:
    pieces = [VOICE[:0], VOICE[:count], VOICE[:0]]
    heard = listen(model, pieces, AHEADS[kind])
    shapes = (len(CHANNELS), len(CHANNELS), len(EVENTS), OFFSETS)
    arrays = (heard.curves, heard.expected, heard.events, heard.offsets)
    for array, columns in zip(arrays, shapes, strict=True):
        assert array.shape == (frame_count(count), columns) and np.isfinite(array).all()
    single = [VOICE[k : k + 1] for k in range(min(count, 200))] + [VOICE[200:count]]
    assert_alike(listen(model, single, AHEADS[kind]), heard)


def test_what_it_gives_is_in_range(model: MotionModel) -> None:
    heard = hear(VOICE, model)
    for array in (heard.curves, heard.expected, heard.events):
        assert array.dtype == np.float32 and array.min() >= -1e-6 and array.max() <= 1 + 1e-6
    assert len(no_frames()) == 0
    assert_alike(Heard.join([no_frames(), heard]), heard)


def test_style_is_heard_from_the_first_frame_to_the_last(model: MotionModel) -> None:
    plain = hear(VOICE, model)
    mumbled = hear(VOICE, model, style_vector(SpeakerStyle(effort=-1.0)))
    # What is recognised does not depend on who speaks, only what the face does.
    np.testing.assert_allclose(mumbled.events, plain.events, atol=1e-5)
    changed = np.abs(mumbled.curves - plain.curves).max(axis=1) > 1e-7
    assert changed.all()


@pytest.mark.parametrize("kind", AHEADS)
def test_memory_does_not_grow(model: MotionModel, kind: str) -> None:
    listener = Listener(model, None, AHEADS[kind])
    kept = []
    for _ in range(3):
        for piece in np.split(VOICE, 4):
            listener.push(piece)
        arrays = [value for value in vars(listener).values() if isinstance(value, np.ndarray)]
        kept.append(sum(a.nbytes for a in arrays) + sum(a.nbytes for a in listener._block))
    assert kept[2] <= kept[1] + 60_000 and kept[2] < 1_000_000
