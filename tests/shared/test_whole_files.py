# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or not there: what a failure leaves, names nobody shares, permissions."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from shared.disk_errors import told_of_the_disk
from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import write_whole, written_whole

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_text_and_bytes_arrive_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.json"
    write_whole(path, "Ä\n")
    assert path.read_bytes() == b"\xc3\x84\n"
    write_whole(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, problem: type[BaseException]
) -> None:
    path = tmp_path / "note.json"
    path.write_text("old")
    with pytest.raises(problem), written_whole(path) as temporary:
        temporary.write_text("half of the n")
        raise problem
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_there_until_the_new_one_is_done(tmp_path: Path) -> None:
    path = tmp_path / "head.glb"
    path.write_text("old")
    with written_whole(path, suffix=".glb") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".glb"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_listing_by_suffix_does_not_see_what_is_being_written(tmp_path: Path) -> None:
    with written_whole(tmp_path / "face.npz"):
        assert list(tmp_path.glob("*.npz")) == []


def test_a_file_that_is_written_twice_at_the_same_time_is_one_of_both(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    both_there = threading.Barrier(2, timeout=60)

    def write(letter: str) -> None:
        with written_whole(path) as temporary:
            both_there.wait()
            temporary.write_text(letter * 10_000)
            both_there.wait()

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 10_000, "b" * 10_000)
    assert list(tmp_path.iterdir()) == [path]


@POSIX
def test_permissions_are_the_usual_ones_kept_or_private(tmp_path: Path) -> None:
    path, plain = tmp_path / "note.json", tmp_path / "plain"
    plain.touch()
    write_whole(path, "new")
    assert mode(path) == mode(plain)
    path.chmod(0o640)
    write_whole(path, "again")
    assert mode(path) == 0o640
    with written_whole(path, private=True) as temporary:
        assert mode(temporary) == 0o600
    assert mode(path) == 0o600


@POSIX
def test_a_writer_that_makes_its_own_file_does_not_change_the_permissions(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.touch(0o644)
    before = mode(path)
    with written_whole(path) as temporary:
        temporary.unlink()
        temporary.touch(0o600)
    assert mode(path) == before


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, ErrorKind.DISK_FULL), (errno.EACCES, ErrorKind.BAD_FILE)]
)
def test_what_the_disk_refuses_is_told(tmp_path: Path, number: int, kind: ErrorKind) -> None:
    path = tmp_path / "line.npz"
    with (
        pytest.raises(VividKeysError) as caught,
        told_of_the_disk(path, "render"),
        written_whole(path),
    ):
        raise OSError(number, os.strerror(number))
    assert caught.value.kind is kind and "line.npz" in caught.value.sentence
    assert not list(tmp_path.iterdir())
