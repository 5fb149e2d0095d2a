# SPDX-License-Identifier: GPL-3.0-or-later
"""ruff and mypy over the whole checkout, as tests: one closing line speaks for everything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from installer.paths import ROOT


def run(*command: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    if answer.returncode != 0:
        pytest.fail(answer.stdout + answer.stderr, pytrace=False)


def test_ruff() -> None:
    run("ruff", "check", "--no-fix", "--output-format", "concise", ".")


@pytest.mark.timeout(600)  # the first run on a machine reads all of torch
def test_mypy() -> None:
    run("mypy")
