# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend on this computer, as a child process: start, watch, stop. No bpy.

    backend = BackendProcess(interpreter, folder, log_file)
    backend.start()
    ... backend.poll() from a timer, until state is READY ...
    session.connect(backend.keys.address, backend.keys, patience=0.0)

Nothing here waits, except `wait_until_ready` and `stop`.
"""

from __future__ import annotations

import enum
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..contracts import connection, errors

_LOG_BYTES = 2_000_000
_OLD_LOGS = 3


class BackendState(enum.StrEnum):
    """Of the local process."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class BackendProcess:
    """One local backend at a time. Use it from one thread.

    `interpreter` is the backend's own Python; `folder` contains the package `backend`. The log
    goes to `log_file`, which is rotated at each start.
    """

    def __init__(
        self,
        interpreter: Path,
        folder: Path,
        log_file: Path,
        *,
        command: Sequence[str] = ("-m", "backend", "serve", "--child"),
        start_seconds: float = 60.0,
    ) -> None:
        self.interpreter = interpreter
        self.folder = folder
        self.log_file = log_file
        self._command = tuple(command)
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[bytes] = []
        self._started_at = 0.0
        self._state = BackendState.STOPPED
        self._error: errors.VividKeysError | None = None
        self.keys: connection.ClientKeys | None = None
        """Keys and address of the backend once it is ready."""
        self.seconds_to_ready = 0.0

    @property
    def state(self) -> BackendState:
        """As of the last `poll`."""
        return self._state

    @property
    def error(self) -> errors.VividKeysError | None:
        """Why it could not start, or ended by itself; None if it did neither."""
        return self._error

    @property
    def sentence(self) -> str:
        """The state in words for the panel."""
        match self._state:
            case BackendState.STARTING:
                return "The local backend is starting ..."
            case BackendState.READY:
                return "The local backend is running."
            case BackendState.FAILED if self._error is not None:
                return self._error.sentence
        return "The local backend is not running."

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and return at once; does nothing when it is already running.

        Raises VividKeysError(missing_dependency, bad_file) when it cannot be started.
        """
        if self.poll() in (BackendState.STARTING, BackendState.READY):
            return
        self._error, self.keys, self._lines = None, None, []
        log = self._open_log()
        try:
            self._process = subprocess.Popen(
                [str(self.interpreter), *self._command],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_clean_environment(),
                creationflags=_no_window(),
            )
        except OSError as error:
            self._state = BackendState.FAILED
            self._error = errors.VividKeysError(
                errors.ErrorKind.MISSING_DEPENDENCY,
                f"The backend cannot be started with '{self.interpreter}': "
                f"{error.strerror or error}.",
                "Set the backend's folder in the preferences, or run 'python install.py backend'.",
            )
            raise self._error from error
        finally:
            log.close()
        self._state = BackendState.STARTING
        self._started_at = time.monotonic()
        self._reader = threading.Thread(
            target=_read_lines,
            args=(self._process.stdout, self._lines),
            name="VividKeys backend",
            daemon=True,
        )
        self._reader.start()

    def poll(self) -> BackendState:
        """Update the state; call it from a timer."""
        process = self._process
        if process is None:
            return self._state
        if self._state is BackendState.STARTING and self._lines:
            self._read_first_line(self._lines[0])
        status = process.poll()
        if status is not None and self._state is not BackendState.STOPPED:
            self._ended(status)
        elif (
            self._state is BackendState.STARTING
            and time.monotonic() - self._started_at > self._start_seconds
        ):
            self._fail("The backend did not become ready in time.")
        return self._state

    def wait_until_ready(self) -> connection.ClientKeys:
        """Block until it is ready; for scripts. Raises VividKeysError."""
        while self.poll() is BackendState.STARTING:
            time.sleep(0.02)
        if self.keys is None:
            raise self._error or errors.VividKeysError(
                errors.ErrorKind.BACKEND_LOST, self.sentence, "Start it."
            )
        return self.keys

    def stop(self, seconds: float = 5.0) -> None:
        """Ask it to end; terminate it after `seconds`, and kill it after as many again."""
        process, self._process = self._process, None
        self._state, self._error, self.keys = BackendState.STOPPED, None, None
        if process is None:
            return
        try:
            if process.stdin is not None:
                process.stdin.write(b"stop\n")
                process.stdin.close()
        except OSError:
            pass  # it has closed the pipe
        for push in (process.terminate, process.kill):
            try:
                process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                push()
        process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        if process.stdout is not None:
            process.stdout.close()

    def restart(self) -> None:
        """Stop it if it is running, and start it again. Raises as `start` does."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log, for the error dialog."""
        try:
            with self.log_file.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - 64_000))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _read_first_line(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            event = values["event"]
            if event == "failed":
                self._error = errors.VividKeysError(
                    errors.known_kind(values["kind"]), values["sentence"], values["next_step"]
                )
                self._state = BackendState.FAILED
                return
            self.keys = connection.client_keys_from({**values, "name": "local"})
            self.seconds_to_ready = time.monotonic() - self._started_at
            self._state = BackendState.READY
        except (ValueError, KeyError, TypeError, RecursionError, errors.VividKeysError):
            self._fail("The program that was started is not a VividKeys backend.")

    def _ended(self, status: int) -> None:
        was_ready = self._state is BackendState.READY
        if self._reader is not None:
            # Its last output may still be in the pipe.
            self._reader.join(1.0)
            if self._state is BackendState.STARTING and self._lines:
                self._read_first_line(self._lines[0])
        if self._error is None:
            self._error = errors.VividKeysError(
                errors.ErrorKind.BACKEND_LOST,
                f"The local backend has {'ended' if was_ready else 'not started'} "
                f"(exit status {status}).",
                f"Start it again; if it ends again, look at its log: {self.log_file}",
            )
        self._let_go()

    def _fail(self, sentence: str) -> None:
        error = errors.VividKeysError(
            errors.ErrorKind.BACKEND_LOST, sentence, f"Look at its log: {self.log_file}"
        )
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._error = error
        self._let_go()

    def _let_go(self) -> None:
        process, self._process = self._process, None
        self._state, self.keys = BackendState.FAILED, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                try:
                    if stream is not None:
                        stream.close()
                except OSError:
                    pass  # what was still to be written has no reader

    def _open_log(self) -> IO[bytes]:
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
                for number in range(_OLD_LOGS, 0, -1):
                    older = self.log_file.with_name(f"{self.log_file.name}.{number}")
                    newer = self.log_file.with_name(f"{self.log_file.name}.{number - 1}")
                    newer = self.log_file if number == 1 else newer
                    if newer.exists():
                        newer.replace(older)
            return self.log_file.open("ab")
        except OSError as error:
            self._state = BackendState.FAILED
            self._error = errors.VividKeysError(
                errors.ErrorKind.BAD_FILE,
                f"The backend's log '{self.log_file}' cannot be written: "
                f"{error.strerror or error}.",
                "Free some space, or check the folder's permissions.",
            )
            raise self._error from error


def _read_lines(stream: IO[bytes], lines: list[bytes]) -> None:
    try:
        for line in stream:
            lines.append(line)
    except (OSError, ValueError):
        pass  # closed on this side


def _clean_environment() -> dict[str, str]:
    """The environment without what Blender or a virtual environment set for its own Python."""
    foreign = {"PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def _no_window() -> int:
    return int(getattr(subprocess, "CREATE_NO_WINDOW", 0)) if sys.platform == "win32" else 0
