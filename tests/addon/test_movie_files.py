# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a film goes on the user's disk: never over a file, never half there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blender_addon.video import movie_files
from blender_addon.video.movie_files import drop_old_previews, keep_film
from shared.errors import ErrorKind, VividKeysError


@pytest.fixture
def received(tmp_path: Path) -> Path:
    path = tmp_path / "job.received"
    path.write_bytes(b"a film")
    return path


def refuse(number: int) -> Callable[..., None]:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_names_that_are_taken_get_a_number(received: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vividkeys"
    folder.mkdir()
    (folder / "Satz.mp4").write_bytes(b"mine")
    (folder / "Satz 2.mp4").mkdir()
    kept = keep_film(received, [folder], "Satz", ".mp4")
    assert kept.name == "Satz 3.mp4" and kept.read_bytes() == b"a film"
    assert (folder / "Satz.mp4").read_bytes() == b"mine" and not received.exists()


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("Größe/1: a*b?", "Größe_1_ a_b_.mp4"),
        ("..", "Video.mp4"),
        ("", "Video.mp4"),
        ("x" * 300, "x" * 80 + ".mp4"),
        ("a\\b\n", "a_b_.mp4"),
    ],
)
def test_every_voice_gives_a_name_that_can_be_written(
    received: Path, tmp_path: Path, stem: str, name: str
) -> None:
    assert keep_film(received, [tmp_path / "films"], stem, ".mp4").name == name


def test_another_disk_gets_a_copy(
    received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def other_disk(source: Path, target: Path) -> None:
        if source == received:
            refuse(errno.EXDEV)()
        replace(source, target)

    monkeypatch.setattr(os, "replace", other_disk)
    kept = keep_film(received, [tmp_path / "films"], "Satz", ".mov")
    assert kept.read_bytes() == b"a film" and not received.exists()
    assert names(tmp_path / "films") == ["Satz.mov"]


def test_a_full_disk_leaves_nothing_there_and_the_next_folder_is_taken(
    received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    full, roomy = tmp_path / "full", tmp_path / "roomy"

    def only_here(source: Path, target: Path) -> None:
        if target.parent == full:
            refuse(errno.EXDEV)()
        replace(source, target)

    monkeypatch.setattr(os, "replace", only_here)
    monkeypatch.setattr(movie_files.shutil, "copyfile", refuse(errno.ENOSPC))
    assert keep_film(received, [full, roomy], "Satz", ".mp4").parent == roomy
    assert names(full) == []


def test_when_no_folder_takes_it_it_stays_and_the_reason_is_said(
    received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(VividKeysError) as caught:
        keep_film(received, [tmp_path / "file"], "Satz", ".mp4")
    assert caught.value.kind is ErrorKind.BAD_FILE
    monkeypatch.setattr(os, "replace", refuse(errno.EXDEV))
    monkeypatch.setattr(movie_files.shutil, "copyfile", refuse(errno.ENOSPC))
    with pytest.raises(VividKeysError) as caught:
        keep_film(received, [tmp_path / "full"], "Satz", ".mp4")
    assert caught.value.kind is ErrorKind.DISK_FULL and caught.value.next_step
    assert received.read_bytes() == b"a film" and names(tmp_path / "full") == []


def test_old_previews_go_and_young_ones_stay(tmp_path: Path) -> None:
    for name, age in (("old.mp4", movie_files.PREVIEWS_KEPT_SECONDS + 60), ("young.mp4", 60)):
        path = tmp_path / name
        path.write_bytes(b"")
        moment = path.stat().st_mtime - age
        os.utime(path, (moment, moment))
    drop_old_previews(tmp_path)
    assert names(tmp_path) == ["young.mp4"]
    drop_old_previews(tmp_path / "absent")
