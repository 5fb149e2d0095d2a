# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of a repository is the one that Blender's own program writes for the same zips.

That Blender installs and updates from it is tested in tests/blender/test_repository.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from installer import extension_repository, extension_zip, wheels
from installer.extension_zip import TARGETS
from installer.failure import SetupError
from installer.paths import ROOT


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of all zips; what is in their wheels does not matter to an index."""
    monkeypatch.setattr(wheels, "WHEELS", tmp_path / "wheels")
    wheels.WHEELS.mkdir()
    for target in TARGETS:
        target.wheel.path.write_bytes(b"a wheel")
    extension_repository.write(tmp_path / "repository", list(TARGETS))
    return tmp_path / "repository"


def entries(folder: Path) -> dict[str, Any]:
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert (index["version"], index["blocklist"]) == ("v1", [])
    found = {entry["archive_url"]: entry for entry in index["data"]}
    assert len(found) == len(index["data"])
    return found


def test_it_is_what_blenders_own_program_writes(
    repository: Path,
    tmp_path: Path,
    extension_tool,  # type: ignore[no-untyped-def]
) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(repository, theirs, ignore=shutil.ignore_patterns("index.json"))
    answer = extension_tool("server-generate", "--repo-dir", str(theirs))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "duplicate" not in answer.stdout.lower(), "two zips for one Blender"
    assert entries(repository) == entries(theirs)
    assert len(entries(repository)) == len(TARGETS)


def test_every_zip_is_there_and_is_the_one_described(repository: Path) -> None:
    for url, entry in entries(repository).items():
        assert (repository / url).stat().st_size == entry["archive_size"]
        assert entry["version"] == extension_zip.product_version()
    assert {path.suffix for path in repository.iterdir()} == {".zip", ".json"}


def test_a_newer_version_takes_the_place_of_the_older_in_the_index(
    repository: Path, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    for name in ("blender_addon", "shared"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "LICENSE", checkout)
    version = checkout / "shared" / "version.py"
    older = extension_zip.product_version()
    version.write_text(version.read_text("utf-8").replace(older, "99.0.0"), "utf-8")
    extension_repository.write(repository, list(TARGETS), checkout)
    assert {entry["version"] for entry in entries(repository).values()} == {"99.0.0"}
    assert len(list(repository.glob(f"*-{older}-*.zip"))) == len(TARGETS), "still being fetched"


def test_a_folder_that_cannot_be_written_is_a_sentence(repository: Path) -> None:
    with pytest.raises(SetupError, match="cannot be written"):
        extension_repository.write(repository / "index.json", list(TARGETS))
