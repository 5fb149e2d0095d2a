# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding: contact where it belongs, sharp and calm, the same in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from backend.audio_to_mesh.channels import CHANNEL, CHANNELS, EVENTS, spread_channels
from backend.audio_to_mesh.contact import apply_contacts
from backend.audio_to_mesh.decoder import (
    REACH,
    DecoderSettings,
    at_frame_rate,
    decode,
    hysteresis,
)
from shared.arkit import INDEX

SETTINGS = DecoderSettings()


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
    settings = DecoderSettings()
    for start in range(100, 112):
        events = _events(200, bilabial=(start, start + 2))
        weights = decode(_open_mouth(200), events, settings)
        assert _gap(at_frame_rate(weights, 0, 0, 48, 24.0)).min() < 0.06


def test_a_single_uncertain_frame_does_not_seal() -> None:
    events = _events(200)
    events[100, 0] = SETTINGS.seal_on - 0.02
    assert _gap(decode(_open_mouth(200), events, SETTINGS)).min() > 0.3


def test_silence_shuts_the_mouth_but_not_the_brows_and_short_gaps_do_not() -> None:
    weights = decode(_open_mouth(400), _events(400, silence=(100, 300)), SETTINGS)
    assert _gap(weights)[110:290].max() < 1e-6
    assert weights[200, INDEX["browInnerUp"]] == pytest.approx(0.1)
    assert _gap(weights)[:95].min() > 0.3
    short = decode(_open_mouth(400), _events(400, silence=(100, 112)), SETTINGS)
    assert _gap(short).min() > 0.3


def test_a_labiodental_tucks_without_sealing() -> None:
    weights = decode(_open_mouth(200), _events(200, labiodental=(100, 110)), SETTINGS)
    assert weights[105, INDEX["mouthRollLower"]] > 0.4
    assert weights[50, INDEX["mouthRollLower"]] < 0.01
    assert 0.02 < _gap(weights)[105] < 0.2


def test_pieces_equal_the_whole() -> None:
    random = np.random.default_rng(0)
    frames = 900
    noise = random.standard_normal((frames, 3))
    for _ in range(3):
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, -1, 0)) / 1.9
    events = (1.0 / (1.0 + np.exp(-3.0 * noise))).astype(np.float32)
    curves = np.clip(_open_mouth(frames) + 0.1 * random.random((frames, 13)), 0, 1)
    whole = decode(curves.astype(np.float32), events, SETTINGS)
    for start, stop in ((0, 300), (300, 301), (301, 640), (640, 900)):
        first, last = max(start - REACH, 0), min(stop + REACH, frames)
        piece = decode(curves[first:last].astype(np.float32), events[first:last], SETTINGS)
        np.testing.assert_allclose(
            piece[start - first :][: stop - start], whole[start:stop], atol=1e-6
        )


def test_hysteresis_holds_joins_and_drops() -> None:
    score = np.array([0, 0.4, 0.6, 0.4, 0.4, 0, 0.4, 0.4, 0, 0, 0.6, 0], np.float32)
    active = hysteresis(score, 0.5, 0.3, gap=0, shortest=2)
    np.testing.assert_array_equal(np.flatnonzero(active), [1, 2, 3, 4])
    joined = hysteresis(np.array([0.9, 0, 0.9], np.float32), 0.5, 0.3, gap=1, shortest=1)
    assert joined.all()


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
