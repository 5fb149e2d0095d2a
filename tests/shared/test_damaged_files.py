# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged Takes, faces, tables and curves: a value, or an error with a sentence; and no memory
for what is only claimed."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import ErrorKind, VividKeysError
from shared.face import load_face
from shared.formats import (
    take_from_audio2face_json,
    take_from_livelink_csv,
    take_to_audio2face_json,
    take_to_livelink_csv,
)
from shared.npz import MOST_UNPACKED_BYTES, load_npz
from shared.take import Take, load_take, save_take, slice_take
from tests.mutations import spoilt, spoilt_archives

CASES = Path(__file__).resolve().parents[1] / "cases"
NEUTRAL = np.zeros((3, 3), np.float32)
TRIANGLES = np.array([[0, 1, 2]])
ROUNDS = 160


def refused(read: Callable[..., object], *given: Any) -> VividKeysError:
    with pytest.raises(VividKeysError) as caught:
        read(*given)
    assert caught.value.sentence and caught.value.next_step
    return caught.value


def value_or_error(read: Callable[..., object], *given: Any) -> bool:
    """Whether it could be read; anything but a value or an error of ours fails the test."""
    try:
        read(*given)
    except VividKeysError as error:
        assert error.kind in (ErrorKind.BAD_FILE, ErrorKind.TOO_LARGE, ErrorKind.BAD_ARRAY)
        assert error.sentence
        return False
    return True


@pytest.mark.parametrize(
    "name", sorted(path.name for path in CASES.glob("*take*"))
)  # fmt: skip
def test_damaged_takes_are_refused_with_a_sentence(name: str) -> None:
    assert refused(load_take, CASES / name).kind is ErrorKind.BAD_FILE


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("a2f-*.json")))
def test_damaged_audio2face_files_are_refused_with_a_sentence(name: str) -> None:
    text = (CASES / name).read_text("utf-8")
    error = refused(take_from_audio2face_json, text, NEUTRAL, TRIANGLES)
    assert error.kind is ErrorKind.BAD_FILE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"text"',
        "[" * 50_000 + "]" * 50_000,
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": ' + "[" * 50_000,
        '{"exportFps": NaN, "facsNames": ["jawOpen"], "weightMat": [[0.5]]}',
        '{"exportFps": true, "facsNames": ["jawOpen"], "weightMat": [[0.5]]}',
        '{"exportFps": 60, "facsNames": "jawOpen", "weightMat": [[0.5]]}',
        '{"exportFps": 60, "facsNames": [["jawOpen"]], "weightMat": [[0.5]]}',
        '{"exportFps": 60, "facsNames": {"jawOpen": 1}, "weightMat": [[0.5]]}',
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": [["0.5"]]}',
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": [[1e39]]}',
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": [[1' + "0" * 400 + "]]}",
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": [[0.5], [0.5, 1]]}',
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": []}',
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": [[0.5]], "rotations": 1e400}',
        '{"exportFps": 60, "facsNames": ["jawOpen"], "weightMat": [[0.5]], "rotations": [["a"]]}',
    ],
)
def test_strange_audio2face_texts_are_refused(text: str) -> None:
    error = refused(take_from_audio2face_json, text, NEUTRAL, TRIANGLES)
    assert error.kind is ErrorKind.BAD_FILE


@pytest.mark.parametrize(
    "text",
    [
        (CASES / "livelink-Error-97.bin").read_bytes().decode(),
        "jawOpen\r0.5\x00",
        'jawOpen\n"' + "x" * 200_000,
        "jawOpen\n1e400",
        "jawOpen\n1e39",
        "jawOpen\nnan",
        "jawOpen,headYaw\n0.5",
        "jawOpen\n" + "9" * 5000,
    ],
)
def test_strange_live_link_texts_are_refused(text: str) -> None:
    error = refused(take_from_livelink_csv, text, 60.0, NEUTRAL, TRIANGLES)
    assert error.kind is ErrorKind.BAD_FILE


@pytest.fixture
def short_take(small_take: Take) -> Take:
    return slice_take(small_take, 0, 4)


def test_spoilt_takes_are_takes_or_errors(short_take: Take, tmp_path: Path) -> None:
    path = tmp_path / "a.take.npz"
    save_take(short_take, path)
    read = 0
    for data in spoilt_archives(path.read_bytes(), ROUNDS):
        path.write_bytes(data)
        read += value_or_error(load_take, path)
        value_or_error(load_face, path)
    assert read < ROUNDS


def test_spoilt_live_link_files_are_takes_or_errors(short_take: Take) -> None:
    for data in spoilt(take_to_livelink_csv(short_take).encode(), ROUNDS):
        text = data.decode("utf-8", "replace")
        value_or_error(take_from_livelink_csv, text, 60.0, NEUTRAL, TRIANGLES)


def test_spoilt_audio2face_files_are_takes_or_errors(short_take: Take) -> None:
    for data in spoilt(take_to_audio2face_json(short_take).encode(), ROUNDS):
        text = data.decode("utf-8", "replace")
        value_or_error(take_from_audio2face_json, text, NEUTRAL, TRIANGLES)


def npy(head: str, body: bytes = b"") -> bytes:
    """An array's file with a header of one's own."""
    text = head.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def archive(path: Path, packing: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", packing) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


HEADER = "{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("'<f4'", "(57174604644352,)"),
        ("'<f4'", "(0, 2147483647, 2147483647, 2147483647)"),
        ("'<f4'", "(-1,)"),
        ("'<f4'", "(-1, -4)"),
        ("'<f4'", "(2.0,)"),
        ("'<f4'", "(True,)"),
        ("'<f4'", "((1,),)"),
        ("'<f4'", "1"),
        ("'<f4'", "(" + "1," * 40 + ")"),
        ("'<f4'", "(" + "9" * 5000 + ",)"),
        ("'<f4'", "(" * 3000),
        ("'|O'", "(1,)"),
        ("'<U1000000000'", "(1,)"),
        ("'|V1000'", "(1,)"),
        ("'<M8[s]'", "(1,)"),
        ("'<c8'", "(1,)"),
        ("[('a', '<f4')]", "(1,)"),
        ("('<f4', (1000000, 1000000))", "(1,)"),
        ("{'names': ['a'], 'formats': ['|O']}", "(1,)"),
        ("'nonsense'", "(1,)"),
        ("None", "(1,)"),
        ("__import__('os').system('true')", "(1,)"),
    ],
)
def test_the_head_of_an_array_is_not_believed(descr: str, shape: str, tmp_path: Path) -> None:
    head = HEADER.format(descr=descr, shape=shape)
    path = archive(tmp_path / "a.npz", a=npy(head, b"\0\0\0\0"))
    tracemalloc.start()
    try:
        error = refused(load_npz, path, "a test")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.kind is ErrorKind.BAD_FILE
    assert peak < 8 << 20


def test_letters_that_are_none_are_refused(tmp_path: Path) -> None:
    for letter in (0x110000, 0xFFFFFFFF, 0xD800):
        head = HEADER.format(descr="'<U1'", shape="(1,)")
        path = archive(tmp_path / "a.npz", names=npy(head, struct.pack("<I", letter)))
        assert refused(load_npz, path, "a test").kind is ErrorKind.BAD_FILE


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy(HEADER.format(descr="'|u1'", shape="(1,)")))
        for _ in range(20):
            member.write(bytes(1 << 20))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        size = file.infolist()[0].file_size
    # The list of members says that it is larger than anything that is read.
    place = data.rfind(struct.pack("<I", size))
    data[place : place + 4] = struct.pack("<I", MOST_UNPACKED_BYTES + 1)
    path.write_bytes(bytes(data))
    tracemalloc.start()
    try:
        error = refused(load_npz, path, "a test")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.kind in (ErrorKind.TOO_LARGE, ErrorKind.BAD_FILE)
    assert peak < 8 << 20


def test_other_packings_and_doubled_names_are_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, np.ones(3, np.float32))
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = archive(tmp_path / "a.npz", packing, a=whole.getvalue())
        assert refused(load_npz, path, "a test").kind is ErrorKind.BAD_FILE
    path = tmp_path / "b.npz"
    with zipfile.ZipFile(path, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a.npy", whole.getvalue())
        file.writestr("a.npy", whole.getvalue())
    assert refused(load_npz, path, "a test").kind is ErrorKind.BAD_FILE


def test_what_numpy_writes_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    arrays: dict[str, Any] = {
        "floats": random.standard_normal((3, 4, 5)),
        "columns": np.asfortranarray(random.standard_normal((3, 4))),
        "big_endian": np.arange(5, dtype=">i4"),
        "names": np.array(["jawOpen", "äöü", "😀"]),
        "one": np.float32(4),
        "nothing": np.zeros((0, 7, 3), np.float32),
        "flags": np.array([True, False]),
    }
    for save in (np.savez, np.savez_compressed):
        path = tmp_path / f"{save.__name__}.npz"
        save(path, **arrays)
        read = load_npz(path, "a test")
        assert set(read) == set(arrays)
        for name, array in arrays.items():
            assert read[name].dtype == np.asarray(array).dtype
            np.testing.assert_array_equal(read[name], array)
            assert read[name].flags.writeable
        assert set(load_npz(path, "a test", ("one",))) == {"one"}


@pytest.mark.parametrize(
    "meta",
    [
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1' + b"0" * 400 + b"}",
        b'{"a": 1e400}',
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"\xff",
        b"[]",
        b"",
    ],
)
def test_strange_notes_in_a_take_are_refused(meta: bytes, short_take: Take, tmp_path: Path) -> None:
    path = tmp_path / "a.take.npz"
    save_take(short_take, path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {**file, "meta": np.frombuffer(meta, np.uint8)}
    np.savez(path, **arrays)
    assert refused(load_take, path).kind is ErrorKind.BAD_FILE


@pytest.mark.parametrize(
    "change",
    [
        {"fps": np.float64(np.nan)},
        {"fps": np.array([60.0, 60.0])},
        {"fps": np.array(["60"])},
        {"weights": np.float32(1)},
        {"weights": np.zeros((4, 52), bool)},
        {"weights": np.full((4, 52), 1e300)},
        {"offset_basis": np.float32(1)},
        {"offset_weights": np.float32(1)},
        {"neutral": np.zeros((4, 3, 1), np.float32)},
        {"triangles": np.array([[0, 1, 2**63]], np.uint64)},
        {"triangles": np.array([[0.0, 1.0, 2.0]])},
        {"names": np.array("jawOpen")},
        {"names": np.zeros(52)},
        {"names": np.array([["jawOpen"] * 26] * 2)},
        {"meta": np.zeros((2, 2), np.uint8)},
        {"meta": np.float32(1)},
    ],
)
def test_arrays_that_are_no_takes_are_refused(
    change: dict[str, Any], short_take: Take, tmp_path: Path
) -> None:
    path = tmp_path / "a.take.npz"
    save_take(short_take, path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {**file, **change}
    np.savez(path, **arrays)
    assert refused(load_take, path).kind is ErrorKind.BAD_FILE


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "no file" in refused(load_take, tmp_path / "none.take.npz").sentence
    (tmp_path / "folder.npz").mkdir()
    refused(load_take, tmp_path / "folder.npz")


def test_json_of_a_take_that_was_saved_is_read_back(short_take: Take) -> None:
    text = take_to_audio2face_json(short_take)
    again = take_from_audio2face_json("\ufeff" + text, short_take.neutral, short_take.triangles)
    np.testing.assert_allclose(again.weights, short_take.weights, atol=1e-5)
    assert json.loads(text)["numFrames"] == 4
