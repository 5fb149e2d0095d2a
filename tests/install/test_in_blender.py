# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/blender inside Blender 4.5 and 5.2, in their own environments."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from installer import environments
from installer.environments import BLENDER45, BLENDER52, Environment
from installer.paths import ROOT

CASES = [
    pytest.param("4.5", BLENDER45, environments.BLENDER45_FILES, id="blender-4.5"),
    pytest.param("5.2", BLENDER52, environments.BLENDER52_FILES, id="blender-5.2"),
]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("version", "environment", "files"), CASES)
def test_suite_inside_blender(
    version: str,
    environment: Environment,
    files: tuple[str, ...],
    blender_runs: list[str],
) -> None:
    if environments.python_version(environment) is None:
        reason = os.environ.get(f"VIVIDKEYS_NO_BLENDER{version.replace('.', '')}", "")
        reason = reason or f".venv/{environment.name} is not set up; python install.py test does it"
        blender_runs.append(f"inside Blender {version}: not run, {reason}")
        pytest.skip(f"Blender {version}: {reason}")
    answer = subprocess.run(
        [str(environment.interpreter), "-m", "pytest", "tests/blender", "-p", "no:cacheprovider"],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    )  # fmt: skip
    lines = answer.stdout.strip().splitlines()
    closing = re.sub(r"\x1b\[[0-9;]*m", "", next(
        (line for line in reversed(lines) if re.search(r"\d+ (passed|failed|error)", line)), ""
    )).strip(" =")  # fmt: skip
    blender_runs.append(f"inside Blender {version}: {closing or 'no tests'}")
    if answer.returncode != 0:
        pytest.fail(f"Blender {version}, tests/blender:\n{answer.stdout}", pytrace=False)
    assert re.search(r"\d+ passed", closing), f"no test ran inside Blender {version}"
