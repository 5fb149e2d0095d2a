# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding: contact where it belongs, sharp and calm, the same in pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.audio_to_mesh import decoder
from backend.audio_to_mesh.channels import CHANNEL, CHANNELS, EVENTS, spread_channels
from backend.audio_to_mesh.contact import apply_contacts
from backend.audio_to_mesh.decoder import BEHIND, at_frame_rate, hysteresis
from backend.audio_to_mesh.decoder_settings import PLAIN_GAINS, DecoderSettings, shipped_decoder
from backend.audio_to_mesh.heard import Heard, no_frames
from backend.audio_to_mesh.speaker import OFFSETS
from shared.arkit import ARKIT_NAMES, INDEX

SETTINGS = shipped_decoder()
BOTH = {"file": SETTINGS, "live": SETTINGS.live()}


def decode(
    curves: np.ndarray, events: np.ndarray, settings: DecoderSettings, **dials: float
) -> np.ndarray:
    """Weights [T, 52] where the phones agree with the curves."""
    offsets = np.zeros((len(curves), OFFSETS), np.float32)
    rows = decoder.decode(Heard(curves, curves, events, offsets), settings, **dials)
    assert rows.shape == (len(curves), len(ARKIT_NAMES) + OFFSETS)
    return rows[:, : len(ARKIT_NAMES)]


def _anything(frames: int, seed: int) -> Heard:
    """Events that come, linger and go, over curves that wander."""
    random = np.random.default_rng(seed)

    def wander(columns: int, speed: int) -> np.ndarray:
        noise = random.standard_normal((frames + 50, columns))
        kernel = np.hanning(speed + 2)[1:-1]
        rows = [
            np.convolve(column, kernel / np.sqrt((kernel**2).sum()), "same") for column in noise.T
        ]
        return np.array(rows).T[25:-25]

    curves, expected = (
        np.clip(0.3 + 0.2 * wander(len(CHANNELS), 9), 0.0, 1.0).astype(np.float32) for _ in range(2)
    )
    logits = 2.0 * wander(3, int(random.choice([1, 3, 9, 25]))) + random.uniform(-2.5, 1.0)
    # Long plateaus: a certain frame whose event lasts longer than anything may look.
    plateaus = np.repeat(random.integers(0, 3, (frames // 40 + 1, 3)), 40, axis=0)[:frames]
    logits = np.where(plateaus == 2, np.clip(logits, -0.8, -0.5), logits)
    events = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    return Heard(curves, expected, events, wander(OFFSETS, 5).astype(np.float32))


def _open_mouth(frames: int) -> np.ndarray:
    curves = np.zeros((frames, len(CHANNELS)), np.float32)
    curves[:, CHANNEL["jawOpen"]] = 0.4
    curves[:, CHANNEL["mouthFunnel"]] = 0.2
    curves[:, CHANNEL["mouthLowerDown"]] = 0.2
    curves[:, CHANNEL["browInnerUp"]] = 0.1
    return curves


def _events(frames: int, **runs: tuple[int, int]) -> np.ndarray:
    events = np.full((frames, 3), 0.01, np.float32)
    for name, (start, stop) in runs.items():
        events[start:stop, EVENTS.index(name)] = 0.95
    return events


def _gap(weights: np.ndarray) -> np.ndarray:
    return (
        weights[:, INDEX["jawOpen"]]
        - weights[:, INDEX["mouthClose"]]
        + 0.375 * weights[:, INDEX["mouthFunnel"]]
        + 0.2 * weights[:, INDEX["mouthLowerDownLeft"]]
    )


def test_a_bilabial_seals_sharply_and_opens_again() -> None:
    weights = decode(_open_mouth(200), _events(200, bilabial=(100, 108)), SETTINGS)
    gap = _gap(weights)
    assert np.abs(gap[100:108]).max() < 1e-6
    np.testing.assert_allclose(
        weights[100:108, INDEX["jawOpen"]], weights[100:108, INDEX["mouthClose"]]
    )
    assert gap[92] > 0.3 and gap[116] > 0.3
    assert (weights[:, INDEX["mouthClose"]] <= weights[:, INDEX["jawOpen"]] + 1e-7).all()


def test_a_very_short_bilabial_is_held_long_enough_to_be_seen_at_24_frames_a_second() -> None:
    for start in range(100, 112):
        events = _events(200, bilabial=(start, start + 2))
        weights = decode(_open_mouth(200), events, SETTINGS)
        assert _gap(at_frame_rate(weights, 0, 0, 48, 24.0)).min() < 0.06


def test_a_single_uncertain_frame_narrows_but_does_not_seal() -> None:
    events = _events(200)
    events[100, 0] = SETTINGS.seal_on - 0.02
    weights = decode(_open_mouth(200), events, SETTINGS)
    assert (weights[:, INDEX["mouthClose"]] == 0.0).all()
    gap = _gap(weights)
    assert gap[100] < 0.8 * gap[50] and gap.min() > 0.4 * gap[50]
    np.testing.assert_allclose(gap[110:150], gap[50], rtol=1e-4)


def test_silence_shuts_the_mouth_but_not_the_brows_and_short_gaps_do_not() -> None:
    weights = decode(_open_mouth(400), _events(400, silence=(100, 300)), SETTINGS)
    assert _gap(weights)[110:290].max() < 1e-6
    raised = 0.1 * SETTINGS.gains[CHANNEL["browInnerUp"]]
    assert weights[200, INDEX["browInnerUp"]] == pytest.approx(raised)
    assert _gap(weights)[:95].min() > 0.3
    short = decode(_open_mouth(400), _events(400, silence=(100, 112)), SETTINGS)
    assert _gap(short).min() > 0.3


def test_a_labiodental_tucks_without_sealing() -> None:
    weights = decode(_open_mouth(200), _events(200, labiodental=(100, 110)), SETTINGS)
    assert weights[105, INDEX["mouthRollLower"]] > 0.4
    assert weights[50, INDEX["mouthRollLower"]] < 0.01
    assert 0.02 < _gap(weights)[105] < 0.2


FEW = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize("kind", BOTH)
@FEW
@given(seed=st.integers(0, 10_000), at=st.integers(0, 399))
def test_the_future_counts_only_as_far_as_promised(kind: str, seed: int, at: int) -> None:
    chosen = BOTH[kind]
    heard, other = _anything(400, seed), _anything(400, seed + 1)
    mixed = Heard.join([heard.slice(0, at), other.slice(at, 400)])
    one, two = decoder.decode(heard, chosen), decoder.decode(mixed, chosen)
    same = max(at - chosen.ahead, 0)
    np.testing.assert_allclose(two[:same], one[:same], atol=1e-6)
    # The end of what was heard so far counts as any other future does.
    cut = decoder.decode(heard.slice(0, at), chosen)
    np.testing.assert_allclose(cut[:same], one[:same], atol=1e-6)


@pytest.mark.parametrize("kind", BOTH)
@FEW
@given(seed=st.integers(0, 10_000), start=st.integers(0, 500), length=st.integers(1, 200))
def test_pieces_equal_the_whole(kind: str, seed: int, start: int, length: int) -> None:
    chosen, frames = BOTH[kind], 600
    heard = _anything(frames, seed)
    whole = decoder.decode(heard, chosen)
    stop = min(start + length, frames)
    first, last = max(start - BEHIND, 0), min(stop + chosen.ahead, frames)
    piece = decoder.decode(heard.slice(first, last), chosen)[start - first : stop - first]
    np.testing.assert_allclose(piece, whole[start:stop], atol=1e-6)


def test_live_looks_less_far_ahead_and_something_does_depend_on_the_future() -> None:
    assert BOTH["live"].ahead <= 12 < BOTH["file"].ahead <= 45
    for chosen in BOTH.values():
        curves = _open_mouth(200)
        quiet, sealed = _events(200), _events(200, bilabial=(100, 108))
        gone = decode(curves, sealed, chosen) - decode(curves, quiet, chosen)
        first = int(np.flatnonzero(np.abs(gone).max(axis=1) > 1e-6)[0])
        assert 100 - chosen.ahead <= first < 100


def test_the_expected_pose_is_mixed_into_the_mouth_alone() -> None:
    curves, events = _open_mouth(50), _events(50)
    wide = curves.copy()
    wide[:, CHANNEL["jawOpen"]], wide[:, CHANNEL["browInnerUp"]] = 0.8, 0.9
    heard = Heard(curves, wide, events, np.zeros((50, OFFSETS), np.float32))
    for share in (0.0, 0.5, 1.0):
        chosen = replace(SETTINGS, expected=share, narrowing=0.0, gains=PLAIN_GAINS)
        weights = decoder.decode(heard, chosen)
        jaw, brow = (weights[25, INDEX[name]] for name in ("jawOpen", "browInnerUp"))
        assert jaw == pytest.approx(0.4 + 0.4 * share, abs=0.02) and brow == pytest.approx(0.1)


@pytest.mark.parametrize("smoothing", [1, 3])
def test_decoding_leaves_what_was_heard_as_it_is(smoothing: int) -> None:
    heard = _anything(100, 0)
    before = [heard.curves.copy(), heard.expected.copy(), heard.events.copy(), heard.offsets.copy()]
    chosen = replace(SETTINGS, smoothing=smoothing, expected_smoothing=smoothing)
    decoder.decode(heard, chosen)
    for old, new in zip(
        before, (heard.curves, heard.expected, heard.events, heard.offsets), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_offsets_follow_smoothly_and_scale_with_articulation() -> None:
    heard = _anything(200, 5)
    full, half = (
        decoder.decode(heard, SETTINGS, articulation=a)[:, len(ARKIT_NAMES) :] for a in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, 0.5 * full, atol=1e-6)
    assert np.abs(np.diff(full, axis=0)).mean() < np.abs(np.diff(heard.offsets, axis=0)).mean()
    assert not decoder.decode(heard, SETTINGS, articulation=0.0).any()


def test_parted_lips_rest_apart() -> None:
    events = _events(300, silence=(100, 200))
    shut, apart = (_gap(decode(_open_mouth(300), events, SETTINGS, parted=p)) for p in (0.0, 1.0))
    assert shut[150] < 1e-6 and 0.03 < apart[150] < 0.2
    np.testing.assert_allclose(shut[:80], apart[:80], atol=1e-6)


def test_nothing_heard_is_nothing_decoded() -> None:
    assert decoder.decode(no_frames(), SETTINGS).shape == (0, len(ARKIT_NAMES) + OFFSETS)


def test_hysteresis_holds_joins_and_drops() -> None:
    score = np.array([0, 0.4, 0.6, 0.4, 0.4, 0, 0.4, 0.4, 0, 0, 0.6, 0], np.float32)
    active = hysteresis(score, 0.5, 0.3, early=5, gap=0, shortest=2)
    np.testing.assert_array_equal(np.flatnonzero(active), [1, 2, 3, 4])
    joined = hysteresis(np.array([0.9, 0, 0.9], np.float32), 0.5, 0.3, early=5, gap=1, shortest=1)
    assert joined.all()
    long = np.full(200, 0.4, np.float32)
    long[100] = 0.6
    held = np.flatnonzero(hysteresis(long, 0.5, 0.3, early=7, gap=0, shortest=2))
    assert held[0] == 93 and 100 < held[-1] < 199


def test_articulation_scales_and_zero_is_stillness() -> None:
    events = _events(200, bilabial=(100, 108))
    full, half, none = (
        decode(_open_mouth(200), events, SETTINGS, articulation=a) for a in (1.0, 0.5, 0.0)
    )
    assert not none.any()
    np.testing.assert_allclose(half[50], full[50] * 0.5, atol=1e-3)
    assert np.abs(_gap(half)[100:108]).max() < 1e-6


def test_contacts_leave_an_untouched_face_alone() -> None:
    curves = _open_mouth(5)
    nothing = np.zeros(5, np.float32)
    np.testing.assert_array_equal(
        apply_contacts(curves, nothing, nothing, nothing), spread_channels(curves)
    )


def test_resampling_hits_the_right_moments() -> None:
    weights = np.repeat(np.arange(200, dtype=np.float32)[:, None] / 200, 52, axis=1)
    frames = at_frame_rate(weights, 0, 30, 60, 60.0)
    np.testing.assert_allclose(frames[:, 0], np.arange(30, 60) / 60 * 100 / 200, atol=1e-6)
    piece = at_frame_rate(weights[40:], 40, 30, 60, 60.0)
    np.testing.assert_allclose(piece, frames, atol=1e-6)
