# SPDX-License-Identifier: GPL-3.0-or-later
"""One line that tells what is going on while a program runs; its output goes to a log."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from .failure import SetupError
from .paths import ROOT, shown

_REPEAT_SECONDS = 20.0  # how often a log file (no terminal) hears that we are still alive


def say(text: str = "") -> None:
    """Prints at once: the output may be a pipe."""
    print(text, flush=True)


def elapsed_text(seconds: float) -> str:
    """1.2 s, 45 s, 2 min 05 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class StatusLine:
    """A line that is rewritten in a terminal, and repeated now and then in a log."""

    def __init__(self, label: str, note: str = "", stream: IO[str] | None = None) -> None:
        self.label = label
        self.stream = sys.stdout if stream is None else stream
        self.started = time.monotonic()
        self._last_shown = self.started
        self._terminal = self.stream.isatty()
        if self._terminal:
            self.update(note)
        else:
            self._write(f"{label}{f' ({note})' if note else ''} ...\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def update(self, detail: str) -> None:
        now = time.monotonic()
        text = f"{self.label}: {elapsed_text(now - self.started)}"
        text += f", {detail}" if detail else ""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write("\r" + text[:width].ljust(width))
        elif now - self._last_shown >= _REPEAT_SECONDS:
            self._last_shown = now
            self._write(f"  {text}\n")

    def finish(self, outcome: str = "done") -> None:
        text = f"{self.label}: {outcome} in {elapsed_text(time.monotonic() - self.started)}"
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write("\r" + text[:width].ljust(width) + "\n")
        else:
            self._write(text + "\n")


def child_environment(**changes: str) -> dict[str, str]:
    """Our environment without what would make another Python read the wrong packages."""
    environment = dict(os.environ)
    for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"):
        environment.pop(name, None)
    environment.update({"PYTHONNOUSERSITE": "1", "PYTHONIOENCODING": "utf-8"})
    environment.update(changes)
    return environment


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def run_logged(
    command: Sequence[str | Path],
    label: str,
    log: Path,
    describe: Callable[[str], str | None],
    sentence: str,
    next_step: str,
    environment: Mapping[str, str] | None = None,
    note: str = "",
) -> None:
    """Runs a program behind a status line; `note` is said once, at its start.

    `describe` turns a line of its output into what the status line says, or None to leave it.
    Raises SetupError(sentence, next_step, the end of the log) where it does not exit with 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    status = StatusLine(label, note)
    with log.open("a", encoding="utf-8") as record:
        record.write(f"\n$ {' '.join(str(part) for part in command)}\n")
        record.flush()
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, encoding="utf-8", errors="replace", cwd=ROOT,
                env=dict(environment) if environment is not None else child_environment(),
            )  # fmt: skip
        except OSError as error:
            status.finish("failed")
            raise SetupError(sentence, next_step, str(error)) from error
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        detail = note
        try:
            while True:
                try:
                    line = lines.get(timeout=0.5)
                except queue.Empty:
                    status.update(detail)
                    continue
                if line is None:
                    break
                record.write(line)
                detail = describe(line.rstrip()) or detail
                status.update(detail)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            status.finish("stopped")
            raise
        code = process.wait()
    if code != 0:
        status.finish("failed")
        raise SetupError(sentence, next_step, f"{tail(log)}\n(the whole log: {shown(log)})")
    status.finish()
