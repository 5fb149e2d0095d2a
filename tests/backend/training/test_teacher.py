# SPDX-License-Identifier: GPL-3.0-or-later
"""The articulation teacher: contact, rest, rounding, what tongues leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from backend.audio_to_mesh.channels import CLASSES
from backend.training.corpus.utterance import Phone
from backend.training.teacher import Lesson, phone_classes, phone_names, targets, teach
from shared.arkit import INDEX


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
