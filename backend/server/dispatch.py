# SPDX-License-Identifier: GPL-3.0-or-later
"""One worker and the jobs that wait for it: taking turns, cancelling, and a worker that dies.

Nothing here blocks. The owner of a Dispatcher passes on the worker's messages and calls `keep_time`
often; what happens to jobs is reported through the `Outcome` it was given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from backend.server.job_kinds import MadeFile
from backend.server.turns import Turns
from backend.server.worker_process import WorkerEnded, WorkerProcess, WorkerSaid
from backend.watch import stopped
from shared.arrays import Arrays
from shared.errors import ErrorKind, VividKeysError
from shared.limits import CANCEL_SECONDS
from shared.protocol import unforeseen

_log = logging.getLogger(__name__)

KILL_SECONDS = 2.0
"""A worker that has not dropped a cancelled job by then is killed and replaced."""
_START_SECONDS = 600.0
"""A worker that is not ready by then hangs; killing a slow one would only start it over."""
_MOST_FAILED_STARTS = 3
_ANSWER_BEFORE = 0.05  # the answer has to reach the client within CANCEL_SECONDS


@runtime_checkable
class Outcome(Protocol):
    """Receives what a Dispatcher reports about jobs."""

    def task_of(self, job: str) -> dict[str, Any] | None:
        """Everything the worker needs for this job; None when the job is gone."""
        ...

    def job_started(self, job: str) -> None: ...

    def job_progressed(self, job: str, stage: str, fraction: float, sentence: str) -> None: ...

    def job_made_chunk(
        self, job: str, index: int, info: dict[str, Any], arrays: Arrays
    ) -> None: ...

    def job_finished(
        self, job: str, info: dict[str, Any], arrays: Arrays, file: MadeFile | None
    ) -> None: ...

    def job_failed(self, job: str, error: VividKeysError) -> None: ...

    def job_let_go(self, job: str) -> None:
        """The worker has dropped a job that was reported as cancelled earlier."""
        ...

    def queue_moved(self) -> None:
        """The positions of the waiting jobs have changed."""
        ...


@dataclass
class _Running:
    job: str
    cancelled_at: float | None = None
    is_reported: bool = False  # as cancelled, before the worker has dropped it


@dataclass
class Abilities:
    """What the worker reported when it was ready."""

    kinds: tuple[str, ...] = ()
    models: tuple[dict[str, Any], ...] = ()
    devices: tuple[dict[str, Any], ...] = ()
    unavailable: dict[str, VividKeysError] = field(default_factory=dict)


class Dispatcher:
    """Gives jobs to the worker, one client's after the other's."""

    def __init__(
        self,
        modules: tuple[str, ...],
        outcome: Outcome,
        report: Callable[[WorkerSaid | WorkerEnded], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._modules = modules
        self._outcome = outcome
        self._report = report
        self._turns = Turns()
        self._running: _Running | None = None
        self._worker: WorkerProcess | None = None
        self._serial = 0
        self._started_at = 0.0
        self._failed_starts = 0
        self._start_again_at: float | None = None
        self.is_ready = False
        self._is_replaced = False  # the worker was killed and its end is not known yet
        self.is_paused = False  # the running job goes on, no other job begins
        self.abilities = Abilities()

    # --- for the server ---------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """Whether the worker cannot be started, so that jobs fail at once."""
        return self._failed_starts >= _MOST_FAILED_STARTS

    @property
    def running_job(self) -> str | None:
        return None if self._running is None else self._running.job

    @property
    def worker_pid(self) -> int | None:
        return None if self._worker is None else self._worker.pid

    def waiting(self) -> list[str]:
        """The waiting jobs in the order in which they would run."""
        return self._turns.order()

    def start(self) -> None:
        """Start a worker, without waiting until it has loaded its models."""
        self._serial += 1
        self._started_at = self._clock()
        self._start_again_at = None
        self.is_ready = self._is_replaced = False
        self._worker = WorkerProcess(self._serial, self._modules, self._report)

    def add(self, client: str, job: str) -> None:
        """Put a job into the queue; `proceed` starts it when its turn comes."""
        self._turns.add(client, job)

    def jobs_before(self, job: str) -> int:
        """How many jobs come before this one, the running one included."""
        waiting = self._turns.order()
        if job not in waiting:
            return 0
        return waiting.index(job) + (self._running is not None)

    def proceed(self) -> None:
        """Start the jobs that can start, and report the positions of the others."""
        if self.is_broken:
            self._fail_waiting()
            return
        while self._may_begin():
            job = self._turns.take()
            if job is None:
                break
            self._begin(job)
        self._outcome.queue_moved()

    def _begin(self, job: str) -> None:
        """Give a job to the worker; one that cannot be given ends here and blocks no other."""
        try:
            task = self._outcome.task_of(job)
            if task is None:
                return
            self._running = _Running(job)
            self._outcome.job_started(job)
            assert self._worker is not None
            self._worker.tell(task)
        except Exception as error:
            self._running = None
            if not isinstance(error, VividKeysError):
                _log.exception("The job %s could not be started.", job)
                error = unforeseen("job", job)
            self._outcome.job_failed(job, error)

    def cancel(self, job: str) -> None:
        """Stop a job that waits or runs; its end is reported soon, whatever the worker does."""
        running = self._running
        if self._turns.remove(job):
            self._outcome.job_failed(job, stopped())
            self._outcome.queue_moved()
        elif (
            running is not None
            and running.job == job
            and running.cancelled_at is None
            and self._worker is not None
        ):
            running.cancelled_at = self._clock()
            self._worker.tell({"do": "cancel", "job": job})

    def stop(self, seconds: float) -> None:
        if self._worker is not None:
            self._worker.end(seconds)
            self._worker = None

    def replace_worker(self, serial: int) -> None:
        """Kill the worker with this serial, which cannot be trusted; another one replaces it."""
        if self._worker is not None and serial == self._serial:
            self._is_replaced = True
            self._worker.kill()

    def next_deadline(self) -> float | None:
        """When `keep_time` has to be called next, on the given clock."""
        deadlines = [self._start_again_at]
        if self._running is not None and self._running.cancelled_at is not None:
            wait = KILL_SECONDS if self._running.is_reported else CANCEL_SECONDS - _ANSWER_BEFORE
            deadlines.append(self._running.cancelled_at + wait)
        if self._worker is not None and not self.is_ready:
            deadlines.append(self._started_at + _START_SECONDS)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def keep_time(self) -> None:
        now = self._clock()
        running = self._running
        if running is not None and running.cancelled_at is not None:
            waited = now - running.cancelled_at
            if not running.is_reported and waited >= CANCEL_SECONDS - _ANSWER_BEFORE:
                running.is_reported = True
                self._outcome.job_failed(running.job, stopped())
            if waited >= KILL_SECONDS and self._worker is not None:
                _log.warning("The worker does not stop; it is replaced.")
                running.cancelled_at = now  # killed only once; its end will be reported
                self._worker.kill()
        starting = None if self.is_ready else self._worker
        if starting is not None and now - self._started_at >= _START_SECONDS:
            _log.error("The worker did not become ready; it is replaced.")
            self._started_at = now
            starting.kill()
        if self._start_again_at is not None and now >= self._start_again_at:
            self.start()

    # --- messages of the worker -------------------------------------------------------------

    def hear(self, said: WorkerSaid | WorkerEnded) -> None:
        """Handle a worker's message; those of a worker that was replaced are ignored."""
        if self._worker is None or said.serial != self._serial:
            return
        if isinstance(said, WorkerEnded):
            self._worker_ended(said.status)
            return
        header = said.header
        what = header.get("say")
        if what == "ready":
            self._became_ready(header)
            return
        running = self._running
        if running is None or header.get("job") != running.job:
            return
        if what in ("done", "failed"):
            self._running = None
            if running.is_reported:
                self._outcome.job_let_go(running.job)
            else:
                self._report_end(running, what, said)
            self.proceed()
        elif running.cancelled_at is None and what == "progress":
            self._outcome.job_progressed(
                running.job, header["stage"], header["fraction"], header["sentence"]
            )
        elif running.cancelled_at is None and what == "chunk":
            self._outcome.job_made_chunk(running.job, header["index"], header["info"], said.arrays)

    def _report_end(self, running: _Running, what: str, said: WorkerSaid) -> None:
        header = said.header
        if running.cancelled_at is not None:
            self._outcome.job_failed(running.job, stopped())
        elif what == "done":
            made = header.get("file")
            file = MadeFile(Path(made["path"]), made["sha256"], made["size"]) if made else None
            self._outcome.job_finished(running.job, header["info"], said.arrays, file)
        else:
            error = VividKeysError(header["kind"], header["sentence"], header["next_step"])
            self._outcome.job_failed(running.job, error)

    def _became_ready(self, header: dict[str, Any]) -> None:
        self._failed_starts = 0
        self.is_ready = True
        self.abilities = Abilities(
            kinds=tuple(header["kinds"]),
            models=tuple(header["models"]),
            devices=tuple(header["devices"]),
            unavailable={
                name: VividKeysError(*error) for name, error in header["unavailable"].items()
            },
        )
        _log.info("The worker is ready after %.1f s.", self._clock() - self._started_at)
        for kind, error in self.abilities.unavailable.items():
            _log.error("Jobs of the kind '%s' cannot be done: %s", kind, error)
        self.proceed()

    def _worker_ended(self, status: int) -> None:
        was_ready, running = self.is_ready, self._running
        self._worker, self._running, self.is_ready = None, None, False
        _log.error("The worker has ended with the status %d.", status)
        if running is not None and not running.is_reported:
            error = stopped() if running.cancelled_at is not None else _worker_died()
            self._outcome.job_failed(running.job, error)
        elif running is not None:
            self._outcome.job_let_go(running.job)
        if not was_ready:
            self._failed_starts += 1
        if self.is_broken:
            self._fail_waiting()
            return
        self._start_again_at = self._clock() + (0.0 if was_ready else 1.0)

    def _may_begin(self) -> bool:
        has_worker = self._worker is not None and self.is_ready and not self._is_replaced
        return has_worker and self._running is None and not self.is_paused

    def _fail_waiting(self) -> None:
        while (job := self._turns.take()) is not None:
            self._outcome.job_failed(job, _cannot_start())


def _worker_died() -> VividKeysError:
    return VividKeysError(
        ErrorKind.BACKEND_LOST,
        "The backend's worker process stopped while it worked on this job.",
        "Send the job again; if it stops again, that computer may be short of memory: "
        "see the backend's log.",
    )


def _cannot_start() -> VividKeysError:
    return VividKeysError(
        ErrorKind.INTERNAL,
        "The backend's worker process cannot be started.",
        "See the backend's log, and run 'python install.py doctor'.",
    )
