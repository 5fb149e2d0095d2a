# SPDX-License-Identifier: GPL-3.0-or-later
"""The lip fields of a whole head: those of the landmarks, spread softly, nothing far away."""

from __future__ import annotations

import numpy as np
import pytest

from backend.face import template_face
from backend.face.arkit_basis import landmark_basis
from backend.face.lip_contact import lip_shapes
from backend.face.lip_fields import OFFSET_COUNT, offset_basis
from shared.arkit import INDEX
from shared.errors import VividKeysError
from shared.face import face_from_arrays, face_to_arrays
from shared.landmarks import INNER_LIP_LOWER, INNER_LIP_UPPER, LANDMARK_COUNT, UPPER_LIP_EDGE


@pytest.fixture(scope="module")
def head():  # type: ignore[no-untyped-def]
    return template_face()


def test_on_the_landmarks_they_are_the_basis(head) -> None:  # type: ignore[no-untyped-def]
    basis = offset_basis(head.vertices[:LANDMARK_COUNT])
    assert head.offset_fields.shape == (OFFSET_COUNT, len(head.vertices), 3)
    away = np.abs(head.offset_fields[:, :LANDMARK_COUNT] - basis)
    assert np.abs(basis).max() > 3e-4
    assert away.max() < 2e-5, "less than a fortieth of the largest motion"


def test_they_are_smooth_and_end_with_the_lower_face(head) -> None:  # type: ignore[no-untyped-def]
    skin = head.triangles[head.triangle_material == head.materials.index("skin")]
    edges = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    jumps = np.linalg.norm(
        head.offset_fields[:, edges[:, 0]] - head.offset_fields[:, edges[:, 1]], axis=2
    )
    lengths = np.linalg.norm(head.vertices[edges[:, 0]] - head.vertices[edges[:, 1]], axis=1)
    assert (jumps / lengths).max() < 0.12, "no fold in the skin at one deviation"
    away = np.linalg.norm(head.vertices - head.vertices[UPPER_LIP_EDGE], axis=1)
    moved = np.linalg.norm(head.offset_fields, axis=2).max(axis=0)
    assert moved[away < 0.02].max() > 4e-4
    assert not moved[away > 0.14].any()
    eyes = head.vertices[:, 2] > head.vertices[168, 2]
    assert not moved[eyes].any()
    # Vertices between landmarks move too, or a moved lip would be a row of spikes.
    between = np.setdiff1d(np.unique(skin), np.arange(LANDMARK_COUNT))
    near = between[away[between] < 0.015]
    assert len(near) > 50 and np.median(moved[near]) > 1e-4


def test_they_close_on_the_head_what_they_close_on_the_landmarks(head) -> None:  # type: ignore[no-untyped-def]
    neutral = head.vertices[:LANDMARK_COUNT].astype(np.float64)
    shapes = lip_shapes(neutral, landmark_basis(neutral))
    assert shapes.edges.shape[0] == 18
    weights = np.zeros(52, np.float32)
    weights[INDEX["jawOpen"]] = weights[INDEX["mouthClose"]] = 0.3
    upper, lower = list(INNER_LIP_UPPER), list(INNER_LIP_LOWER)
    for amount in (-2.0, 2.0):
        for field, basis in zip(head.offset_fields, offset_basis(neutral), strict=True):
            on_head = head.posed(weights) + amount * field
            flat = neutral + np.tensordot(weights, landmark_basis(neutral), axes=1) + amount * basis
            gap = (on_head[upper] - on_head[lower]) - (flat[upper] - flat[lower])
            assert np.linalg.norm(gap, axis=1).max() < 1.5e-4


def test_they_travel_small_and_come_back_whole(head) -> None:  # type: ignore[no-untyped-def]
    arrays = face_to_arrays(head)
    assert arrays["offset_fields"].nbytes < 200_000
    again = face_from_arrays(arrays)
    np.testing.assert_array_equal(again.offset_fields, head.offset_fields)
    plain = {n: a for n, a in arrays.items() if not n.startswith("offset_")}
    assert face_from_arrays(plain).offset_fields.shape == (0, len(head.vertices), 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset_rows": np.array([0, 99_999], np.int32)},
        {"offset_rows": np.array([-1, 3], np.int32)},
        {"offset_rows": np.array([0.5, 1.5])},
        {"offset_rows": np.zeros((2, 2), np.int32)},
        {"offset_rows": np.array(3, np.int32)},
        {"offset_rows": None},
        {"offset_fields": None},
        {"offset_fields": np.zeros((12, 1, 3), np.float32)},
        {"offset_fields": np.full((12, 2, 3), np.nan, np.float32)},
        {"offset_fields": np.zeros((999, 2, 3), np.float32)},
    ],
)
def test_fields_that_do_not_fit_are_refused(head, wrong) -> None:  # type: ignore[no-untyped-def]
    arrays = face_to_arrays(head)
    arrays["offset_rows"] = np.array([3, 7], np.int32)
    arrays["offset_fields"] = np.zeros((12, 2, 3), np.float32)
    assert len(face_from_arrays(arrays).offset_fields) == 12
    for name, value in wrong.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    with pytest.raises(VividKeysError):
        face_from_arrays(arrays)
