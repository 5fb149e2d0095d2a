# SPDX-License-Identifier: GPL-3.0-or-later
"""Style dials on curves: neutral, zero, range, smoothness, and lips that close all the same."""

from __future__ import annotations

import numpy as np
import pytest

from shared.arkit import ARKIT_NAMES, BROWS, INDEX, LEFT_RIGHT_PAIRS
from shared.errors import ErrorKind, VividKeysError
from shared.lips import PARTING, TUCK, aperture, usual_opening, weighted
from shared.performance.style import (
    MOODS,
    RANGES,
    StyleDials,
    activity,
    dials_from,
    mood_table,
    offset_gain,
    restyle,
    restyle_take,
)
from shared.take import Take

FPS = 60.0
# Every dial at its most, alone and together.
EXTREMES = [
    StyleDials(**{name: value})
    for name, (lowest, highest) in RANGES.items()
    for value in (lowest, highest)
] + [StyleDials(**{name: highest for name, (_, highest) in RANGES.items()})]


def _rows(weights: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(weights.T)


def speech(seconds: float = 8.0, seed: int = 0) -> np.ndarray:
    """Made-up speech [T, 52]: syllables, a lip closure and a tuck in each second, a last pause."""
    random = np.random.default_rng(seed)
    frames = round(seconds * FPS)
    now = np.arange(frames) / FPS
    talking = (now < seconds - 2.0).astype(float)
    swing = talking * (0.55 + 0.45 * np.sin(2 * np.pi * 4.1 * now + random.random() * 6))
    seal = talking * np.clip(2.0 - np.abs((now % 1.0) - 0.3) * 30, 0, 1)
    tuck = talking * np.clip(2.0 - np.abs((now % 1.0) - 0.7) * 30, 0, 1)
    weights = np.zeros((frames, 52), np.float32)
    shapes = {
        "jawOpen": 0.4 * swing * (1 - 0.65 * seal) * (1 - 0.8 * tuck),
        "mouthPucker": 0.3 * swing * (np.sin(now) > 0.5),
        "mouthRollLower": 0.14 * seal + 0.5 * tuck,
        "browInnerUp": 0.15 + 0.1 * np.sin(now),
    }
    for name, curve in shapes.items():
        weights[:, INDEX[name]] = curve
    weights[:, INDEX["mouthClose"]] = seal * weights[:, INDEX["jawOpen"]]
    for side in ("Left", "Right"):
        weights[:, INDEX[f"mouthLowerDown{side}"]] = 0.25 * swing * (1 - seal) * (1 - tuck)
        weights[:, INDEX[f"mouthUpperUp{side}"]] = 0.15 * np.maximum(tuck, swing * (1 - seal))
        weights[:, INDEX[f"mouthPress{side}"]] = 0.25 * seal
        weights[:, INDEX[f"eyeBlink{side}"]] = (now % 2.0) < 0.1
        weights[:, INDEX[f"eyeSquint{side}"]] = 0.1
    return weights


def power_above(curve: np.ndarray, hertz: float) -> float:
    spectrum = np.abs(np.fft.rfft((curve - curve.mean()) * np.hanning(len(curve)))) ** 2
    return float(spectrum[np.fft.rfftfreq(len(curve), 1 / FPS) > hertz].sum() / spectrum.sum())


def test_neutral_dials_return_the_input_itself() -> None:
    weights = speech()
    assert restyle(weights, FPS, StyleDials()) is weights
    assert restyle(weights, FPS, StyleDials(head_motion=0.0), dict.fromkeys(MOODS, 0.0)) is weights


@pytest.mark.parametrize("dials", EXTREMES, ids=str)
def test_every_extreme_stays_in_range_and_keeps_contacts(dials: StyleDials) -> None:
    weights = speech()
    before = weights.copy()
    styled = restyle(weights, FPS, dials)
    assert np.array_equal(weights, before), "the input was changed"
    assert np.array_equal(styled, restyle(weights, FPS, dials))
    assert styled.dtype == np.float32 and styled.shape == weights.shape
    assert styled.min() >= 0.0 and styled.max() <= 1.0
    gap, after = aperture(_rows(weights)), aperture(_rows(styled))
    closed = gap < 0.25 * usual_opening(gap)
    assert 100 < closed.sum() < len(closed)
    assert (after - gap)[closed].max() <= 2e-4
    parted = weighted(_rows(styled), PARTING) - np.maximum(weighted(_rows(weights), PARTING), 0)
    if dials.articulation >= 1.0:
        assert parted[closed].max() <= 2e-4
        tucked = weights[:, INDEX["mouthRollLower"]] > 0.35
        tuck = weighted(_rows(styled), TUCK) - weighted(_rows(weights), TUCK)
        # One side of a lopsided mouth lifts less.
        assert tuck[tucked].min() > -0.1
        jaw = INDEX["jawOpen"]
        assert (styled - weights)[tucked, jaw].max() < 0.01
    assert (styled[:, INDEX["mouthClose"]] <= styled[:, INDEX["jawOpen"]] + 1e-6).all()


def test_zero_removes_a_motion_completely() -> None:
    weights = speech()
    still = restyle(weights, FPS, StyleDials(articulation=0.0))
    mouth = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("mouth", "jaw", "tongue"))]
    assert not still[:, mouth].any()
    assert np.array_equal(still[:, INDEX["browInnerUp"]], weights[:, INDEX["browInnerUp"]])
    jaw = restyle(weights, FPS, StyleDials(jaw=0.0))
    assert not jaw[:, [INDEX["jawOpen"], INDEX["mouthClose"]]].any()
    assert jaw[:, INDEX["mouthLowerDownLeft"]].any()
    calm = restyle(weights, FPS, StyleDials(expressiveness=0.0))
    upper = [i for i, n in enumerate(ARKIT_NAMES) if n in BROWS or n.startswith("eyeSquint")]
    assert not calm[:, upper].any()
    assert np.array_equal(calm[:, mouth], weights[:, mouth])


@pytest.mark.parametrize("mood", MOODS)
def test_a_mood_shows_its_muscles_more_in_phrases_and_never_suddenly(mood: str) -> None:
    weights = speech(12.0)
    styled = restyle(weights, FPS, StyleDials(**{mood: 1.0}))
    adds, _ = mood_table()[mood]
    assert max(np.abs(styled - weights).max(axis=0)) > 0.4
    brows = [n for n in adds if n.startswith("brow") and adds[n] >= 0.15]
    assert brows
    for name in brows:
        column = INDEX.get(name, INDEX.get(f"{name}Left", -1))
        moved = (styled - weights)[:, column]
        assert moved.mean() > 0.05
        talking, pausing = moved[120:480].mean(), moved[-60:].mean()
        assert talking > 1.15 * pausing > 0.0
        assert power_above(moved, 3.0) < 0.02
        assert np.abs(np.diff(moved)).max() * FPS < 2.5, "sudden"
    half = restyle(weights, FPS, StyleDials(**{mood: 0.5}))
    column = INDEX.get(brows[0], INDEX.get(f"{brows[0]}Left", -1))
    assert 0 < (half - weights)[:, column].mean() < (styled - weights)[:, column].mean()


def test_joy_smiles_and_sadness_does_not() -> None:
    weights = speech()
    smile, frown = INDEX["mouthSmileLeft"], INDEX["mouthFrownLeft"]
    happy = restyle(weights, FPS, StyleDials(joy=1.0))
    sad = restyle(weights, FPS, StyleDials(sadness=1.0))
    assert happy[:, smile].mean() > 0.4 and not happy[:, frown].any()
    assert sad[:, frown].mean() > 0.4 and not sad[:, smile].any()


def test_a_mood_may_be_a_curve_over_time() -> None:
    weights = speech()
    curve = np.zeros(len(weights))
    curve[240:] = 1.0
    styled = restyle(weights, FPS, StyleDials(joy=1.0), {"joy": curve})
    smile = styled[:, INDEX["mouthSmileLeft"]]
    assert not smile[:200].any() and smile[280:].mean() > 0.3
    constant = restyle(weights, FPS, StyleDials(), {"joy": 0.6})
    assert np.array_equal(constant, restyle(weights, FPS, StyleDials(joy=0.6)))


def test_smile_and_asymmetry_go_both_ways() -> None:
    weights = speech()
    up = restyle(weights, FPS, StyleDials(smile=1.0))
    down = restyle(up, FPS, StyleDials(smile=-1.0))
    assert up[:, INDEX["mouthSmileLeft"]].mean() > 0.3
    assert not down[:, INDEX["mouthSmileLeft"]].any()
    assert down[:, INDEX["mouthFrownLeft"]].mean() > 0.3
    left = restyle(up, FPS, StyleDials(asymmetry=0.5))
    right = restyle(up, FPS, StyleDials(asymmetry=-0.5))
    for one, other in LEFT_RIGHT_PAIRS:
        if one.startswith("mouthSmile"):
            assert left[:, INDEX[one]].mean() > 1.2 * left[:, INDEX[other]].mean()
        if not one.startswith("eye"):
            np.testing.assert_allclose(left[:, INDEX[one]], right[:, INDEX[other]], atol=1e-6)
        else:
            assert np.array_equal(left[:, INDEX[one]], up[:, INDEX[one]])


def test_activity_follows_speech_and_rests_in_pauses() -> None:
    lively = activity(_rows(speech(12.0)), FPS)
    assert lively[120:480].mean() > 0.7 and lively[-30:].max() < 0.2
    assert not activity(np.zeros((52, 10), np.float32), FPS).any()


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_shortest_takes_can_be_styled(frames: int) -> None:
    weights = speech()[:frames]
    assert restyle(weights, FPS, EXTREMES[-1]).shape == (frames, 52)


@pytest.mark.parametrize(
    "wrong", [{"joy": 1.1}, {"jaw": -0.1}, {"smile": float("nan")}, {"asymmetry": -2}]
)
def test_values_beyond_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(VividKeysError) as caught:
        StyleDials(**wrong)
    assert caught.value.kind is ErrorKind.BAD_REQUEST and caught.value.next_step


@pytest.mark.parametrize("moods", [{"envy": 1.0}, {"joy": [0.5]}, {"joy": 2.0}])
def test_moods_that_do_not_fit_are_refused(moods: dict[str, object]) -> None:
    with pytest.raises(VividKeysError):
        restyle(speech(), FPS, StyleDials(), moods)  # type: ignore[arg-type]


def test_a_take_is_styled_as_a_whole_and_says_so() -> None:
    weights = speech()
    still = np.ones((len(weights), 3), np.float32)
    triangle = np.array([[0, 1, 2]], np.int32)
    take = Take(FPS, weights, still, still, np.zeros((3, 3), np.float32), triangle)
    assert restyle_take(take, StyleDials()) is take
    dials = StyleDials(head_motion=0.5, joy=0.25)
    styled = restyle_take(take, dials)
    assert styled.meta["style"] == {"head_motion": 0.5, "joy": 0.25}
    assert dials_from(styled.meta["style"]) == dials
    assert (styled.head_rotation == 0.5).all() and (styled.head_translation == 0.5).all()
    assert "style" not in take.meta
    with pytest.raises(VividKeysError):
        dials_from({"joy": "much"})


def test_the_table_of_moods_names_shapes_that_exist() -> None:
    for adds, lessens in mood_table().values():
        for name in (*adds, *lessens):
            assert name in INDEX or f"{name}Left" in INDEX, name
        assert all(0 < value <= 1 for value in (*adds.values(), *lessens.values()))


def test_lip_offsets_follow_the_mouth_but_never_grow_where_lips_meet() -> None:
    frames = 120
    opening = np.clip(np.sin(np.linspace(0, 6 * np.pi, frames)), 0.0, 1.0).astype(np.float32)
    weights = np.zeros((frames, len(ARKIT_NAMES)), np.float32)
    weights[:, INDEX["jawOpen"]] = 0.6 * opening
    weights[:, INDEX["mouthLowerDownLeft"]] = weights[:, INDEX["mouthLowerDownRight"]] = (
        0.3 * opening
    )
    half = offset_gain(weights, StyleDials(articulation=0.5))
    np.testing.assert_allclose(half, 0.5, atol=1e-6)
    assert not offset_gain(weights, StyleDials(articulation=0.0)).any()
    np.testing.assert_array_equal(offset_gain(weights, StyleDials(joy=1.0, smile=1.0)), 1.0)
    more = offset_gain(weights, StyleDials(articulation=1.5))
    np.testing.assert_allclose(more[opening == 0.0], 1.0)
    np.testing.assert_allclose(more[opening > 0.9], 1.5, atol=1e-3)
    less_jaw = offset_gain(weights, StyleDials(jaw=0.0))
    assert 0.05 < less_jaw[opening > 0.9].mean() < 0.4, "the lips keep their part"
    np.testing.assert_allclose(less_jaw[opening == 0.0], 1.0)
