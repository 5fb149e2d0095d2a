# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/blender inside Blender 4.5 and 5.2, in their own environments.

They begin when the tests are collected (conftest.py) and run beside the others: those take one
core, and nothing in either waits for a while or measures time.
"""

from __future__ import annotations

import re

import pytest
from blender_suites import ENVIRONMENTS, BlenderSuites, why_missing


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("version", ENVIRONMENTS)
def test_suite_inside_blender(
    version: str, blender_suites: BlenderSuites, blender_runs: list[str]
) -> None:
    reason = why_missing(version)
    if reason:
        blender_runs.append(f"inside Blender {version}: not run, {reason}")
        pytest.skip(f"Blender {version}: {reason}")
    status, output = blender_suites.result(version)
    lines = output.strip().splitlines()
    closing = re.sub(r"\x1b\[[0-9;]*m", "", next(
        (line for line in reversed(lines) if re.search(r"\d+ (passed|failed|error)", line)), ""
    )).strip(" =")  # fmt: skip
    blender_runs.append(f"inside Blender {version}: {closing or 'no tests'}")
    if status != 0:
        pytest.fail(f"Blender {version}, tests/blender:\n{output}", pytrace=False)
    assert re.search(r"\d+ passed", closing), f"no test ran inside Blender {version}"
