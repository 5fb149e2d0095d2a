# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for our own head without its shapes: they must come back."""

from __future__ import annotations

import numpy as np
import pytest
from bare_heads import character, full_shapes, known, mask, shape

from backend.face import template_face
from backend.face.head.parts import MATERIALS
from backend.transfer.make_keys import make_keys
from backend.watch import Watch
from shared.arkit import ARKIT_NAMES, INDEX
from shared.character import FaceKeys
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh
from shared.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
)


@pytest.fixture(scope="module")
def head() -> FaceMesh:
    return template_face()


@pytest.fixture(scope="module")
def keys(head: FaceMesh) -> FaceKeys:
    places = head.landmarks.astype(np.float64)
    return make_keys(character(head.vertices, head.triangles), landmarks=known(places))


def test_our_own_shapes_come_back(head: FaceMesh, keys: FaceKeys) -> None:
    made = full_shapes(keys, len(head.vertices))
    for number, name in enumerate(ARKIT_NAMES):
        reference = head.shapes[number].astype(np.float64)
        skin = reference[:468]
        if not skin.any():
            continue
        error = np.sqrt(((made[number, :468] - skin) ** 2).sum(axis=1).mean())
        largest = np.linalg.norm(skin, axis=1).max()
        assert error < 0.05 * largest, f"{name}: {1000 * error:.2f} of {1000 * largest:.1f} mm"


def test_the_lip_fields_come_back(head: FaceMesh, keys: FaceKeys) -> None:
    made = np.zeros_like(head.offset_fields)
    made[:, keys.rows] = keys.offset_fields
    error = np.linalg.norm(made[:, :468] - head.offset_fields[:, :468])
    assert error < 0.2 * np.linalg.norm(head.offset_fields[:, :468])


def test_the_mouth_opens_and_closes_again(head: FaceMesh, keys: FaceKeys) -> None:
    upper, lower = list(INNER_LIP_UPPER), list(INNER_LIP_LOWER)
    opened = shape(keys, "jawOpen", len(head.vertices))
    gap = (opened[upper] - opened[lower])[:, 2]
    assert gap[5] > 0.02, "the lips do not part"
    closed = opened + shape(keys, "mouthClose", len(head.vertices))
    left = np.abs((closed[upper] - closed[lower])[:, 2])
    assert left.max() < 0.0009


def test_a_blink_closes_the_eye(head: FaceMesh, keys: FaceKeys) -> None:
    posed = head.vertices + shape(keys, "eyeBlinkLeft", len(head.vertices))
    upper, lower = posed[list(LEFT_LID_UPPER)], posed[list(LEFT_LID_LOWER)]
    assert (upper - lower)[2:-2, 2].max() < 0.0004
    other = shape(keys, "eyeBlinkLeft", len(head.vertices))[[159, 145]]
    assert np.abs(other).max() < 1e-4, "the other eye moves"


def test_eyes_turn_and_the_lower_teeth_go_with_the_jaw(head: FaceMesh, keys: FaceKeys) -> None:
    def of(material: str) -> np.ndarray:
        return np.unique(head.triangles[head.triangle_material == MATERIALS.index(material)])

    look = shape(keys, "eyeLookUpLeft", len(head.vertices))
    eyes = of("eye")
    left = eyes[head.vertices[eyes, 0] > 0]
    assert np.allclose(look[left], head.shapes[INDEX["eyeLookUpLeft"], left], atol=2e-4)
    teeth = of("teeth_and_gums")
    opened = shape(keys, "jawOpen", len(head.vertices))[teeth]
    # The hinge follows from landmarks that were found, not known: a millimetre of the 25 or so.
    assert np.allclose(opened, head.shapes[INDEX["jawOpen"], teeth], atol=1e-3)
    assert np.ptp(opened[:, 2]) > 0.015  # the upper ones stay
    tongue = shape(keys, "tongueOut", len(head.vertices))[of("mouth_and_tongue")]
    assert tongue[:, 1].min() < -0.02


def test_nothing_below_the_neck_moves(head: FaceMesh, keys: FaceKeys) -> None:
    below = np.flatnonzero(head.vertices[:, 2] < head.landmarks[152, 2] - 0.06)
    assert len(below) and not np.isin(below, keys.rows).any()


def test_size_turn_and_place_of_a_character_do_not_matter() -> None:
    vertices, triangles = mask()
    angle = np.radians(40.0)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = 37.0 * vertices @ turn.T + (3.0, -50.0, 160.0)
    plain = make_keys(character(vertices, triangles), landmarks=known(vertices))
    other = make_keys(character(moved, triangles), landmarks=known(moved))
    expected = 37.0 * full_shapes(plain, 468) @ turn.T
    # Numbers of single precision 160 units away, and pixels that fall differently.
    assert np.abs(full_shapes(other, 468) - expected).max() < 37.0 * 0.0008


def test_a_cancelled_transfer_stops_at_once(head: FaceMesh) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6

    vertices, triangles = mask()
    with pytest.raises(VividKeysError) as problem:
        make_keys(
            character(vertices, triangles),
            landmarks=known(vertices),
            watch=Watch(cancelled=cancelled),
        )
    assert problem.value.kind is ErrorKind.CANCELLED
    assert asked == 7


def test_progress_rises_to_the_end() -> None:
    vertices, triangles = mask()
    said: list[tuple[float, str]] = []
    make_keys(
        character(vertices, triangles),
        landmarks=known(vertices),
        watch=Watch(lambda fraction, sentence: said.append((fraction, sentence))),
    )
    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions) and fractions[-1] <= 1.0 and len(fractions) > 8
    assert all(sentence for _, sentence in said)
