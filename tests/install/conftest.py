# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the set-up share, and the summary of the runs inside Blender."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import demo_runs
import pytest
from beside import MYPY, Beside, inside_blender, why_missing

from installer.environments import BLENDER45, BLENDER52, Environment

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


@pytest.fixture(params=[BLENDER45, BLENDER52], ids=["blender-4.5", "blender-5.2"])
def extension_tool(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """Runs Blender's own program for extensions, as `blender --command extension` does."""
    environment: Environment = request.param
    program = next(environment.folder.rglob("bl_pkg/cli/blender_ext.py"), None)
    if program is None:
        pytest.skip(f".venv/{environment.name} is not set up; python install.py test does it")
    tags = next(environment.folder.rglob("_bpy_internal/extensions/tags.py"))

    def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        if command == "validate":  # Blender gives its program the list of tags that it knows
            arguments = (f"--valid-tags={tags}", *arguments)
        return subprocess.run(
            [str(environment.interpreter), str(program), command, *arguments],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run
