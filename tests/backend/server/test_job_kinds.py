# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of jobs: what is specified is what there is, and asking for it loads no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backend.server.job_kinds import STANDARD_KINDS, STANDARD_MODULES, job_kinds

REPOSITORY = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "mediapipe")


def test_the_document_lists_the_kinds_that_there_are() -> None:
    text = (REPOSITORY / "docs" / "PROTOCOL.md").read_text("utf-8")
    section = text.split("\n## Jobs\n", 1)[1].split("\n## ", 1)[0]
    table = section.strip().split("\n\n")[0].splitlines()[2:]
    assert {row.split("`")[1] for row in table} == set(STANDARD_KINDS)


def test_each_kind_has_one_module_of_its_own() -> None:
    for module, name in zip(STANDARD_MODULES, STANDARD_KINDS, strict=True):
        assert list(job_kinds((module,))) == [name]
    files = {path.stem for path in (REPOSITORY / "backend" / "server" / "jobs").glob("*.py")}
    assert files - {"__init__"} == set(STANDARD_KINDS)


def test_the_server_checks_requests_without_a_network() -> None:
    program = (
        "import sys; from backend.server.job_kinds import *; job_kinds(STANDARD_MODULES); "
        f"sys.exit(any(name in sys.modules for name in {HEAVY!r}))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)
