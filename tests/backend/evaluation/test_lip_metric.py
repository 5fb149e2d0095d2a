# SPDX-License-Identifier: GPL-3.0-or-later
"""The lip scores: known answers for each, and that they tell good, late and random lips apart."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.evaluation.baselines import cues_to_curves, label_curves
from backend.evaluation.lip_metric import (
    LipScores,
    aperture,
    auc,
    average_ranks,
    gather,
    normalised_aperture,
    rounding,
    score,
    smooth,
    spearman,
    tuck,
)
from backend.evaluation.phones import Phone
from shared.arkit import ARKIT_NAMES, INDEX

FPS = 60.0
WORDS = [
    "b aa t", "f iy d", "m ae p", "w uw k", "s ey v", "p ao l", "n ih b ah", "g uw m eh t",
]  # fmt: skip


def speech(seed: int = 0, rounds: int = 14) -> list[Phone]:
    """Made-up phones: the words in random order, with a pause now and then."""
    random = np.random.default_rng(seed)
    phones, time = [Phone(0.0, 0.5, "sil")], 0.5
    for count in range(rounds):
        for word in random.permutation(WORDS):
            for name in str(word).split():
                length = random.uniform(0.07, 0.16)
                phones.append(Phone(time, time + length, name))
                time += length
        if count % 3 == 2:
            phones.append(Phone(time, time + 0.5, "sil"))
            time += 0.5
    return phones


def frames_of(phones: list[Phone]) -> int:
    return int(phones[-1].end * FPS)


def scored(weights: NDArray[np.float32], phones: list[Phone]) -> LipScores:
    return score([gather(weights, phones, FPS)])


def posed(**weights: float) -> NDArray[np.float32]:
    pose = np.zeros((1, len(ARKIT_NAMES)), dtype=np.float32)
    for name, value in weights.items():
        pose[0, INDEX[name]] = value
    return pose


def test_label_made_curves_score_about_one() -> None:
    phones = speech()
    found = scored(label_curves(phones, frames_of(phones), jitter=0.0), phones)
    for name in ("bilabial_recall", "bilabial_precision", "bilabial_f1", "closure_score",
                 "auc_open_close", "auc_vowel_bilabial", "auc_round_spread",
                 "auc_labiodental_tuck", "silence_closed"):  # fmt: skip
        assert getattr(found, name) > 0.96, name
    assert found.vowel_false_closure < 0.02
    assert found.spearman_openness > 0.9 and found.peak_r > 0.95
    assert 0.0 < found.lag_ms < 12.0  # the measure's own bias is about 6 ms


@pytest.mark.parametrize("delay", [-6, 6])
def test_delay_is_read_in_milliseconds(delay: int) -> None:
    phones = speech()
    curves = label_curves(phones, frames_of(phones), jitter=0.0)
    still = scored(curves, phones)
    moved = scored(np.roll(curves, delay, axis=0), phones)
    assert moved.lag_ms - still.lag_ms == pytest.approx(100.0 * np.sign(delay), abs=3.0)
    assert moved.peak_r > 0.9 > moved.r_at_zero
    assert moved.auc_vowel_bilabial < 0.8 < still.auc_vowel_bilabial


def test_permuted_phones_score_chance() -> None:
    phones = speech(rounds=30)
    random = np.random.default_rng(1)
    names = random.permutation([phone.name for phone in phones])
    others = [Phone(p.start, p.end, str(n)) for p, n in zip(phones, names, strict=True)]
    found = scored(label_curves(others, frames_of(phones)), phones)
    for name in ("auc_open_close", "auc_vowel_bilabial", "auc_round_spread",
                 "auc_labiodental_tuck"):  # fmt: skip
        assert getattr(found, name) == pytest.approx(0.5, abs=0.1), name
    assert abs(found.spearman_openness) < 0.12 and abs(found.r_at_zero) < 0.15
    assert found.closure_score < 0.35


def test_mouths_that_never_move_get_no_closure_score() -> None:
    phones = speech()
    shut = np.zeros((frames_of(phones), 52), dtype=np.float32)
    opened = shut.copy()
    opened[:, INDEX["jawOpen"]] = 0.5
    for weights, recall in ((shut, 1.0), (opened, 0.0)):
        found = scored(weights, phones)
        assert found.bilabial_recall == recall
        assert found.closure_score == 0.0
        assert found.auc_open_close == 0.5 and isnan(found.spearman_openness)


def test_scores_do_not_depend_on_scale() -> None:
    phones = speech()
    curves = label_curves(phones, frames_of(phones))
    one, half = asdict(scored(curves, phones)), asdict(scored(curves * 0.5, phones))
    for name, value in one.items():
        assert half[name] == pytest.approx(value, abs=1e-6), name


def test_what_is_counted() -> None:
    """A clip small enough to count by hand."""
    phones = [
        Phone(0.0, 0.5, "sil"),
        Phone(0.5, 0.6, "m"),  # beside the silence: not counted for recall
        Phone(0.6, 0.8, "aa"),
        Phone(0.8, 0.9, "p"),  # shut
        Phone(0.9, 1.1, "iy"),
        Phone(1.1, 1.2, "b"),  # stays open
        Phone(1.2, 1.4, "eh"),  # shut by mistake
        Phone(1.4, 1.43, "ih"),  # too short to count
        Phone(1.43, 1.9, "s"),
        Phone(1.9, 2.4, "sil"),
    ]
    weights = np.zeros((144, 52), dtype=np.float32)
    jaw = weights[:, INDEX["jawOpen"]]
    jaw[36:48] = jaw[54:114] = 0.5
    jaw[75:84] = 0.05
    jaw[126:130] = 0.5  # open in the middle of the last silence
    found = gather(weights, phones, FPS)
    assert (found.bilabials, found.bilabials_closed) == (2, 1)
    assert (found.vowels, found.vowels_closed) == (3, 1)
    # m (near the silence) and p are hits; so is the shut vowel, which begins 50 ms after b.
    assert (found.closures_hit, found.closures_false) == (3, 0)
    # Of each silence 0.1 to 0.4 s: 18 frames.
    assert (found.silent_frames, found.silent_frames_closed) == (36, 32)
    assert list(found.openness_classed) == [0.0, 1.0, 0.0, 0.4, 0.0, 0.7, 0.4]
    assert list(found.aperture_open) == pytest.approx([1.0])


def test_closure_without_a_reason_counts_against_precision() -> None:
    phones = [Phone(0.0, 0.3, "sil"), Phone(0.3, 0.6, "aa"), Phone(0.6, 0.8, "k"),
              Phone(0.8, 1.2, "ae"), Phone(1.2, 1.3, "f"), Phone(1.3, 1.8, "ay"),
              Phone(1.8, 2.1, "sil")]  # fmt: skip
    weights = np.zeros((126, 52), dtype=np.float32)
    weights[18:108, INDEX["jawOpen"]] = 0.5
    weights[41:44, INDEX["jawOpen"]] = 0.0  # on k
    weights[73:76, INDEX["jawOpen"]] = 0.0  # on f, where lips may meet
    found = gather(weights, phones, FPS)
    assert (found.closures_hit, found.closures_false) == (0, 1)


def test_lip_curves_of_poses() -> None:
    assert aperture(posed(jawOpen=1.0)) == pytest.approx([1.0])
    assert aperture(posed(jawOpen=0.5, mouthClose=0.5)) == pytest.approx([0.0])
    assert aperture(posed(mouthLowerDownLeft=1.0, mouthUpperUpRight=1.0)) == pytest.approx([0.22])
    assert rounding(posed(mouthPucker=1.0, mouthFunnel=1.0)) == pytest.approx([1.75])
    assert rounding(posed(mouthSmileLeft=1.0, mouthSmileRight=1.0)) == pytest.approx([-0.9])
    assert tuck(posed(mouthRollLower=1.0, mouthUpperUpLeft=1.0)) == pytest.approx([1.25])


def test_normalisation_has_a_floor() -> None:
    phones = [Phone(0.0, 1.0, "aa")]
    assert not normalised_aperture(np.zeros((60, 52), np.float32), phones, FPS).any()
    mostly_shut = np.zeros((60, 52), np.float32)
    mostly_shut[:10, INDEX["jawOpen"]] = 0.4
    assert normalised_aperture(mostly_shut, phones, FPS).max() == pytest.approx(4.0)


def test_ranks_and_auc_against_their_definitions() -> None:
    random = np.random.default_rng(0)
    positive, negative = random.integers(0, 6, 40) / 2.0, random.integers(0, 5, 31) / 2.0
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    assert auc(positive, negative) == pytest.approx(pairs.mean())
    assert list(average_ranks(np.array([3.0, 1.0, 3.0, 2.0]))) == [3.5, 1.0, 3.5, 2.0]
    assert spearman(positive, positive**3) == pytest.approx(1.0)
    assert spearman(positive, -positive) == pytest.approx(-1.0)
    assert isnan(auc(positive, np.zeros(0)))


def test_smoothing_is_centred() -> None:
    curve = np.zeros(61)
    curve[30] = 1.0
    soft = smooth(curve, 0.12, FPS)
    assert soft.sum() == pytest.approx(1.0) and np.allclose(soft, soft[::-1])
    assert 2 < np.count_nonzero(soft > 1e-9) < 8


def test_rhubarb_cues_become_poses() -> None:
    cues = [
        {"start": 0.0, "end": 0.5, "value": "X"},
        {"start": 0.5, "end": 1.0, "value": "D"},
        {"start": 1.0, "end": 1.5, "value": "F"},
    ]
    weights = cues_to_curves(cues, 90)
    assert weights.shape == (90, 52)
    assert weights[45, INDEX["jawOpen"]] == pytest.approx(0.6)
    assert weights[75, INDEX["mouthPucker"]] == pytest.approx(0.65)
    assert not weights[10].any()
