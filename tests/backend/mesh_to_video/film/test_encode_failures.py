# SPDX-License-Identifier: GPL-3.0-or-later
"""Full disks, folders that refuse, frames that never come: nothing is left, or what plays."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_films import SOURCE, clicks, form, noise, picture, psnr, read_film

from backend.mesh_to_video.film import partial_file
from backend.mesh_to_video.film.encode import check_writable, open_writer
from backend.mesh_to_video.film.provenance import read_provenance
from shared.errors import ErrorKind, VividKeysError

OUTPUTS = ["film.mp4", "film.mov", "shot.png", "folder"]
ROOM = 300_000  # bytes that a file may have on the disk that is nearly full


@pytest.fixture
def nearly_full() -> Iterator[None]:
    """No file may grow beyond ROOM: the system refuses with EFBIG, which means the same."""
    if sys.platform == "win32":
        pytest.skip("Windows has no limit on the size of files")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("out", OUTPUTS)
def test_frames_that_fail_leave_nothing(tmp_path: Path, out: str) -> None:
    with pytest.raises(ZeroDivisionError), open_writer(tmp_path / out, form(32, 32)) as writer:
        for number in range(20):
            writer.write(picture(32, 32, number))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    writer.abandon()
    with pytest.raises(RuntimeError):
        writer.write(picture(32, 32))


@pytest.mark.parametrize("out", OUTPUTS)
def test_no_frame_is_no_video(tmp_path: Path, out: str) -> None:
    with (
        pytest.raises(VividKeysError, match="no frame"),
        open_writer(tmp_path / out, form(32, 32)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["film.mp4", "film.mov", "shot.png"])
def test_an_older_video_stays_until_the_new_one_is_finished(tmp_path: Path, out: str) -> None:
    older = tmp_path / out.replace(".png", "_0001.png")
    older.write_bytes(b"older")
    writer = open_writer(tmp_path / out, form(32, 32))
    for number in range(20):
        writer.write(picture(32, 32, number))
        assert older.read_bytes() == b"older"
    writer.abandon()
    assert older.read_bytes() == b"older" and list(tmp_path.iterdir()) == [older]
    with open_writer(tmp_path / out, form(32, 32)) as writer:
        writer.write(picture(32, 32))
    assert older.stat().st_size > 100 and list(tmp_path.iterdir()) == [older]


@pytest.mark.parametrize("out", OUTPUTS)
@pytest.mark.usefixtures("nearly_full")
def test_a_full_disk(tmp_path: Path, out: str) -> None:
    with (
        pytest.raises(VividKeysError) as raised,
        open_writer(tmp_path / out, form(384, 384)) as writer,
    ):
        for number in range(30):
            writer.write(noise(384, 384, number))
    assert raised.value.kind is ErrorKind.DISK_FULL
    assert "no room" in raised.value.sentence and "Free some space" in raised.value.next_step
    assert list(tmp_path.iterdir()) == [] and writer.partial is None


@pytest.mark.usefixtures("nearly_full")
def test_a_disk_that_is_full_only_when_the_film_is_finished(tmp_path: Path) -> None:
    """The encoder still holds frames, and the index is still to come."""
    with (
        pytest.raises(VividKeysError) as raised,
        open_writer(tmp_path / "film.mp4", form(384, 384)) as writer,
    ):
        for number in range(4):
            writer.write(noise(384, 384, number))
    assert raised.value.kind is ErrorKind.DISK_FULL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["film.mp4", "film.mov"])
@pytest.mark.usefixtures("nearly_full")
def test_what_came_before_the_disk_was_full_can_be_kept(tmp_path: Path, out: str) -> None:
    sound = clicks(tmp_path / "clicks.wav", 1.0, [0.4])
    with (
        pytest.raises(VividKeysError) as raised,
        open_writer(tmp_path / out, form(64, 64, 10.0, 300, keep_partial=True), sound) as writer,
    ):
        for number in range(300):
            writer.write(noise(64, 64, number))
    assert raised.value.kind is ErrorKind.DISK_FULL
    assert writer.partial == tmp_path / out.replace(".", ".partial.")
    film = read_film(writer.partial)
    assert 10 <= len(film.frames) < 290
    assert psnr(film.frames[9], noise(64, 64, 9)) > 12
    assert film.click_times() == pytest.approx([0.4], abs=2e-3)
    assert len(list(tmp_path.iterdir())) == 2  # with the sound


def test_pictures_that_were_made_can_be_kept(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        open_writer(tmp_path / "shot.png", form(32, 32, keep_partial=True)) as writer,
    ):
        for number in range(3):
            writer.write(picture(32, 32, number))
        raise ZeroDivisionError
    assert writer.partial == tmp_path / "shot.partial"
    names = sorted(path.name for path in writer.partial.iterdir())
    assert names == ["shot_0001.png", "shot_0002.png", "shot_0003.png"]
    assert list(tmp_path.iterdir()) == [writer.partial]


@pytest.mark.parametrize("out", ["film.mp4", "film.mov"])
@pytest.mark.parametrize("fragmented", [False, True])
def test_a_stopped_film_that_is_kept_has_every_frame(
    tmp_path: Path, out: str, fragmented: bool
) -> None:
    (tmp_path / out).write_bytes(b"older")
    with pytest.raises(KeyboardInterrupt):
        extra = {"keep_partial": True, "fragmented": fragmented}
        with open_writer(tmp_path / out, form(64, 64, **extra)) as writer:
            for number in range(37):
                writer.write(picture(64, 64, number))
            raise KeyboardInterrupt
    assert (tmp_path / out).read_bytes() == b"older"
    assert writer.partial is not None and len(read_film(writer.partial).frames) == 37
    assert read_provenance(writer.partial) == SOURCE


@pytest.mark.parametrize("out", ["film.mp4", "film.mov"])
def test_a_fragmented_film_plays_while_it_grows(tmp_path: Path, out: str) -> None:
    sound = clicks(tmp_path / "clicks.wav", 10.0, [0.5])
    writer = open_writer(tmp_path / out, form(64, 64, 25.0, 250, fragmented=True), sound)
    for number in range(120):
        writer.write(noise(64, 64, number))
    (growing,) = (path for path in tmp_path.iterdir() if path.name.startswith(".film.partial"))
    so_far = tmp_path / f"copy{growing.suffix}"
    so_far.write_bytes(growing.read_bytes())
    writer.abandon()
    film = read_film(so_far)
    assert len(film.frames) >= 50
    assert film.click_times() == pytest.approx([0.5], abs=2e-3)


@pytest.mark.parametrize("out", OUTPUTS)
def test_a_place_where_nothing_can_be_written(tmp_path: Path, out: str) -> None:
    (tmp_path / "note.txt").write_text("a file, not a folder")
    place = tmp_path / "note.txt" / out
    for attempt in (lambda: open_writer(place, form(32, 32)), lambda: check_writable(place)):
        with pytest.raises(VividKeysError) as raised:
            attempt()
        assert raised.value.kind is ErrorKind.BAD_FILE
        assert "cannot be written" in raised.value.sentence and raised.value.next_step
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_folder_that_refuses(tmp_path: Path) -> None:
    if sys.platform == "win32" or os.geteuid() == 0:
        pytest.skip("this user may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(VividKeysError, match="cannot be written"):
        check_writable(tmp_path / "film.mp4")
    tmp_path.chmod(0o700)


def test_a_look_at_the_place_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder" / "film.mp4")
    check_writable(tmp_path / "pictures")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_by_the_name_of_a_film(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").mkdir()
    with pytest.raises(VividKeysError, match="is a folder"):
        open_writer(tmp_path / "film.mp4", form(32, 32))


def test_a_film_that_another_program_holds_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "film.mp4"
    replace = os.replace

    def refuse(source: Path, place: Path) -> None:
        if place == target:
            raise PermissionError(13, "in use")
        replace(source, place)

    monkeypatch.setattr(partial_file.os, "replace", refuse)
    with (
        pytest.raises(VividKeysError, match=r"finished video is 'film\.new\.mp4'"),
        open_writer(target, form(32, 32)) as writer,
    ):
        for number in range(5):
            writer.write(picture(32, 32, number))
    assert len(read_film(tmp_path / "film.new.mp4").frames) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["film.new.mp4"]
