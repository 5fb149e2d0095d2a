# SPDX-License-Identifier: GPL-3.0-or-later
"""One head's shapes carried to another face: they come back on the same one, and fit another."""

from __future__ import annotations

import numpy as np
import pytest

from backend.face.arkit_basis import contacts, landmark_basis
from backend.face.identity import closed_template, landmarks_of
from backend.transfer.shape_source import ShapeSource, carried_shapes
from shared.arkit import ARKIT_NAMES, INDEX

MILLIMETRE = 0.001


def away(carried: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference, without the shapes of which lips make something of their own."""
    lips = ("mouthRollLower", "mouthRollUpper", "mouthClose")
    rows = [number for number, name in enumerate(ARKIT_NAMES) if name not in lips]
    return float(np.abs(carried - wanted)[rows].max())


@pytest.fixture(scope="module")
def source() -> ShapeSource:
    face = closed_template()
    return ShapeSource("mean", face, landmark_basis(face))


def test_the_same_face_gets_the_same_shapes(source: ShapeSource) -> None:
    carried = carried_shapes(source, source.landmarks)
    assert away(carried, source.shapes) < 0.1 * MILLIMETRE


def test_turn_place_and_unit_of_the_source_do_not_matter(source: ShapeSource) -> None:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    other = ShapeSource(
        "turned", 100.0 * source.landmarks @ turn.T + (5, 6, 7), 100.0 * source.shapes @ turn.T
    )
    carried = carried_shapes(other, source.landmarks)
    assert away(carried, source.shapes) < 0.1 * MILLIMETRE


def test_another_face_gets_them_in_its_own_proportions(source: ShapeSource) -> None:
    face = landmarks_of(np.array([2.0, -1.5, 1.0, 0, 0, 0, 0, 0]))
    carried = carried_shapes(source, face)
    assert away(carried, source.shapes) > 1.0 * MILLIMETRE
    own = landmark_basis(face)
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp", "mouthPucker", "noseSneerRight"):
        made, wanted = carried[INDEX[name]], own[INDEX[name]]
        cosine = (made * wanted).sum() / np.linalg.norm(made) / np.linalg.norm(wanted)
        assert cosine > 0.97, name
    blink = face + carried[INDEX["eyeBlinkLeft"]]
    assert np.abs(contacts()["left"].gap(blink)).max() < 0.05 * MILLIMETRE
    sealed = face + carried[INDEX["jawOpen"]] + carried[INDEX["mouthClose"]]
    assert np.abs(contacts()["lips"].gap(sealed)).max() < 0.05 * MILLIMETRE
    for name in ARKIT_NAMES:
        if name != "mouthClose":
            lips = contacts()["lips"].gap(face + carried[INDEX[name]])
            assert lips[:, 2].min() > -0.1 * MILLIMETRE or "Roll" in name, name


def test_what_the_source_lacks_comes_from_the_muscle_table(source: ShapeSource) -> None:
    shapes = source.shapes.copy()
    shapes[INDEX["cheekPuff"]] = 0.0
    poor = ShapeSource("poor", source.landmarks, shapes)
    assert "cheekPuff" in poor.missing
    carried = carried_shapes(poor, source.landmarks)
    assert away(carried, source.shapes) < 0.1 * MILLIMETRE
