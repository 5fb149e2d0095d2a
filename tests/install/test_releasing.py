# SPDX-License-Identifier: GPL-3.0-or-later
"""One version everywhere, and a release that cannot be built from a tag that does not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from installer import releasing
from installer.failure import SetupError
from installer.paths import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    for name in ("shared/version.py", "pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_version_is_the_same_everywhere() -> None:
    versions = releasing.versions()
    assert len(versions) == 3 and len(set(versions.values())) == 1, versions


def test_changelog() -> None:
    sections = releasing.changelog()
    assert next(iter(sections)) == "Unreleased"
    for version, (date, text) in sections.items():
        assert (date == "") is (version == "Unreleased"), version
        assert version == "Unreleased" or text
        kinds = [line[4:] for line in text.splitlines() if line.startswith("### ")]
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert len(kinds) == len(set(kinds)), f"{version}: a heading twice"
    dates = [date for date, _ in sections.values() if date]
    assert dates == sorted(dates, reverse=True)


def test_a_tag_has_to_fit(checkout: Path) -> None:
    version = releasing.versions(checkout)["pyproject.toml"]
    assert releasing.check(f"v{version}", checkout) == version
    for tag in ("v9.9.9", version, "v"):
        with pytest.raises(SetupError, match="does not fit"):
            releasing.check(tag, checkout)
    for name in ("shared/version.py", "pyproject.toml", "CHANGELOG.md"):
        path = checkout / name
        before = path.read_text("utf-8")
        path.write_text(before.replace(version, "9.9.9", 1), "utf-8")
        with pytest.raises(SetupError, match=f"does not fit: {name} says 9.9.9"):
            releasing.check(f"v{version}", checkout)
        path.write_text(before, "utf-8")


def test_a_release_without_a_date_is_refused(checkout: Path) -> None:
    version = releasing.versions(checkout)["pyproject.toml"]
    path = checkout / "CHANGELOG.md"
    date = releasing.changelog(checkout)[version][0]
    path.write_text(path.read_text("utf-8").replace(f" - {date}", ""), "utf-8")
    with pytest.raises(SetupError, match="no date"):
        releasing.check(f"v{version}", checkout)
