# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shared.backend_location import find_location, location_file, note_location


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    return tmp_path


def make_backend(folder: Path) -> Path:
    (folder / "backend").mkdir(parents=True)
    (folder / "backend" / "__main__.py").touch()
    return folder


def test_what_was_noted_is_found(tmp_path: Path) -> None:
    folder = make_backend(tmp_path / "Überall wo")
    note_location(Path(sys.executable), folder)
    assert find_location() == (Path(sys.executable), folder)


def test_a_backend_that_was_moved_is_not_found(tmp_path: Path) -> None:
    folder = make_backend(tmp_path / "here")
    note_location(Path(sys.executable), folder)
    folder.rename(tmp_path / "there")
    assert find_location() is None


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"python": 1, "folder": 2}'])
def test_a_note_that_is_missing_or_damaged_finds_nothing(content: str | None) -> None:
    if content is not None:
        location_file().parent.mkdir(parents=True)
        location_file().write_text(content)
    assert find_location() is None
