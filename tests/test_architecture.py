# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/ARCHITECTURE.md tells the truth: every file it names is there, and its recipes are short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs" / "ARCHITECTURE.md").read_text("utf-8")
TOPS = ("shared", "backend", "blender_addon", "installer", "tests", "docs", "requirements")

# How many files each recipe may touch at most; what it names for reading alone is not counted.
MOST_FILES = {
    "To add a preset of shape-key names": 1,
    "To add a dial or a mood": 2,
    "To add an export": 2,
    "To add a job kind": 4,
}


def named_paths(text: str) -> list[str]:
    """Everything in backticks that is a path of this repository."""
    found = re.findall(r"`([\w./-]+)`", text)
    return [name for name in found if name.split("/")[0] in TOPS and "/" in name]


def recipes() -> dict[str, str]:
    """The text of each recipe by its heading."""
    part = PAGE.split("\n## Recipes\n")[1].split("\n## ")[0]
    found = re.split(r"^### (.+)$", part, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def test_every_file_it_names_is_there() -> None:
    names = named_paths(PAGE)
    assert len(names) > 80, "the page names its files with their whole paths"
    missing = [name for name in names if not (REPOSITORY / name).exists()]
    assert not missing, f"docs/ARCHITECTURE.md names what is not there: {missing}"


def test_it_names_every_room() -> None:
    rooms = {
        str(path.parent.relative_to(REPOSITORY))
        for house in ("backend", "blender_addon", "shared")
        for path in (REPOSITORY / house).glob("*/__init__.py")
    }
    unnamed = [room for room in sorted(rooms) if f"`{room}/`" not in PAGE]
    assert not unnamed, f"docs/ARCHITECTURE.md does not say what these are for: {unnamed}"


@pytest.mark.parametrize("name", sorted(MOST_FILES))
def test_a_recipe_touches_few_files(name: str) -> None:
    steps = re.findall(r"^\d+\. .*(?:\n   .*)*", recipes()[name], flags=re.MULTILINE)
    assert 0 < len(steps) <= MOST_FILES[name]
    for step in steps:
        assert named_paths(step), f"a step of '{name}' says no file: {step}"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (REPOSITORY / "docs" / target).exists(), target
