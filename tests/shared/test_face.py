# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh, face_from_arrays, face_to_arrays, load_face, save_face


@pytest.fixture
def face() -> FaceMesh:
    random = np.random.default_rng(3)
    return FaceMesh(
        vertices=random.standard_normal((470, 3)),
        triangles=np.array([[0, 1, 2], [467, 468, 469]]),
        uvs=random.random((2, 3, 2)),
        texture=random.integers(0, 255, (8, 6, 3), np.uint8),
        materials=("skin", "teeth"),
        triangle_material=np.array([0, 1]),
        shapes=random.standard_normal((52, 470, 3)),
        meta={"warnings": ["Two faces were found; the larger one is used."]},
    )


def test_a_head_of_others_says_where_its_landmarks_are(face: FaceMesh) -> None:
    assert np.array_equal(face.landmarks, face.vertices[:468])
    own = replace(face, landmarks=face.vertices[-468:], part_names=("skin", "eyes"))
    loaded = face_from_arrays(face_to_arrays(own))
    assert np.array_equal(loaded.landmarks, face.vertices[-468:])
    assert loaded.part_names == ("skin", "eyes") and not loaded.vertex_part.any()


def test_a_saved_face_comes_back_equal(face: FaceMesh, tmp_path: Path) -> None:
    save_face(face, tmp_path / "face.npz")
    loaded = load_face(tmp_path / "face.npz")
    for name, value in face_to_arrays(face).items():
        np.testing.assert_array_equal(face_to_arrays(loaded)[name], value, err_msg=name)
    assert loaded.materials == face.materials
    assert loaded.meta == face.meta


def test_numpy_alone_reads_the_meta_of_a_file(face: FaceMesh, tmp_path: Path) -> None:
    save_face(face, tmp_path / "face.npz")
    z = np.load(tmp_path / "face.npz", allow_pickle=False)
    header = json.loads(str(z["meta"]))
    assert header == {"materials": ["skin", "teeth"], "parts": ["head"], "meta": face.meta}


def test_a_face_of_an_earlier_version_still_opens(face: FaceMesh, tmp_path: Path) -> None:
    header = {"materials": ["skin", "teeth"], "parts": ["head"], "meta": face.meta}
    old = {name: array for name, array in face_to_arrays(face).items() if name != "meta"}
    packed = np.frombuffer(json.dumps(header).encode("utf-8"), np.uint8)
    np.savez_compressed(tmp_path / "old.npz", **old, meta=packed)
    loaded = load_face(tmp_path / "old.npz")
    assert loaded.meta == face.meta and loaded.materials == face.materials


def test_posing_adds_the_weighted_shapes(face: FaceMesh) -> None:
    weights = np.zeros(52, np.float32)
    weights[INDEX["jawOpen"]] = 0.5
    expected = face.vertices + 0.5 * face.shapes[INDEX["jawOpen"]]
    np.testing.assert_allclose(face.posed(weights), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vertices", np.zeros((467, 3))),
        ("uvs", np.full((2, 3, 2), np.nan)),
        ("landmarks", np.zeros((467, 3))),
        ("vertex_part", np.full(470, 1)),
        ("texture", np.zeros((8, 6, 3), np.float32)),
        ("texture", np.zeros((0, 6, 3), np.uint8)),
        ("triangle_material", np.array([0, 2])),
        ("triangle_material", np.array([0])),
        ("shapes", np.zeros((51, 470, 3))),
    ],
)
def test_arrays_that_do_not_fit_are_refused(face: FaceMesh, field: str, value: object) -> None:
    with pytest.raises(VividKeysError) as caught:
        replace(face, **{field: value})
    assert caught.value.kind == ErrorKind.BAD_ARRAY


def test_a_missing_part_is_named(face: FaceMesh) -> None:
    arrays = face_to_arrays(face)
    del arrays["shapes"]
    with pytest.raises(VividKeysError, match="shapes"):
        face_from_arrays(arrays)
