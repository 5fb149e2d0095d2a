# SPDX-License-Identifier: GPL-3.0-or-later
"""ruff and mypy over the whole checkout, as tests: one closing line speaks for everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from beside import Beside

from installer.paths import ROOT


def run(*command: str) -> str:
    """Runs a module of this Python; returns what it complained about, "" when it is content."""
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_ruff() -> None:
    complaint = run("ruff", "check", "--no-fix", "--output-format", "concise", ".")
    if complaint:
        pytest.fail(complaint, pytrace=False)


@pytest.mark.timeout(3600)  # the first run on a machine reads all of torch
def test_mypy(beside: Beside) -> None:
    # mypy's cache sometimes misses that a module was added; only a complaint without it counts.
    complaint = run("mypy", "--no-incremental") if beside.result("mypy").status else ""
    if complaint:
        pytest.fail(complaint, pytrace=False)


def test_mypy_is_strict_everywhere(tmp_path: Path) -> None:
    """The settings bite: an unannotated function is refused in every part."""
    packages = ("shared", "backend", "blender_addon", "installer")
    for package in packages:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(
            "def double(x):\n    return 2 * x\n", "utf-8"
        )
    settings = str(ROOT / "pyproject.toml")
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", settings, *packages],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 1
    for package in packages:
        assert f"{package}/__init__.py:1: error: Function is missing a type annotation" in (
            answer.stdout.replace("\\", "/")
        )
