# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/blender inside each Blender, in processes that run beside the other tests."""

from __future__ import annotations

import os
import subprocess
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor

from installer import environments
from installer.environments import BLENDER45, BLENDER52, Environment
from installer.paths import ROOT

ENVIRONMENTS: dict[str, Environment] = {"4.5": BLENDER45, "5.2": BLENDER52}


def why_missing(version: str) -> str:
    """Why the tests cannot run inside this Blender; "" where they can."""
    environment = ENVIRONMENTS[version]
    if environments.python_version(environment) is not None:
        return ""
    reason = os.environ.get(f"VIVIDKEYS_NO_BLENDER{version.replace('.', '')}", "")
    return reason or f".venv/{environment.name} is not set up; python install.py test does it"


class BlenderSuites:
    """One after the other in the order in which they are begun; the results can be waited for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inside Blender")
        self._results: dict[str, Future[tuple[int, str]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def begin(self, version: str) -> None:
        """Run it as soon as no other one runs."""
        self._results[version] = self._thread.submit(self._run, ENVIRONMENTS[version])

    def result(self, version: str) -> tuple[int, str]:
        """Its exit status and all that it wrote, once it has ended."""
        return self._results[version].result()

    def close(self) -> None:
        """End what still runs, where nobody waits for it any more."""
        self._is_over = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    def _run(self, environment: Environment) -> tuple[int, str]:
        with tempfile.TemporaryFile() as written:
            self._process = subprocess.Popen(
                [str(environment.interpreter), "-m", "pytest", "tests/blender",
                 "-p", "no:cacheprovider"],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if self._is_over:
                self._process.kill()
            status = self._process.wait()
            written.seek(0)
            return status, written.read().decode("utf-8", "replace")
