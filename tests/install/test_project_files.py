# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows, templates and hooks parse, and call only what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.command_line import COMMANDS, _parser
from installer.paths import ROOT

FILES = sorted([*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"])
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob(".github/*.md")])
CALL = re.compile(r"(?:python3?|py) install\.py +([^\n`#]+)")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_parses(path: Path) -> None:
    content: Any = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(content, dict) and content
    if path.parent.name == "workflows":
        for job in content["jobs"].values():
            assert job["timeout-minutes"] and job["steps"]
        assert content["permissions"], "the token's rights are spelled out"
    if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml":
        assert {"name", "description", "body"} <= set(content)
        ids = [part["id"] for part in content["body"] if "id" in part]
        assert len(ids) == len(set(ids))


def test_there_are_calls_to_look_at() -> None:
    assert len([1 for path in FILES for _ in CALL.findall(path.read_text("utf-8"))]) >= 3


@pytest.mark.parametrize("path", [*FILES, *DOCUMENTS], ids=lambda path: path.name)
def test_calls_of_install_py_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for call in CALL.findall(path.read_text("utf-8")):
        command, *rest = [word.strip(".,;:()'\"*") for word in call.split()]
        assert command in COMMANDS, f"python install.py {call}"
        if command == "test":  # hands everything to pytest
            continue
        with pytest.raises(SystemExit):
            _parser().parse_args([command, "--help"])
        known = capsys.readouterr().out
        for option in (word for word in rest if word.startswith("--")):
            assert option in known, f"python install.py {call}"


def test_the_hooks_run_what_the_environment_has() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"], "no version but the pinned"
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/backend/bin/python -m "), hook["entry"]
