# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes and head while somebody speaks: cuts change nothing, and the future counts only so far."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backend.audio.load import load_audio
from backend.audio_to_mesh.blinks import LOOK_AHEAD as EYES_LOOK_AHEAD
from backend.audio_to_mesh.blinks import EyesStream, blink_weights
from backend.audio_to_mesh.head_motion import LOOK_AHEAD as HEAD_LOOK_AHEAD
from backend.audio_to_mesh.head_motion import HeadMotionStream, head_motion
from backend.audio_to_mesh.loudness import PhraseStream, loudness, phrase_ends, voice_and_speech
from backend.samples import SPEECH

SECONDS = 20.0
RATE = 16_000
FEW = settings(max_examples=8, deadline=None)


def voice() -> NDArray[np.float32]:
    """The sample twice, the second time quieter and over room noise."""
    once = load_audio(SPEECH).samples
    noise = np.random.default_rng(0).normal(0.0, 0.002, len(once)).astype(np.float32)
    return np.concatenate([once, np.float32(0.3) * once + noise])[: round(SECONDS * RATE)]


VOICE = voice()


def eyes(pieces: list[NDArray[np.float32]], fps: float, frames: int) -> NDArray[np.float32]:
    stream = EyesStream(fps, 3)
    parts = [stream.push(piece) for piece in pieces]
    parts.append(stream.finish(frames))
    return np.concatenate(parts)


def head(pieces: list[NDArray[np.float32]], fps: float, frames: int) -> NDArray[np.float32]:
    """Rotation and translation [frames, 6]."""
    stream = HeadMotionStream(fps, 3, 1.0)
    parts = [stream.push(piece) for piece in pieces]
    parts.append(stream.finish(frames))
    return np.concatenate([np.hstack(part) for part in parts])


@FEW
@given(
    cuts=st.lists(st.integers(0, len(VOICE)), max_size=60),
    fps=st.sampled_from([23.976, 25.0, 60.0, 120.0]),
)
def test_cuts_change_nothing(cuts: list[int], fps: float) -> None:
    pieces = np.split(VOICE, sorted(cuts))
    frames = round(SECONDS * fps)
    for made in (eyes, head):
        whole, cut = made([VOICE], fps, frames), made(pieces, fps, frames)
        assert cut.shape == whole.shape == (frames, whole.shape[1])
        assert np.abs(cut - whole).max() < 1e-6
        assert whole.std(axis=0).max() > 1e-3


def test_pieces_of_a_few_milliseconds() -> None:
    short = VOICE[: 4 * RATE]
    pieces = np.split(short, range(77, len(short), 77))
    for made in (eyes, head):
        assert np.abs(made(pieces, 60.0, 240) - made([short], 60.0, 240)).max() < 1e-6


def test_the_functions_are_the_streams() -> None:
    frames = round(SECONDS * 60.0)
    ends = phrase_ends(VOICE)
    assert len(ends) >= 2
    assert np.array_equal(blink_weights(frames, 60.0, 3, 1.0, ends), eyes([VOICE], 60.0, frames))
    rotation, translation = head_motion(VOICE, 60.0, frames, 3, 1.0)
    assert np.array_equal(np.hstack([rotation, translation]), head([VOICE], 60.0, frames))


def test_look_aheads_are_bounded() -> None:
    assert EYES_LOOK_AHEAD < 0.7
    assert HEAD_LOOK_AHEAD < 1.0


@FEW
@given(at=st.floats(2.0, SECONDS - 2.0), seed=st.integers(0, 99))
def test_only_the_near_future_counts(at: float, seed: int) -> None:
    """Other sound later than the look-ahead after a frame leaves the frame as it is."""
    random = np.random.default_rng(seed)
    other = VOICE.copy()
    start = round(at * RATE)
    other[start:] = random.normal(0.0, random.choice([0.0, 0.01, 0.3]), len(other) - start)
    frames = round(SECONDS * 60.0)
    for made, ahead in ((eyes, EYES_LOOK_AHEAD), (head, HEAD_LOOK_AHEAD)):
        one, two = made([VOICE], 60.0, frames), made([other], 60.0, frames)
        same = int((at - ahead) * 60.0)
        assert np.abs(one[:same] - two[:same]).max() < 1e-6
        if made is head:
            assert np.abs(one - two).max() > 1e-3


@FEW
@given(pushed=st.floats(0.0, SECONDS))
def test_frames_come_as_soon_as_promised(pushed: float) -> None:
    samples = VOICE[: round(pushed * RATE)]
    due = (len(samples) / RATE - HEAD_LOOK_AHEAD - 0.31) * 60.0
    assert len(HeadMotionStream(60.0, 3, 1.0).push(samples)[0]) >= due
    stream = HeadMotionStream(60.0, 3, 0.0, initial=(0.1, 0.0, 0.0))
    assert len(stream.push(samples)[0]) <= max(len(samples) / RATE * 60.0, 1.0)
    eyes_due = (len(samples) / RATE - EYES_LOOK_AHEAD - 0.01) * 60.0
    assert len(EyesStream(60.0, 3).push(samples)) >= eyes_due


@FEW
@given(seconds=st.floats(1.5, SECONDS - 1.0))
def test_a_longer_clip_begins_like_a_shorter_one(seconds: float) -> None:
    short = VOICE[: round(seconds * RATE)]
    frames = round(SECONDS * 60.0)
    for made, ahead in ((eyes, EYES_LOOK_AHEAD), (head, HEAD_LOOK_AHEAD)):
        same = int((seconds - ahead) * 60.0)
        one, two = made([VOICE], 60.0, frames), made([short], 60.0, round(seconds * 60.0))
        assert np.abs(one[:same] - two[:same]).max(initial=0.0) < 1e-6


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_nothing_was_said(frames: int) -> None:
    assert eyes([], 60.0, frames).shape == (frames, 52)
    assert head([], 60.0, frames).shape == (frames, 6)


def test_still_head_goes_on_from_its_pose() -> None:
    stream = HeadMotionStream(30.0, 1, 0.0, initial=(0.1, 0.0, -0.05))
    parts = [*(stream.push(piece)[0] for piece in np.split(VOICE, 5)), stream.finish(600)[0]]
    found = np.concatenate(parts)
    assert found.shape == (600, 3) and (found == np.float32((0.1, 0.0, -0.05))).all()


def test_memory_does_not_grow() -> None:
    """What streams keep after a minute is what they keep after half a minute."""
    sizes = []
    streams = EyesStream(60.0, 3), HeadMotionStream(60.0, 3, 1.0)
    for _ in range(3):
        for stream in streams:
            for piece in np.split(VOICE, 40):
                stream.push(piece)
        sizes.append(sum(_kept(stream) for stream in streams))
    assert sizes[2] < 1.3 * sizes[0] + 2000


def _kept(value: object, depth: int = 0) -> int:
    """Bytes of the arrays and lists that an object holds, without the shared model."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, list):
        return 8 * len(value)
    if depth > 5 or not hasattr(value, "__dict__"):
        return 0
    return sum(_kept(v, depth + 1) for k, v in vars(value).items() if k != "_model")


def test_the_voice_is_followed() -> None:
    """A speaker who becomes quieter is still heard; steady noise is not taken for a voice."""
    once = load_audio(SPEECH).samples
    level = loudness(np.concatenate([once, np.tile(np.float32(0.2) * once, 2)]))
    voice_level, active = voice_and_speech(level)
    assert len(voice_level) == len(active) == len(level)
    assert voice_level[-1] < 0.6 * voice_level[1200]
    assert 0.7 < active[1300:].mean() < 0.97
    noise = np.random.default_rng(1).normal(0.0, 0.001, 10 * RATE).astype(np.float32)
    assert not voice_and_speech(loudness(noise))[1].any()
    level, _ = voice_and_speech(loudness(np.concatenate([VOICE, noise])))
    assert level[-1] > 0.25 * level[1999]


def test_phrase_ends_come_in_order() -> None:
    stream = PhraseStream()
    found: list[float] = []
    for piece in np.split(VOICE, 200):
        ends = stream.push(piece)
        assert all(end >= max(found, default=0.0) for end in ends)
        found += ends.tolist()
        assert all(end < stream.known_until + 1e-9 for end in found)
    found += stream.finish().tolist()
    assert found == phrase_ends(VOICE).tolist()
