# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a client waits for the end of a job that it cancelled, on a clock that a test turns."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.server import dispatch
from backend.server.dispatch import Dispatcher
from backend.server.job_kinds import MadeFile
from backend.server.worker_process import WorkerEnded, WorkerSaid
from shared.arrays import Arrays
from shared.errors import ErrorKind, VividKeysError
from shared.limits import CANCEL_SECONDS
from tests.backend.server.real_server import QUICK_JOBS
from tests.patience import PATIENCE, Clock

# The product's own: in this folder the limits are patient otherwise.
KILL_SECONDS = 2.0


class Told:
    """What a Dispatcher reports, in words; every job is a `wait` that does not listen."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def task_of(self, job: str) -> dict[str, Any]:
        params = {"deaf": True}
        return {"do": "work", "job": job, "kind": "wait", "params": params, "request": ""}

    def job_started(self, job: str) -> None:
        self.words.append(f"{job} started")

    def job_progressed(self, job: str, stage: str, fraction: float, sentence: str) -> None:
        self.words.append(f"{job} {stage}")

    def job_made_chunk(self, job: str, index: int, info: dict[str, Any], arrays: Arrays) -> None:
        self.words.append(f"{job} made a piece")

    def job_finished(
        self, job: str, info: dict[str, Any], arrays: Arrays, file: MadeFile | None
    ) -> None:
        self.words.append(f"{job} finished")

    def job_failed(self, job: str, error: VividKeysError) -> None:
        self.words.append(f"{job} {error.kind}")

    def job_let_go(self, job: str) -> None:
        self.words.append(f"{job} let go")

    def queue_moved(self) -> None:
        pass


class Bench:
    """A Dispatcher with a real worker, whose loop is the test."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[WorkerSaid | WorkerEnded] = queue.SimpleQueue()
        self.clock, self.told = Clock(), Told()
        self.dispatcher = Dispatcher(QUICK_JOBS, self.told, self.said.put, self.clock)
        self.dispatcher.start()

    def hear_until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self.dispatcher.hear(self.said.get(timeout=PATIENCE))

    def after(self, seconds: float) -> list[str]:
        """What is said when that much time has passed."""
        del self.told.words[:]
        self.clock.advance(seconds)
        self.dispatcher.keep_time()
        return self.told.words


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(dispatch, "KILL_SECONDS", KILL_SECONDS)
    made = Bench()
    yield made
    made.dispatcher.stop(0.0)


def test_a_cancel_is_reported_in_time_and_a_worker_that_does_not_listen_is_replaced(
    bench: Bench,
) -> None:
    dispatcher = bench.dispatcher
    dispatcher.add("anna", "a")
    dispatcher.add("anna", "b")
    bench.hear_until(lambda: "a waiting" in bench.told.words)
    pid = dispatcher.worker_pid
    dispatcher.cancel("a")
    assert bench.after(0.5 * CANCEL_SECONDS) == []
    deadline = dispatcher.next_deadline()
    assert deadline is not None and 0 < deadline - bench.clock() < 0.5 * CANCEL_SECONDS
    assert bench.after(0.5 * CANCEL_SECONDS) == [f"a {ErrorKind.CANCELLED}"]
    assert bench.after(0.9 * KILL_SECONDS - CANCEL_SECONDS) == []
    bench.after(0.1 * KILL_SECONDS + CANCEL_SECONDS)
    bench.hear_until(lambda: "a let go" in bench.told.words)
    bench.after(0.0)
    bench.hear_until(lambda: "b waiting" in bench.told.words)
    assert dispatcher.worker_pid != pid


def test_no_job_is_given_to_a_worker_that_is_being_replaced(bench: Bench) -> None:
    dispatcher = bench.dispatcher
    bench.hear_until(lambda: dispatcher.is_ready)
    dispatcher.replace_worker(1)
    dispatcher.add("anna", "a")
    dispatcher.proceed()
    assert bench.told.words == []
    bench.hear_until(lambda: dispatcher.worker_pid is None)
    bench.after(0.0)
    bench.hear_until(lambda: "a waiting" in bench.told.words)


def test_a_cancel_is_said_once(bench: Bench) -> None:
    bench.dispatcher.add("anna", "a")
    bench.hear_until(lambda: "a waiting" in bench.told.words)
    bench.dispatcher.cancel("a")
    assert bench.after(CANCEL_SECONDS) == [f"a {ErrorKind.CANCELLED}"]
    bench.dispatcher.cancel("a")
    assert bench.after(0.1) == []
