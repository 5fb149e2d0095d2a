# SPDX-License-Identifier: GPL-3.0-or-later
"""`install.py release TAG`: what a release consists of, once everything agrees on its version."""

from __future__ import annotations

import re
from pathlib import Path

from . import extension_repository, extension_zip, wheels
from .extension_zip import TARGETS
from .failure import SetupError
from .paths import DIST, ROOT, shown
from .progress import say

_HEADING = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
FOLDER = DIST / "release"
NOTES = "notes.md"


def changelog(root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """The sections of CHANGELOG.md, newest first: version -> (date or "", text)."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    return {
        heading[1]: (heading[2] or "", text[heading.end() : end].strip())
        for heading, end in zip(headings, ends)  # noqa: B905, not in Python 3.9
    }


def versions(root: Path = ROOT) -> dict[str, str]:
    """The version by the place that names it; all have to be the same."""
    project = re.search(
        r'^version = "([^"]+)"', (root / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    released = [name for name in changelog(root) if name != "Unreleased"]
    return {
        "shared/version.py": extension_zip.product_version(root),
        "pyproject.toml": project[1] if project else "",
        "CHANGELOG.md": released[0] if released else "",
    }


def check(tag: str, root: Path = ROOT) -> str:
    """The version of a tag such as v1.2.3. Raises SetupError where a place names another one."""
    version = tag[1:] if tag.startswith("v") else ""
    others = [f"{place} says {it}" for place, it in versions(root).items() if it != version]
    if others:
        raise SetupError(
            f"The tag {tag} does not fit: {', '.join(others)}.",
            "Make them agree, commit, and tag that commit.",
        )
    date, text = changelog(root)[version]
    if not date or not text:
        raise SetupError(
            f"CHANGELOG.md has no date or no text for {version}.", "Write it, commit, and tag anew."
        )
    return version


def run(tag: str) -> int:
    """Builds the zips, the index for Blender and the notes into dist/release."""
    version = check(tag)
    wheels.fetch([target.wheel for target in TARGETS])
    paths = extension_repository.write(FOLDER, list(TARGETS))
    (FOLDER / NOTES).write_text(changelog()[version][1] + "\n", "utf-8")
    for path in (*paths, FOLDER / extension_repository.INDEX, FOLDER / NOTES):
        say(shown(path))
    return 0
