# SPDX-License-Identifier: GPL-3.0-or-later
"""What the 52 shapes must do on any face: mirror, seal, close, open, never cross."""

from __future__ import annotations

import numpy as np
import pytest

from backend.face.arkit_basis import contacts, landmark_basis
from backend.face.close_mouth import close_mouth
from backend.face.template import load_template
from shared.arkit import ARKIT_NAMES, INDEX, LEFT_RIGHT_PAIRS
from shared.landmarks import (
    CHIN,
    LEFT_INNER_LIP_CORNER,
    LEFT_LIP_CORNER,
    LOWER_LIP,
    RIGHT_INNER_LIP_CORNER,
    RIGHT_LIP_CORNER,
    UPPER_LIP,
)

MILLIMETRE = 0.001


def people() -> dict[str, np.ndarray]:
    """The mean face and faces stretched to odd proportions, lips closed."""
    mean = load_template().vertices
    soft = np.random.default_rng(4).normal(size=(3, 3)) * 4.0
    wavy = mean + 0.0025 * np.sin(mean @ soft * 12.0)
    faces = {
        "mean": mean,
        "wide": mean * (1.12, 1.0, 0.95),
        "long": mean * (0.93, 1.05, 1.10),
        "child": mean * 0.8,
        "uneven": wavy,
    }
    return {name: close_mouth(face) for name, face in faces.items()}


PEOPLE = people()


@pytest.fixture(params=PEOPLE)
def face(request):  # type: ignore[no-untyped-def]
    return PEOPLE[request.param]


def shape(basis: np.ndarray, **weights: float) -> np.ndarray:
    return sum(weight * basis[INDEX[name]] for name, weight in weights.items())


def lip_gap(field: np.ndarray) -> np.ndarray:
    return contacts()["lips"].gap(field)


def test_lips_meet_at_rest(face):
    assert np.abs(lip_gap(face)).max() < 0.01 * MILLIMETRE


def test_mirror_images_on_a_symmetric_face():
    basis = landmark_basis(PEOPLE["mean"])
    partner = load_template().mirror[:468]
    for left, right in LEFT_RIGHT_PAIRS:
        mirrored = basis[INDEX[left]][partner] * (-1, 1, 1)
        assert np.abs(basis[INDEX[right]] - mirrored).max() < 0.02 * MILLIMETRE, left


@pytest.mark.parametrize("weight", [0.05, 0.2, 0.5, 1.0])
def test_mouth_close_takes_back_what_jaw_open_opens(face, weight):
    basis = landmark_basis(face)
    opened = face + shape(basis, jawOpen=weight)
    size = np.ptp(face[:, 0]) / 0.139
    assert lip_gap(opened)[5, 2] > 28 * MILLIMETRE * weight * size
    sealed = opened + shape(basis, mouthClose=weight)
    assert np.abs(lip_gap(sealed)).max() < 0.05 * MILLIMETRE
    # The chin stays down although the lips are closed.
    assert sealed[CHIN, 2] < face[CHIN, 2] - 18 * MILLIMETRE * weight * size


@pytest.mark.parametrize("name", [n for n in ARKIT_NAMES if n != "mouthClose"])
def test_no_shape_makes_the_lips_cross(face, name):
    gap = lip_gap(face + landmark_basis(face)[INDEX[name]])
    overlaps = gap[:, 2] < -0.05 * MILLIMETRE
    # Overlap is only for a lip that rolls in behind the other one.
    assert (np.abs(gap[overlaps, 1]) > 1.5 * MILLIMETRE).all()
    assert not overlaps.any() or name in ("mouthRollLower", "mouthRollUpper")


@pytest.mark.parametrize(
    "name", ["mouthPressLeft", "mouthPucker", "mouthSmileRight", "mouthDimpleLeft", "mouthLeft"]
)
def test_shapes_of_a_closed_mouth_keep_it_closed(face, name):
    assert np.abs(lip_gap(face + landmark_basis(face)[INDEX[name]])).max() < 0.05 * MILLIMETRE


@pytest.mark.parametrize("name", ["jawOpen", "mouthFunnel", "mouthUpperUpLeft", "mouthShrugUpper"])
def test_shapes_of_an_open_mouth_open_it(face, name):
    assert lip_gap(landmark_basis(face)[INDEX[name]])[:, 2].max() > 2 * MILLIMETRE


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_a_blink_closes_the_eye_and_only_that_one(face, side):
    basis = landmark_basis(face)
    lids, other = contacts()[side.lower()], contacts()["right" if side == "Left" else "left"]
    assert lids.gap(face)[4, 2] > 5 * MILLIMETRE * np.ptp(face[:, 2]) / 0.17
    closed = face + basis[INDEX["eyeBlink" + side]]
    assert np.abs(lids.gap(closed)).max() < 0.05 * MILLIMETRE
    half = lids.gap(face + 0.5 * basis[INDEX["eyeBlink" + side]])[:, 2]
    assert (half >= -0.01 * MILLIMETRE).all() and half[4] > 2 * MILLIMETRE
    assert np.abs(basis[INDEX["eyeBlink" + side]][other.held]).max() < 0.01 * MILLIMETRE


@pytest.mark.parametrize("name", [n for n in ARKIT_NAMES if n.startswith("eye")])
def test_no_shape_makes_the_lids_cross(face, name):
    moved = face + landmark_basis(face)[INDEX[name]]
    for side in ("left", "right"):
        inside = contacts()[side].gap(face)[:, 2] > 0
        assert contacts()[side].gap(moved)[inside, 2].min() > -0.05 * MILLIMETRE


@pytest.mark.parametrize(
    "other", ["eyeSquint", "cheekSquint", "noseSneer", "mouthSmile", "browDown", "eyeLookDown"]
)
def test_lids_that_meet_with_another_shape_slide_over_each_other_not_through(face, other):
    basis = landmark_basis(face)
    both = face + basis[INDEX["eyeBlinkLeft"]] + basis[INDEX[other + "Left"]]
    gap = contacts()["left"].gap(both)
    assert gap[:, 2].max() < 0.1 * MILLIMETRE  # the eye is shut
    over = gap[gap[:, 2] < -0.3 * MILLIMETRE, 1]
    # One lid lies in front of the other along the whole line: they never interleave.
    assert (over < 0.1 * MILLIMETRE).all() or (over > -0.1 * MILLIMETRE).all()


@pytest.mark.parametrize("shaping", ["mouthFunnel", "mouthPucker"])
def test_rounded_lips_stay_apart_and_narrow_on_an_open_jaw(face, shaping):
    basis = landmark_basis(face)
    opened = face + shape(basis, jawOpen=0.5)
    rounded = opened + basis[INDEX[shaping]]
    assert lip_gap(rounded)[:, 2].min() > -0.05 * MILLIMETRE
    assert lip_gap(rounded)[5, 2] > 0.8 * lip_gap(opened)[5, 2]
    corners = [
        np.linalg.norm(points[RIGHT_INNER_LIP_CORNER] - points[LEFT_INNER_LIP_CORNER])
        for points in (opened, rounded)
    ]
    assert corners[1] < 0.9 * corners[0]
    sealed = rounded + shape(basis, mouthClose=0.5)
    assert lip_gap(sealed)[:, 2].min() > -0.05 * MILLIMETRE


def test_pucker_and_funnel_narrow_the_mouth_and_bring_the_lips_forward(face):
    basis = landmark_basis(face)
    width = face[LEFT_LIP_CORNER, 0] - face[RIGHT_LIP_CORNER, 0]
    for name, narrower in (("mouthPucker", 0.85), ("mouthFunnel", 0.95)):
        moved = face + basis[INDEX[name]]
        assert moved[LEFT_LIP_CORNER, 0] - moved[RIGHT_LIP_CORNER, 0] < narrower * width, name
        assert (
            moved[[UPPER_LIP, LOWER_LIP], 1].mean()
            < face[[UPPER_LIP, LOWER_LIP], 1].mean() - 1.5 * MILLIMETRE
        ), name


def test_smile_raises_its_own_corner_only(face):
    left = landmark_basis(face)[INDEX["mouthSmileLeft"]]
    assert left[LEFT_LIP_CORNER, 2] > 4 * MILLIMETRE and left[LEFT_LIP_CORNER, 0] > 2 * MILLIMETRE
    assert np.abs(left[RIGHT_LIP_CORNER]).max() < 2 * MILLIMETRE


def test_shapes_scale_with_the_face():
    small = landmark_basis(PEOPLE["child"])[INDEX["jawOpen"]]
    full = landmark_basis(PEOPLE["mean"])[INDEX["jawOpen"]]
    assert np.allclose(small, 0.8 * full, atol=0.05 * MILLIMETRE)


def test_the_tongue_leaves_the_skin_alone(face):
    assert not landmark_basis(face)[INDEX["tongueOut"]].any()


def test_the_table_matches_the_reference_head(shared_data):
    from backend.face.measure import measure_against_reference, reference_table

    errors = measure_against_reference(shared_data / "heads" / "arkit52_on_landmarks468.npz")
    print(reference_table(errors))
    assert len(errors) == 51
    assert np.mean([error.rms for error in errors]) < 0.06
    assert max(error.rms for error in errors) < 0.13
    assert np.mean([error.direction for error in errors]) < 25
    sizes = np.array([error.size for error in errors])
    assert (sizes > 0.75).all() and (sizes < 1.25).all()
