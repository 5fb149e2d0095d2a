# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/blender inside Blender 4.5 and 5.2, in their own environments (see beside.py)."""

from __future__ import annotations

import re

import pytest
from beside import BLENDERS, Beside


@pytest.mark.timeout(3600)  # each test inside has a limit of its own
@pytest.mark.parametrize("version", BLENDERS)
def test_suite_inside_blender(version: str, beside: Beside, blender_runs: list[str]) -> None:
    reason = beside.missing[version]
    if reason:
        blender_runs.append(f"inside Blender {version}: not run, {reason}")
        pytest.skip(f"Blender {version}: {reason}")
    answer = beside.result(version)
    lines = answer.output.strip().splitlines()
    closing = re.sub(r"\x1b\[[0-9;]*m", "", next(
        (line for line in reversed(lines) if re.search(r"\d+ (passed|failed|error)", line)), ""
    )).strip(" =")  # fmt: skip
    blender_runs.append(f"inside Blender {version}: {closing or 'no tests'}")
    if answer.status != 0:
        written = f"{answer.output}\n{answer.errors}"
        pytest.fail(f"Blender {version}, tests/blender:\n{written}", pytrace=False)
    assert re.search(r"\d+ passed", closing), f"no test ran inside Blender {version}"
