# SPDX-License-Identifier: GPL-3.0-or-later
"""The articulation teacher: contact, rest, rounding, what tongues leave alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import numpy as np
import pytest

from backend.audio_to_mesh.channels import CHANNEL, CLASSES
from backend.audio_to_mesh.speaker import SpeakerStyle
from backend.training.corpus.utterance import Phone
from backend.training.teacher.articulation import Lesson, phone_classes, phone_names, targets, teach
from backend.training.teacher.manner import random_style
from shared.arkit import INDEX
from shared.lips import PARTING, weighted


def _teach(text: str, seconds: float = 0.1, loudness: np.ndarray | None = None) -> Lesson:
    """A lesson for phones of equal length, with half a second of silence around."""
    labels = text.split()
    times = 0.5 + seconds * np.arange(len(labels) + 1)
    phones = [Phone(0.0, 0.5, "sil")]
    phones += [Phone(times[i], times[i + 1], label) for i, label in enumerate(labels)]
    phones.append(Phone(times[-1], times[-1] + 0.5, "sil"))
    frames = round(phones[-1].end * 100) + 1
    level = np.full(frames, 60.0, np.float32) if loudness is None else loudness
    return teach(tuple(phones), level)


def _gap(weights: np.ndarray) -> np.ndarray:
    """Opening between the lips relative to jawOpen (measured on a head scan)."""
    return (
        weights[:, INDEX["jawOpen"]]
        - weights[:, INDEX["mouthClose"]]
        + 0.375 * weights[:, INDEX["mouthFunnel"]]
        + 0.2 * weights[:, INDEX["mouthLowerDownLeft"]]
        + 0.24 * weights[:, INDEX["mouthUpperUpLeft"]]
    )


def _middle(labels: str, seconds: float, wanted: str) -> slice:
    place = labels.split().index(wanted)
    start = 50 + place * seconds * 100
    return slice(int(start + 30 * seconds), int(start + 70 * seconds) + 1)


@pytest.mark.parametrize("consonant", ["p", "b", "m"])
def test_lips_are_sealed_on_bilabials_whatever_is_around(consonant: str) -> None:
    for vowel in ("aa", "iy", "uw"):
        text = f"{vowel} {consonant} {vowel}"
        weights = _teach(text).weights()
        assert _gap(weights)[_middle(text, 0.1, consonant)].max() < 1e-3
        assert weights[_middle(text, 0.1, consonant), INDEX["mouthPressLeft"]].min() > 0.1


def test_vowels_open_by_height() -> None:
    gaps = {}
    for vowel in ("aa", "eh", "iy"):
        text = f"t {vowel} t"
        gaps[vowel] = _gap(_teach(text, 0.15).weights())[_middle(text, 0.15, vowel)].mean()
    assert gaps["aa"] > 1.3 * gaps["eh"] > 1.3 * 1.3 * gaps["iy"]
    assert gaps["iy"] > 0.1


def test_mouth_close_never_exceeds_jaw_open_and_weights_stay_in_range() -> None:
    random = np.random.default_rng(1)
    names = phone_names()
    for _ in range(5):
        text = " ".join(random.choice(names, 40))
        weights = _teach(text, 0.06).weights()
        assert (weights[:, INDEX["mouthClose"]] <= weights[:, INDEX["jawOpen"]] + 1e-6).all()
        assert weights.min() >= 0.0 and weights.max() <= 1.0 and np.isfinite(weights).all()


def test_labiodentals_tuck_the_lower_lip_without_sealing() -> None:
    text = "aa f aa"
    weights = _teach(text).weights()
    inside = _middle(text, 0.1, "f")
    assert weights[inside, INDEX["mouthRollLower"]].min() > 0.4
    assert weights[inside, INDEX["mouthClose"]].max() == 0.0
    assert 0.02 < _gap(weights)[inside].mean() < 0.2


def test_silence_is_a_closed_mouth_at_rest() -> None:
    weights = _teach("aa n aa").weights()
    for rest in (weights[:40], weights[-38:]):
        assert np.abs(rest).max() < 0.02


def test_rounding_begins_before_its_vowel_and_tongues_leave_lips_alone() -> None:
    text = "s t uw"
    pucker = _teach(text).weights()[:, INDEX["mouthPucker"]]
    before = pucker[_middle(text, 0.1, "t")].mean()
    peak = pucker[_middle(text, 0.1, "uw")].mean()
    assert peak > 0.4 and before > 0.3 * peak
    text = "uw n uw"
    kept = _teach(text).weights()[:, INDEX["mouthPucker"]]
    assert kept[_middle(text, 0.1, "n")].min() > 0.6 * peak


def test_loud_vowels_open_wider() -> None:
    text = "t aa t aa t aa t aa t aa t"
    quiet = np.full(211, 60.0, np.float32)
    loud = quiet.copy()
    loud[100:112] += 12.0
    jaw = [_teach(text, loudness=x).weights()[:, INDEX["jawOpen"]] for x in (quiet, loud)]
    assert jaw[1][100:110].mean() > 1.1 * jaw[0][100:110].mean()


def test_motion_is_smooth_and_closures_are_sharp() -> None:
    gap = _gap(_teach("aa m aa", 0.12).weights())
    assert np.abs(np.diff(gap)).max() < 0.25
    # From open to shut within 80 ms.
    shut = int(np.argmax(gap[60:] < 0.01)) + 60
    assert gap[shut - 8] > 0.25


def test_every_phone_of_the_table_can_be_taught() -> None:
    assert phone_names()[0] == "sil" and len(phone_classes()) == len(phone_names())
    for name in phone_names():
        for target in targets(name):
            assert (target.values >= 0).all() and (target.values <= 1).all()
            assert (target.lead > 0).all() and (target.trail > 0).all()
    kinds = {CLASSES[number] for number in phone_classes()}
    assert kinds == set(CLASSES)


def test_labels_follow_phone_times() -> None:
    lesson = _teach("p aa")
    assert phone_names()[lesson.phones[55]] == "p" and phone_names()[lesson.phones[65]] == "aa"
    assert CLASSES[lesson.classes[55]] == "bilabial" and CLASSES[lesson.classes[10]] == "silence"


def _styled(text: str, seconds: float = 0.1, **dials: float) -> Lesson:
    labels = text.split()
    times = 0.5 + seconds * np.arange(len(labels) + 1)
    phones = [Phone(0.0, 0.5, "sil")]
    phones += [Phone(times[i], times[i + 1], label) for i, label in enumerate(labels)]
    phones.append(Phone(times[-1], times[-1] + 0.5, "sil"))
    frames = round(phones[-1].end * 100) + 1
    return teach(tuple(phones), np.full(frames, 60.0, np.float32), SpeakerStyle(**dials))


def test_the_usual_style_is_the_curve_of_the_trained_weights() -> None:
    # Sums of the mouth channels as the teacher of the first trained weights gave them.
    lesson = _teach("p aa m iy f ow s t uw k ae n")
    sums = lesson.curves[:, :10].sum(axis=0, dtype=np.float64)
    expected = [
        20.83970,
        0.00000,
        10.03425,
        21.22618,
        12.79753,
        6.53074,
        6.19767,
        3.18093,
        0.86220,
        0.00000,
    ]
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)
    styled = _styled("p aa m iy f ow s t uw k ae n", effort=0.0, jaw_share=0.0, parted=0.0)
    assert np.array_equal(styled.curves, lesson.curves)


def test_effort_reaches_vowels_and_keeps_closures() -> None:
    text = "t aa t iy p uw t"
    jaws, gaps = {}, {}
    for effort in (-1.0, 0.0, 1.0):
        weights = _styled(text, effort=effort).weights()
        jaws[effort] = weights[_middle(text, 0.1, "aa"), INDEX["jawOpen"]].mean()
        gaps[effort] = _gap(weights)[_middle(text, 0.1, "p")].max()
    assert jaws[-1.0] < 0.8 * jaws[0.0] < 0.8 * jaws[1.0]
    assert max(gaps.values()) < 1e-3
    # Who mumbles prepares a smaller rounding, relative to it earlier.
    early = [_styled("t t t uw", effort=e).weights()[:, INDEX["mouthPucker"]] for e in (-1, 1)]
    assert early[0].max() < 0.7 * early[1].max()
    assert early[0][65] / early[0].max() > 1.5 * early[1][65] / early[1].max()


def test_jaw_share_moves_work_but_not_the_lips_distance() -> None:
    text = "t ae t iy s aa t"
    usual = _styled(text)
    opening = weighted(usual.weights().T, PARTING)
    for share in (-1.0, 1.0):
        lesson = _styled(text, jaw_share=share)
        change = lesson.curves - usual.curves
        middle = _middle(text, 0.1, "ae")
        jaw = change[middle, CHANNEL["jawOpen"]] * share
        lips = change[middle, CHANNEL["mouthLowerDown"]] * share
        assert jaw.min() > 0.02 and lips.max() < -0.1
        assert np.abs(weighted(lesson.weights().T, PARTING) - opening).max() < 1e-4


def test_parted_lips_rest_apart_and_still_close() -> None:
    text = "aa p aa"
    for parted in (0.4, 1.0):
        weights = _styled(text, parted=parted).weights()
        rest = np.concatenate([weights[:40], weights[-38:]])
        gap = weighted(rest.T, PARTING) * 33.2  # millimetres of a full jawOpen on the mean face
        assert gap.min() > 2.7 * parted and gap.max() < 3.4 * parted
        assert _gap(weights)[_middle(text, 0.1, "p")].max() < 1e-3


def test_brows_rise_as_a_phrase_begins_and_sink_to_its_end() -> None:
    brows = _teach("t eh n t eh n t eh n t eh n", 0.15).curves[:, CHANNEL["browInnerUp"]]
    assert brows[60] > 0.05 and brows[60] > 2.0 * brows[220] and brows[225] < 0.03
    assert brows[5] < 0.01 and np.abs(np.diff(brows)).max() < 0.03


def test_pitch_moves_brows_too() -> None:
    text = "t aa t aa t aa t aa t aa t"
    frames = 211
    high = np.full(frames, 110.0, np.float32)
    high[98:115] = 180.0
    labels = [Phone(0.0, 0.5, "sil")]
    for number, label in enumerate(text.split()):
        labels.append(Phone(0.5 + 0.1 * number, 0.6 + 0.1 * number, label))
    labels.append(Phone(1.6, 2.1, "sil"))
    level = np.full(frames, 60.0, np.float32)
    brows = [
        teach(tuple(labels), level, pitch=pitch).curves[:, CHANNEL["browOuterUp"]]
        for pitch in (None, high)
    ]
    assert brows[1][105] > brows[0][105] + 0.02


def test_random_speakers_stay_in_range_and_differ() -> None:
    random = np.random.default_rng(3)
    styles = [random_style(random) for _ in range(200)]
    for name, low in (("effort", -1.0), ("jaw_share", -1.0), ("parted", 0.0)):
        values = np.array([getattr(style, name) for style in styles])
        assert values.min() >= low and values.max() <= 1.0 and values.std() > 0.25
    for style in styles[:20]:
        lesson = teach(
            (Phone(0.0, 0.2, "p"), Phone(0.2, 0.5, "aa")), np.zeros(51, np.float32), style
        )
        weights = lesson.weights()
        assert np.isfinite(weights).all() and weights.min() >= 0.0 and weights.max() <= 1.0


@pytest.mark.skipif("VIVIDKEYS_CHECK_TYPES" in os.environ, reason="type checks are calls too")
def test_teaching_is_quick_enough_for_every_training_piece() -> None:
    """Counted in calls, which every machine makes alike: a step for every frame would show."""
    text = " ".join(["p aa n t iy s uw k"] * 6)
    _teach(text, 0.06)
    assert _calls(lambda: _teach(text, 0.06)) < 2000  # 660, for 389 frames of .01 s


def _calls(work: Callable[[], object]) -> int:
    """How many functions are called, Python's and others."""
    count = 0

    def note(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
