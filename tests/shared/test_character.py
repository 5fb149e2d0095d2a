# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared import character as contract
from shared.character import Character, FaceKeys
from shared.errors import ErrorKind, VividKeysError


@pytest.fixture
def character() -> Character:
    random = np.random.default_rng(5)
    return Character(
        vertices=random.standard_normal((6, 3)),
        triangles=np.array([[0, 1, 2], [3, 4, 5]]),
        piece=np.array([0, 0, 0, 1, 1, 1]),
        piece_names=("Body", "Eyes"),
        point_ids=np.array([33, 263]),
        point_places=random.standard_normal((2, 3)),
    )


@pytest.fixture
def keys() -> FaceKeys:
    random = np.random.default_rng(6)
    return FaceKeys(
        rows=np.array([0, 2, 5]),
        shapes=random.standard_normal((52, 3, 3)),
        offset_fields=random.standard_normal((12, 3, 3)),
        landmarks=random.standard_normal((468, 3)),
        meta={"warnings": ["The mouth cannot open."]},
    )


def test_a_character_survives_the_way(character: Character) -> None:
    arrays = contract.character_to_arrays(character)
    again = contract.character_to_arrays(contract.character_from_arrays(arrays))
    assert again.keys() == arrays.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_keys_survive_the_way(keys: FaceKeys) -> None:
    arrays = contract.keys_to_arrays(keys)
    again = contract.keys_from_arrays(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(contract.keys_to_arrays(again)[name], value, err_msg=name)
    assert again.meta == keys.meta


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vertices", np.full((6, 3), np.nan)),
        ("triangles", np.array([[0, 1, 6]])),
        ("piece", np.array([0, 0, 0, 1, 1, 2])),
        ("piece", np.zeros(5, np.int32)),
        ("piece_names", ()),
        ("point_ids", np.array([33, 468])),
        ("point_places", np.zeros((3, 3))),
    ],
)
def test_a_character_that_does_not_fit_is_refused(
    character: Character, field: str, value: object
) -> None:
    with pytest.raises(VividKeysError) as caught:
        replace(character, **{field: value})
    assert caught.value.kind == ErrorKind.BAD_ARRAY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rows", np.array([0, 5, 2])),
        ("rows", np.array([-1, 2, 5])),
        ("shapes", np.zeros((51, 3, 3))),
        ("offset_fields", np.zeros((65, 3, 3))),
        ("landmarks", np.zeros((12, 3))),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys: FaceKeys, field: str, value: object) -> None:
    with pytest.raises(VividKeysError) as caught:
        replace(keys, **{field: value})
    assert caught.value.kind == ErrorKind.BAD_ARRAY


def test_a_file_of_keys_is_for_numpy_alone(keys: FaceKeys, tmp_path: Path) -> None:
    contract.save_keys(keys, tmp_path / "keys.npz")
    z = np.load(tmp_path / "keys.npz", allow_pickle=False)
    assert json.loads(str(z["meta"])) == keys.meta
    np.testing.assert_array_equal(z["shapes"], keys.shapes)
    again = contract.keys_from_arrays(dict(z))
    assert again.meta == keys.meta


def test_too_fine_a_mesh_is_refused_with_what_to_do() -> None:
    count = contract.MAX_VERTICES + 1
    with pytest.raises(VividKeysError) as caught:
        Character(
            np.zeros((count, 3)), np.zeros((0, 3), np.int32), np.zeros(count, np.int32), ("A",)
        )
    assert caught.value.kind == ErrorKind.TOO_LARGE
    assert caught.value.next_step


def test_a_missing_part_is_named(character: Character, keys: FaceKeys) -> None:
    arrays = contract.character_to_arrays(character)
    del arrays["piece"]
    with pytest.raises(VividKeysError, match="piece"):
        contract.character_from_arrays(arrays)
    made = contract.keys_to_arrays(keys)
    del made["rows"]
    with pytest.raises(VividKeysError, match="rows"):
        contract.keys_from_arrays(made)
