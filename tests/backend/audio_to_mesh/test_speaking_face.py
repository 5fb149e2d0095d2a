# SPDX-License-Identifier: GPL-3.0-or-later
"""Which face a Take is made for when the face comes in a space of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.audio_to_mesh.speaking_face import speaking_landmarks
from backend.face.identity import identity_coefficients, landmarks_of
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh

PERSON = landmarks_of(np.array([1.5, -1.0, 0.5, 0, 0, 0, 0, 0])).astype(np.float32)


def face(landmarks: np.ndarray) -> FaceMesh:
    return FaceMesh(
        vertices=landmarks,
        triangles=np.array([[0, 1, 2]], np.int32),
        uvs=np.zeros((1, 3, 2), np.float32),
        texture=np.zeros((1, 1, 3), np.uint8),
        materials=("skin",),
        triangle_material=np.zeros(1, np.int32),
        shapes=np.zeros((52, 468, 3), np.float32),
    )


def test_a_head_of_ours_is_taken_as_it_is() -> None:
    assert np.array_equal(speaking_landmarks(face(PERSON)), PERSON)


@pytest.mark.parametrize("unit", [1.0, 10.0, 0.01])
def test_a_character_in_any_space_speaks_as_the_same_person(unit: float) -> None:
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    elsewhere = unit * (PERSON @ turn.T + np.array((3.0, -2.0, 17.0), np.float32))
    found = speaking_landmarks(face(elsewhere))
    assert np.abs(found).max() < 0.2  # metres, at the origin
    assert found[4, 1] == found[:, 1].min()  # the nose looks along -Y
    np.testing.assert_allclose(
        identity_coefficients(found), identity_coefficients(PERSON), atol=0.02
    )


def test_landmarks_in_one_place_are_refused() -> None:
    with pytest.raises(VividKeysError) as caught:
        speaking_landmarks(replace(face(PERSON), vertices=np.ones((468, 3), np.float32),
                                   landmarks=np.ones((468, 3), np.float32)))  # fmt: skip
    assert caught.value.kind is ErrorKind.BAD_ARRAY
