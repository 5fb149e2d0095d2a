# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged files of heads, of landmarks and of ICT-FaceKit: a value, or an error with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import heads
from backend.heads.add import _landmarks
from backend.heads.folder import head_path
from backend.heads.ict import is_ict_npz, read_ict_npz
from backend.heads.stored_head import StoredHead, head_meta, load_head, save_head
from backend.mesh_files import read_mesh
from backend.watch import UNWATCHED
from shared.arkit import ARKIT_NAMES
from shared.errors import ErrorKind, VividKeysError
from tests.mutations import spoilt_archives

ROUNDS = 120


def small_head() -> StoredHead:
    return StoredHead(
        vertices=np.eye(3, dtype=np.float32),
        triangles=np.array([[0, 1, 2]], np.int32),
        uvs=np.zeros((1, 3, 2), np.float32),
        texture=np.full((1, 1, 3), 200, np.uint8),
        materials=("skin",),
        triangle_material=np.zeros(1, np.int32),
        shapes=np.ones((len(ARKIT_NAMES), 3, 3), np.float32),
        modes=np.ones((2, 3, 3), np.float32),
        part_names=("head",),
        vertex_part=np.zeros(3, np.int32),
        landmark_triangles=np.tile(np.arange(3, dtype=np.int32), (468, 1)),
        landmark_shares=np.full((468, 3), 1 / 3, np.float32),
        field_rows=np.array([0, 2], np.int32),
        field_landmarks=np.zeros((2, 8), np.int32),
        field_shares=np.zeros((2, 8), np.float32),
        meta={"title": "small", "licence": "", "missing": [], "warnings": []},
    )


def value_or_error(read: Any, *given: Any) -> bool:
    try:
        read(*given)
    except VividKeysError as error:
        assert error.kind in (ErrorKind.BAD_FILE, ErrorKind.TOO_LARGE)
        assert error.sentence and error.next_step
        return False
    return True


def test_spoilt_heads_are_heads_or_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.head.npz"
    save_head(small_head(), path)
    assert value_or_error(load_head, path)
    read = 0
    for data in spoilt_archives(path.read_bytes(), ROUNDS):
        path.write_bytes(data)
        read += value_or_error(load_head, path)
        value_or_error(head_meta, path)
    assert 0 < read < ROUNDS


@pytest.mark.parametrize(
    "change",
    [
        {"texture": np.zeros((1, 1, 3))},
        {"texture": np.zeros((1, 3), np.uint8)},
        {"texture": np.array("a picture")},
        {"field_rows": np.int32(0)},
        {"vertex_part": np.int32(0)},
        {"vertices": np.full((3, 3), np.nan)},
        {"shapes_scale": np.full(52, 1e300)},
        {"shapes": np.zeros((52, 3, 3))},
        {"meta": np.frombuffer(b"[" * 50_000, np.uint8)},
        {"meta": np.frombuffer(b'{"meta": [], "materials": [], "parts": []}', np.uint8)},
        {"meta": np.frombuffer(b'{"meta": {}, "materials": 1, "parts": []}', np.uint8)},
        {"meta": np.float32(1)},
    ],
)
def test_a_head_of_other_arrays_is_damaged_and_listed_by_nobody(change: dict[str, Any]) -> None:
    path = head_path("small")
    path.parent.mkdir(parents=True)
    save_head(small_head(), path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {**file, **change}
    np.savez(path, **arrays)
    with pytest.raises(VividKeysError, match="damaged"):
        load_head(path)
    heads.installed_heads()  # whatever is in it


def test_spoilt_tables_of_landmarks_are_tables_or_errors(tmp_path: Path) -> None:
    mesh_path, table = tmp_path / "a.npz", tmp_path / "landmarks.npz"
    np.savez(mesh_path, vertices=np.eye(3), triangles=np.array([[0, 1, 2]]))
    mesh = read_mesh(mesh_path)

    def read() -> None:
        _landmarks(mesh, table, UNWATCHED)

    corners = np.tile(np.arange(3), (468, 1))
    np.savez(table, triangles=corners, barycentric=np.full((468, 3), 1 / 3), names=np.array(["a"]))
    assert value_or_error(read)
    whole = table.read_bytes()
    for data in spoilt_archives(whole, ROUNDS):
        table.write_bytes(data)
        value_or_error(read)
    for arrays in (
        {"triangles": corners, "barycentric": np.full((468, 3), "a third")},
        {"triangles": corners, "barycentric": np.full((468, 3), np.nan)},
        {"triangles": corners.astype(str), "barycentric": np.full((468, 3), 1 / 3)},
        {"landmarks": np.full((468, 3), "here")},
        {"landmarks": np.float64(1)},
        {},
    ):
        np.savez(table, **arrays)
        assert not value_or_error(read)


def test_spoilt_files_of_ict_are_read_or_errors(tmp_path: Path) -> None:
    path = tmp_path / "ict.npz"
    faces = np.array([[0, 1, 2, -1], [0, 1, 2, 3]], np.int32)
    arrays: dict[str, Any] = {
        "neutral": np.zeros((200, 3), np.float32),
        "uv": np.zeros((4, 2), np.float32),
        "faces": faces,
        "face_uvs": np.abs(faces),
        "expression_names": np.array(["jawOpen"]),
        "expression_deltas": np.ones((1, 200, 3), np.int16),
        "expression_scale": np.ones(1, np.float32),
        "identity_deltas": np.ones((1, 200, 3), np.int16),
        "identity_scale": np.ones(1, np.float32),
    }
    np.savez_compressed(path, **arrays)
    assert is_ict_npz(path) and value_or_error(read_ict_npz, path)
    read = 0
    for data in spoilt_archives(path.read_bytes(), ROUNDS):
        path.write_bytes(data)
        is_ict_npz(path)
        read += value_or_error(read_ict_npz, path)
    assert 0 < read < ROUNDS
    for name, value in (
        ("faces", np.zeros(4, np.int32)),
        ("faces", np.zeros((0, 4), np.int32)),
        ("expression_scale", np.array(["1"])),
        ("expression_scale", np.array([np.inf])),
        ("expression_deltas", np.ones((1, 200, 3), dtype="<U1")),
        ("uv", np.float32(1)),
        ("neutral", np.float32(1)),
    ):
        np.savez(path, **{**arrays, name: value})
        assert not value_or_error(read_ict_npz, path)
