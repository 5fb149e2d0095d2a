# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker from the server's side: a child process to start, command, listen to and kill."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.server.pipe import PipeEndedError, read_message, write_message
from shared.arrays import Arrays

_log = logging.getLogger(__name__)
# The arrays here are small: OpenBLAS takes twice as long with two threads as with one, and threads
# that spin while they wait slow down a busy computer (Blender is rendering).
_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class WorkerSaid:
    """A message from the worker with this serial number."""

    serial: int
    header: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerEnded:
    """The worker with this serial number has ended; `status` is its exit status."""

    serial: int
    status: int


class WorkerProcess:
    """One worker process. `report` is called on a thread of its own."""

    def __init__(
        self,
        serial: int,
        modules: tuple[str, ...],
        report: Callable[[WorkerSaid | WorkerEnded], None],
    ) -> None:
        self.serial = serial
        self._report = report
        self._process = subprocess.Popen(
            [sys.executable, "-m", "backend.server.worker"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_THREADS, **os.environ},
        )
        self.pid = self._process.pid
        threading.Thread(target=self._listen, name=f"worker {serial}", daemon=True).start()
        self.tell({"do": "start", "modules": list(modules)})

    def tell(self, header: dict[str, Any]) -> None:
        """Send a command; the end of a worker is reported by the listening thread, not here."""
        assert self._process.stdin is not None
        try:
            write_message(self._process.stdin, header)
        except PipeEndedError:
            _log.info("Worker %d no longer listens.", self.serial)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()

    def end(self, seconds: float) -> None:
        """Close its input, on which it ends; after `seconds` it is killed."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended already
            self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        try:
            while True:
                header, arrays = read_message(stream)
                self._report(WorkerSaid(self.serial, header, arrays))
        except PipeEndedError:
            pass
        except Exception:
            # Unreadable, or too large for the memory: the worker is treated as dead, because the
            # server waits for a report from this thread.
            _log.exception("A message from worker %d could not be read.", self.serial)
        self._process.kill()
        status = self._process.wait()
        stream.close()
        self._report(WorkerEnded(self.serial, status))
