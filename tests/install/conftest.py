# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the set-up share, and the summary of the runs inside Blender."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import demo_runs
import pytest
from beside import MYPY, Beside, inside_blender, why_missing

BESIDE = pytest.StashKey[Beside]()
# One line per Blender run, shown above pytest's closing line: that line counts only one test for
# each Blender, so this says how many ran inside.
BLENDER_RUNS = pytest.StashKey[list[str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(BLENDER_RUNS, []):
        terminalreporter.write_line(line)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what runs beside the tests now: the tests that wait for it come last."""
    if session.config.option.collectonly:
        return
    beside = session.config.stash[BESIDE] = Beside()
    functions = [item for item in session.items if isinstance(item, pytest.Function)]
    files = {item.path.name for item in functions}
    if any(item.originalname == "test_mypy" for item in functions):
        beside.begin("mypy", MYPY)
    if "test_demo.py" in files:
        beside.missing["demo"] = demo_runs.why_missing()
        if not beside.missing["demo"]:
            demo_runs.begin(beside, beside.folder)
    for item in functions:
        if item.originalname == "test_suite_inside_blender":
            version = item.callspec.params["version"]
            beside.missing[version] = why_missing(version)
            if not beside.missing[version]:
                beside.begin(version, inside_blender(version))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if BESIDE in session.config.stash:
        session.config.stash[BESIDE].close()


@pytest.fixture(scope="session")
def beside(pytestconfig: pytest.Config) -> Beside:
    """What runs beside the tests, begun."""
    return pytestconfig.stash[BESIDE]


@pytest.fixture
def blender_runs(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the run."""
    return pytestconfig.stash.setdefault(BLENDER_RUNS, [])


@pytest.fixture
def write_program(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Writes a small executable script in Python; POSIX only."""
    if os.name == "nt":
        pytest.skip("executable scripts without a suffix need a POSIX system")

    def write(folder: Path, name: str, body: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{body}\n", "utf-8")
        path.chmod(0o755)
        return path

    return write
