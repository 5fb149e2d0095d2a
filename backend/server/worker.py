# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that holds the models and runs the jobs, one at a time, for one server.

It is started by worker_process.py and talks over its standard input and output. It ends when the
server closes its input, so it never outlives a server that crashed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from backend.server.folders import as_disk_error, private_folder
from backend.server.job_kinds import JobKind, job_kinds
from backend.server.pipe import PipeEndedError, read_message, write_message
from backend.watch import stopped
from shared.arrays import Arrays
from shared.checks import printable
from shared.errors import ErrorKind, VividKeysError
from shared.limits import SENTENCE_CHARACTERS
from shared.npz import load_npz

_log = logging.getLogger("backend.worker")
_PROGRESS_SECONDS = 0.05
_REST_SECONDS = 2.0


class Worker:
    """Reads commands on one thread and runs jobs on another."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands = commands
        self._answers = answers
        self._writing = threading.Lock()
        self._tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._kinds: dict[str, JobKind] = {}
        self._unavailable: dict[str, VividKeysError] = {}
        self._idle_since: float | None = None  # None while a job runs

    def run(self) -> None:
        """Load the models, report that they are ready, and run jobs until the server is gone."""
        header, _arrays = read_message(self._commands)
        self._kinds = job_kinds(tuple(header["modules"]))
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        self._load()
        self._idle_since = time.monotonic()
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()
        while True:
            task = self._tasks.get()
            self._idle_since = None
            self._work(task)
            self._idle_since = time.monotonic()

    def say(self, header: dict[str, Any], arrays: Arrays | None = None) -> None:
        with self._writing:
            write_message(self._answers, header, arrays)

    def is_cancelled(self, job: str) -> bool:
        return job in self._cancelled

    def _listen(self) -> None:
        while True:
            try:
                header, _arrays = read_message(self._commands)
            except PipeEndedError:
                # The server is gone, so nobody needs the result. No clean-up: other threads may be
                # in the middle of running a network.
                os._exit(0)
            except Exception:
                # It could not receive any more commands; the server starts another worker.
                _log.exception("A message from the server could not be read.")
                os._exit(1)
            if header.get("do") == "cancel":
                self._cancelled.add(str(header.get("job")))
            else:
                self._tasks.put(header)

    def _load(self) -> None:
        models: list[dict[str, Any]] = []
        for kind in self._kinds.values():
            if kind.load is None:
                continue
            try:
                models += kind.load()
            except Exception as error:
                self._unavailable[kind.name] = failure(error, f"loading what '{kind.name}' needs")
        self.say(
            {
                "say": "ready",
                "kinds": [name for name in self._kinds if name not in self._unavailable],
                "models": models,
                "devices": devices(),
                "unavailable": {
                    name: [
                        error.kind.value,
                        printable(error.sentence, SENTENCE_CHARACTERS),
                        printable(error.next_step, SENTENCE_CHARACTERS),
                    ]
                    for name, error in self._unavailable.items()
                },
            }
        )

    def _warm_up(self) -> None:
        for kind in self._kinds.values():
            if kind.warm is None or kind.name in self._unavailable:
                continue
            while not self._is_at_rest():
                time.sleep(0.5)
            try:
                kind.warm()
            except Exception as error:
                _log.warning("Warming up '%s': %s", kind.name, error)

    def _is_at_rest(self) -> bool:
        idle_since = self._idle_since
        return idle_since is not None and time.monotonic() - idle_since > _REST_SECONDS

    def _work(self, task: dict[str, Any]) -> None:
        job, kind = str(task["job"]), str(task["kind"])
        try:
            if kind in self._unavailable:
                raise self._unavailable[kind]
            context = RunningJob(self, task)
            result = self._kinds[kind].run(context)
            made = None if result.file is None else described(result.file)
            if context.cancelled():
                raise stopped()
            self.say({"say": "done", "job": job, "info": result.info, "file": made}, result.arrays)
        except PipeEndedError:
            os._exit(0)
        except Exception as error:
            known = failure(error, f"the job '{kind}'")
            self.say(
                {
                    "say": "failed",
                    "job": job,
                    "kind": known.kind.value,
                    "sentence": printable(known.sentence, SENTENCE_CHARACTERS),
                    "next_step": printable(known.next_step, SENTENCE_CHARACTERS),
                }
            )
        finally:
            self._cancelled.discard(job)


class RunningJob:
    """The context of one job; see job_kinds.JobContext."""

    def __init__(self, worker: Worker, task: Mapping[str, Any]) -> None:
        self._worker = worker
        self._task = task
        self._job = str(task["job"])
        self._arrays: Arrays | None = None
        self._chunks = 0
        self._said: tuple[str, float] = ("", 0.0)

    @property
    def params(self) -> Mapping[str, Any]:
        params: dict[str, Any] = self._task["params"]
        return params

    @property
    def arrays(self) -> Arrays:
        if self._arrays is None:
            path = self._task["request"]
            self._arrays = load_npz(Path(path), "a job's request") if path else {}
        return self._arrays

    def upload(self, sha256: str) -> Path:
        return Path(self._task["uploads"][sha256])

    def result(self, job: str) -> Arrays:
        return load_npz(Path(self._task["results"][job]), "a kept result")

    def new_file(self, name: str) -> Path:
        return private_folder(Path(self._task["folder"])) / name

    def cancelled(self) -> bool:
        return self._worker.is_cancelled(self._job)

    def progress(self, stage: str, fraction: float, sentence: str) -> None:
        said_stage, said_at = self._said
        now = time.monotonic()
        if stage == said_stage and now - said_at < _PROGRESS_SECONDS and fraction < 1.0:
            return
        self._said = (stage, now)
        self._worker.say(
            {
                "say": "progress",
                "job": self._job,
                "stage": stage,
                "fraction": min(max(float(fraction), 0.0), 1.0),
                "sentence": printable(sentence, SENTENCE_CHARACTERS),
            }
        )

    def chunk(self, info: dict[str, Any], arrays: Arrays) -> None:
        header = {"say": "chunk", "job": self._job, "index": self._chunks, "info": info}
        self._chunks += 1
        self._worker.say(header, arrays)


def described(file: Path) -> dict[str, Any]:
    """A file that a job has made, as it is reported to the server."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        size = stream.tell()
    return {"path": str(file), "sha256": digest.hexdigest(), "size": size}


def failure(error: Exception, doing: str) -> VividKeysError:
    """Any exception as an error for the user; unforeseen ones are logged in full."""
    if isinstance(error, VividKeysError):
        return error
    if isinstance(error, OSError):
        known = as_disk_error(error, "A file of the job")
        if known.kind is ErrorKind.DISK_FULL:
            return known
    _log.error("While %s:\n%s", doing, "".join(traceback.format_exception(error)))
    if isinstance(error, MemoryError):
        return VividKeysError(
            ErrorKind.TOO_LARGE,
            "The backend's computer has too little memory for this job.",
            "Close other programs there, or send a shorter recording.",
        )
    if isinstance(error, ImportError):
        return VividKeysError(
            ErrorKind.MISSING_DEPENDENCY,
            f"The backend lacks something that it needs for {doing}: {error}.",
            "Run 'python install.py doctor' on the backend's computer.",
        )
    return VividKeysError(
        ErrorKind.INTERNAL,
        f"The backend failed on {doing}: {type(error).__name__}: {error}"[:500],
        "Send the job again; if it happens again, report it with the backend's log.",
    )


def devices() -> list[dict[str, Any]]:
    """What the networks can run on: name, kind ('cpu', 'cuda', 'mps') and memory in bytes."""
    found: list[dict[str, Any]] = [{"name": f"CPU, {os.cpu_count()} threads", "kind": "cpu"}]
    torch = sys.modules.get("torch")  # not imported just for this: it takes a second
    if torch is not None:
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            found.append({"name": card.name, "kind": "cuda", "memory": card.total_memory})
        if torch.backends.mps.is_available():
            found.append({"name": "Apple GPU", "kind": "mps"})
    return found


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Standard input and output, for messages alone: what libraries print goes to the log."""
    commands = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    if sys.platform == "win32":
        import msvcrt

        for stream in (commands, answers):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return commands, answers


def main() -> None:
    """Run a worker on this process's standard input and output."""
    # Ctrl-C in the server's terminal reaches this process too; the server decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commands, answers = _own_pipes()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s worker %(levelname)s: %(message)s", force=True
    )
    with suppress(PipeEndedError):
        Worker(commands, answers).run()


if __name__ == "__main__":
    main()
