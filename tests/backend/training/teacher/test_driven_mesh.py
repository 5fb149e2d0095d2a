# SPDX-License-Identifier: GPL-3.0-or-later
"""The driven lips: they meet, never cross, part in the middle first, follow the jaw's arc, and a
dozen fields say nearly all of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backend.audio_to_mesh.lip_motion import (
    DrivenFace,
    driven_lips,
    hold_contact,
    linear_lips,
    zipped,
)
from backend.audio_to_mesh.lip_offsets import OFFSET_COUNT, offset_basis, offset_targets
from backend.face.lip_contact import PAIR_COUNT, gaps, lip_region
from backend.training.corpus.utterance import Phone
from backend.training.fits.lip_offsets import measure, random_lesson
from backend.training.teacher.articulation import Lesson, teach
from backend.training.teacher.driven_mesh import face_pool, lesson_lips, press_of
from shared.arkit import ARKIT_NAMES, INDEX
from shared.landmarks import CHIN, INNER_LIP_LOWER, LOWER_LIP, UPPER_LIP, UPPER_LIP_EDGE

MILLIMETRE = 1e-3
FACES = face_pool(6, seed=5)
NEVER_FITTED = face_pool(5, seed=123)[1:]


def _wandering(frames: int, seed: int, names: list[str]) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    weights = np.zeros((frames, 52), np.float32)
    for name in names:
        knots = random.uniform(-0.4, 1.0, frames // 12 + 2)
        curve = np.interp(np.arange(frames) / 12, np.arange(len(knots)), knots)
        weights[:, INDEX[name]] = curve.clip(0, 1)
    return weights


def _pulses(frames: int, seed: int) -> NDArray[np.float32]:
    knots = np.random.default_rng(seed).uniform(-1.0, 2.0, frames // 10 + 2)
    curve = np.interp(np.arange(frames) / 10, np.arange(len(knots)), knots)
    return curve.clip(0, 1).astype(np.float32)


def _lesson(text: str) -> Lesson:
    phones = [Phone(0.0, 0.3, "sil")]
    for label in text.split():
        phones.append(Phone(phones[-1].end, phones[-1].end + 0.12, label))
    phones.append(Phone(phones[-1].end, phones[-1].end + 0.3, "sil"))
    return teach(tuple(phones), np.full(round(phones[-1].end * 100) + 1, 60.0, np.float32))


@pytest.mark.parametrize("face", FACES)
def test_sealed_lips_meet_and_no_lips_cross_whatever_else_the_face_does(face: DrivenFace) -> None:
    names = [name for name in ARKIT_NAMES if name.startswith(("jaw", "mouth", "cheek"))]
    weights = _wandering(600, 1, names)
    seal, tuck = _pulses(600, 2), _pulses(600, 3)
    gap, crossing = gaps(face.lips, driven_lips(face.lips, weights, seal, tuck, 100.0))
    assert (seal == 1).sum() > 100
    assert gap[seal == 1].max() < 0.1 * MILLIMETRE
    assert crossing.max() < 0.05 * MILLIMETRE
    # Without contact the same weights do cross, so there was something to do.
    assert gaps(face.lips, linear_lips(face.lips, weights))[1].max() > 0.5 * MILLIMETRE


def test_nothing_moves_at_rest() -> None:
    nothing = np.zeros((5, 52), np.float32)
    none = np.zeros(5, np.float32)
    for face in FACES:
        assert np.abs(driven_lips(face.lips, nothing, none, none, 60.0)).max() < 0.06 * MILLIMETRE


def test_the_jaw_goes_along_an_arc_and_ends_where_its_shape_ends() -> None:
    face = FACES[0]
    weights = np.zeros((51, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = np.linspace(0, 1, 51)
    none = np.zeros(51, np.float32)
    chin = int(np.searchsorted(lip_region(), CHIN))
    path = driven_lips(face.lips, weights, none, none, 60.0)[:, chin]
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    chord = np.linalg.norm(path[-1] - path[0])
    assert length > 1.001 * chord
    straight = linear_lips(face.lips, weights)[:, chin]
    assert np.abs(path[-1] - straight[-1]).max() < 0.01 * MILLIMETRE
    assert np.linalg.norm(path - straight, axis=1).max() > 0.5 * MILLIMETRE


def test_corners_part_later_than_the_middle_and_all_close_together() -> None:
    seal = np.zeros(60, np.float32)
    seal[10:30] = 1.0
    closed = zipped(seal, 100.0)
    assert closed.shape == (60, PAIR_COUNT) and (closed[10:30] == 1).all()
    assert closed[:10].max() == 0.0
    opened = [int(np.argmax(closed[30:, pair] < 0.5)) for pair in range(PAIR_COUNT)]
    middle = PAIR_COUNT // 2
    assert opened[middle] <= 2 and 3 <= opened[1] <= 9 and opened[1] >= opened[2]
    assert opened == opened[::-1] and (closed[30 + 20] < 0.01).all()
    # The same at another frame rate.
    ramp = np.interp(np.arange(120) / 200, [0.1, 0.15, 0.3, 0.34], [0, 1, 1, 0]).astype(np.float32)
    assert np.abs(zipped(ramp, 200.0)[::2] - zipped(ramp[::2], 100.0)).max() < 0.02


def test_stops_press_harder_than_nasals_and_pressed_lips_are_thin() -> None:
    lessons = {name: _lesson(f"aa {name} aa") for name in ("p", "m")}
    presses = {name: press_of(lesson).max() for name, lesson in lessons.items()}
    assert presses["p"] > 1.5 * presses["m"] > 0.3
    face = FACES[0]
    heights = {}
    for name, lesson in lessons.items():
        driven, _ = lesson_lips(face.lips, lesson)
        at = int(press_of(lesson).argmax())
        posed = face.neutral[lip_region()] + driven[at]
        place = {int(v): n for n, v in enumerate(lip_region())}
        heights[name] = posed[place[UPPER_LIP], 2] - posed[place[LOWER_LIP], 2]
    rest = face.neutral[0, 2] - face.neutral[17, 2]
    assert heights["p"] < heights["m"] - 0.5 * MILLIMETRE
    assert heights["m"] < rest - 1.0 * MILLIMETRE


def test_the_lower_lip_goes_under_the_teeth_on_f() -> None:
    lesson = _lesson("aa f aa")
    for face in FACES[:3]:
        driven, _ = lesson_lips(face.lips, lesson)
        at = int(lesson.tuck.argmax())
        place = int(np.searchsorted(lip_region(), INNER_LIP_LOWER[5]))
        lip = face.neutral[lip_region()][place] + driven[at, place]
        edge = face.lips.under[PAIR_COUNT // 2]
        assert np.linalg.norm(lip - edge) < 0.3 * MILLIMETRE
        assert lip[1] > face.neutral[UPPER_LIP_EDGE, 1] + 4 * MILLIMETRE


def test_a_dozen_fields_say_what_weights_alone_do_not() -> None:
    random = np.random.default_rng(9)
    figures = measure([(face, random_lesson(random)) for face in NEVER_FITTED])
    assert figures.alone_max > 0.4 and figures.alone_gap > 0.3
    assert figures.reduction_mean > 0.85 and figures.reduction_max > 0.85
    assert figures.offsets_gap < 0.3 and figures.driven_gap < 0.3
    assert figures.offsets_crossing < 0.2 and figures.driven_crossing < 0.2


def test_fields_are_of_unit_size_end_smoothly_and_are_silent_at_rest() -> None:
    face = FACES[1]
    basis = offset_basis(face.neutral)
    assert basis.shape == (OFFSET_COUNT, 468, 3) and basis.dtype == np.float32
    outside = np.setdiff1d(np.arange(468), lip_region())
    assert not basis[:, outside].any()
    assert np.abs(offset_basis(face.neutral * 2.0) - 2.0 * basis).max() < 1e-6
    random = np.random.default_rng(2)
    weights = []
    for _ in range(12):
        lesson = random_lesson(random)
        driven, linear = lesson_lips(face.lips, lesson)
        weights.append(offset_targets(driven, linear, face.neutral))
        assert np.abs(weights[-1][lesson.rest == 1]).max(initial=0.0) < 0.02 + lesson.parted
    spread = np.concatenate(weights).std(axis=0)
    assert (spread > 0.4).all() and (spread < 2.0).all()


def test_held_contact_closes_what_the_network_left_open() -> None:
    """Offsets of a network that says nothing: lips that are sealed meet, others are left alone."""
    lesson = random_lesson(np.random.default_rng(3))
    weights, offsets = lesson.weights(), np.zeros((len(lesson.seal), OFFSET_COUNT), np.float32)
    for face in NEVER_FITTED[:2]:
        held = hold_contact(offsets, weights, lesson.seal, lesson.tuck, face, 100.0)
        fields = offset_basis(face.neutral)[:, lip_region()]
        lips = linear_lips(face.lips, weights)
        sealed = lesson.seal > 0.99
        assert sealed.any()
        before, _ = gaps(face.lips, lips[sealed])
        after, _ = gaps(face.lips, (lips + np.einsum("tk,klc->tlc", held, fields))[sealed])
        assert after.max() < 0.3 * MILLIMETRE < before.max()
        apart = zipped(lesson.seal, 100.0).max(axis=1) == 0.0
        assert (held[apart] == 0.0).all()
