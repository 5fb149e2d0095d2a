# SPDX-License-Identifier: GPL-3.0-or-later
"""Long programs that run beside the tests: mypy, the demo, and tests/blender in each Blender.

They begin when the tests are collected, one after the other. The tests take one core, these the
second, and nothing in either waits for a while or measures time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from installer import environments
from installer.environments import BLENDER45, BLENDER52, Environment
from installer.paths import ROOT

BLENDERS: dict[str, Environment] = {"4.5": BLENDER45, "5.2": BLENDER52}
MYPY = [sys.executable, "-m", "mypy"]


def inside_blender(version: str) -> list[str]:
    """The command that runs tests/blender inside this Blender."""
    python = str(BLENDERS[version].interpreter)
    return [python, "-m", "pytest", "tests/blender", "-p", "no:cacheprovider"]


def why_missing(version: str) -> str:
    """Why the tests cannot run inside this Blender; "" where they can."""
    environment = BLENDERS[version]
    if environments.python_version(environment) is not None:
        return ""
    reason = os.environ.get(f"VIVIDKEYS_NO_BLENDER{version.replace('.', '')}", "")
    return reason or f".venv/{environment.name} is not set up; python install.py test does it"


@dataclass(frozen=True)
class Ran:
    """What a program that has ended left: its exit status, and all that it wrote."""

    status: int
    output: str
    errors: str


class Beside:
    """Programs in the order in which they are begun; their results can be waited for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._results: dict[str, Future[Ran]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False
        self.folder = Path(tempfile.mkdtemp(prefix="vividkeys-beside-"))
        """For what they read and write; it goes when the tests have ended."""
        self.missing: dict[str, str] = {}
        """Why there is no such run, by its name; "" where there is one."""

    def begin(self, name: str, command: Sequence[str], **environment: str) -> None:
        """Run it in the checkout as soon as no other one runs."""
        self._results[name] = self._thread.submit(self._run, command, environment)

    def result(self, name: str) -> Ran:
        """What is left of it, once it has ended."""
        return self._results[name].result()

    def close(self) -> None:
        """End what still runs, where nobody waits for it any more."""
        self._is_over = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: Sequence[str], environment: Mapping[str, str]) -> Ran:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                env={**os.environ, **environment},
            )  # fmt: skip
            if self._is_over:
                self._process.kill()
            status = self._process.wait()
            texts = []
            for written in (output, errors):
                written.seek(0)
                texts.append(written.read().decode("utf-8", "replace"))
            return Ran(status, *texts)
