# SPDX-License-Identifier: GPL-3.0-or-later
"""The local backend as the add-on's child: real processes, real pipes."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from blender_addon.connection.backend_process import BackendProcess, BackendState
from blender_addon.connection.session import Session, SessionState, StateChanged
from shared import limits
from shared.errors import ErrorKind, VividKeysError
from shared.limits import SILENCE_SECONDS
from shared.messages import Failed, Progress
from tests.addon.test_session import pump_until
from tests.patience import PATIENCE, Clock, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., BackendProcess]]:
    made: list[BackendProcess] = []

    def backend(*command: str, start_seconds: float = PATIENCE) -> BackendProcess:
        made.append(
            BackendProcess(
                Path(sys.executable),
                ROOT,
                tmp_path / "logs" / "backend.log",
                command=command or ("-m", "tests.backend.server.run_child", str(tmp_path / "data")),
                start_seconds=start_seconds,
            )
        )
        return made[-1]

    yield backend
    for process in made:
        process.stop()


def poll_until(backend: BackendProcess, state: BackendState) -> None:
    wait_until(lambda: backend.poll() is state)


def test_it_starts_serves_and_stops(make: Callable[..., BackendProcess]) -> None:
    backend = make()
    assert backend.state is BackendState.STOPPED
    backend.start()
    assert backend.state is BackendState.STARTING
    keys = backend.wait_until_ready()
    assert backend.state is BackendState.READY
    process = psutil.Process(backend.pid)
    family = [process, *process.children(recursive=True)]
    assert len(family) == 2, "the backend and its worker"
    session = Session()
    session.connect(keys.address, keys, patience=0.0)
    assert session.wait_until_connected(PATIENCE).name == "local"
    session.wait(session.submit("double", {}), timeout=PATIENCE)
    session.close()
    backend.stop()
    assert backend.state is BackendState.STOPPED and backend.keys is None
    psutil.wait_procs(family, timeout=PATIENCE)
    assert not any(member.is_running() for member in family)


def test_keys_are_neither_in_arguments_nor_environment_nor_files(
    make: Callable[..., BackendProcess], tmp_path: Path
) -> None:
    backend = make()
    backend.start()
    keys = backend.wait_until_ready()
    process = psutil.Process(backend.pid)
    for member in (process, *process.children(recursive=True)):
        seen = " ".join([*member.cmdline(), *member.environ().values()])
        assert keys.client_secret not in seen
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert keys.client_secret.encode() not in path.read_bytes(), path
    assert keys.client_secret not in repr(keys)


def test_starting_twice_keeps_the_first(make: Callable[..., BackendProcess]) -> None:
    backend = make()
    backend.start()
    pid = backend.pid
    backend.start()
    assert backend.pid == pid


def test_restart_gives_a_new_one(make: Callable[..., BackendProcess]) -> None:
    backend = make()
    backend.start()
    first = backend.wait_until_ready()
    backend.restart()
    assert backend.wait_until_ready().client_secret != first.client_secret


def test_a_backend_that_dies_in_mid_job_is_noticed_and_can_be_started_again(
    make: Callable[..., BackendProcess],
) -> None:
    backend = make()
    backend.start()
    keys = backend.wait_until_ready()
    clock = Clock()
    session = Session(clock=clock)
    try:
        session.connect(keys.address, keys, patience=0.0)
        session.wait_until_connected(PATIENCE)
        job = session.submit("wait", {})
        pump_until(session, lambda event: isinstance(event, Progress))
        psutil.Process(backend.pid).kill()
        # The clock stands: it is noticed at once, by the connection and not by a silence.
        heard = pump_until(session, lambda event: isinstance(event, Failed))
        failed = next(event for event in heard if isinstance(event, Failed))
        assert (failed.job, failed.kind) == (job, ErrorKind.BACKEND_LOST)
        assert failed.sentence and failed.next_step
        states = [event.state for event in heard if isinstance(event, StateChanged)]
        assert states == [SessionState.LOST]

        poll_until(backend, BackendState.FAILED)
        assert backend.error is not None and backend.error.kind is ErrorKind.BACKEND_LOST
        assert str(backend.log_file) in backend.error.next_step
        backend.start()
        keys = backend.wait_until_ready()
        session.connect(keys.address, keys, patience=0.0)
        session.wait_until_connected(PATIENCE)
        again = session.submit("wait", {"until": str(ROOT), "name": "again"})
        assert session.wait(again, timeout=PATIENCE).info == {"name": "again"}
    finally:
        session.close()


def test_a_blender_that_is_busy_for_long_does_not_blame_the_backend(
    make: Callable[..., BackendProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "SILENCE_SECONDS", SILENCE_SECONDS)
    backend = make()
    backend.start()
    keys = backend.wait_until_ready()
    clock = Clock()
    session = Session(clock=clock)
    released = tmp_path / "released"
    try:
        session.connect(keys.address, keys, patience=0.0)
        session.wait_until_connected(PATIENCE)
        job = session.submit("wait", {"until": str(released), "name": "busy"})
        pump_until(session, lambda event: isinstance(event, Progress))
        # Unlike CDLL, PyDLL keeps Python's lock, as an operator of Blender does.
        ctypes.PyDLL(None).sleep(int(SILENCE_SECONDS) + 2)
        clock.advance(SILENCE_SECONDS + 2)
        clock.until_seen()
        released.touch()
        heard: list[object] = []
        assert session.wait(job, timeout=PATIENCE, on_event=heard.append).info == {"name": "busy"}
        states = [event.state for event in heard if isinstance(event, StateChanged)]
        assert SessionState.LOST not in states
    finally:
        session.close()


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    backend = BackendProcess(tmp_path / "no python", ROOT, tmp_path / "backend.log")
    with pytest.raises(VividKeysError) as caught:
        backend.start()
    assert caught.value.kind is ErrorKind.MISSING_DEPENDENCY
    assert "install.py" in caught.value.next_step
    assert backend.poll() is BackendState.FAILED
    assert backend.sentence == caught.value.sentence


def test_a_program_that_ends_at_once(make: Callable[..., BackendProcess]) -> None:
    backend = make("-c", "import sys; print('about to fail', file=sys.stderr); sys.exit(3)")
    backend.start()
    poll_until(backend, BackendState.FAILED)
    assert "exit status 3" in backend.sentence
    assert "about to fail" in backend.log_tail()
    with pytest.raises(VividKeysError):
        backend.wait_until_ready()


@pytest.mark.parametrize(
    ("word", "kind"),
    [("disk_full", ErrorKind.DISK_FULL), ("of_a_later_version", ErrorKind.INTERNAL)],
)
def test_a_program_that_says_why_it_cannot_start(
    make: Callable[..., BackendProcess], word: str, kind: ErrorKind
) -> None:
    line = {"event": "failed", "kind": word, "sentence": "No room.", "next_step": "Sweep."}
    backend = make("-c", f"print({json.dumps(line)!r}); raise SystemExit(1)")
    backend.start()
    poll_until(backend, BackendState.FAILED)
    assert backend.error is not None
    assert (backend.error.kind, backend.error.sentence) == (kind, "No room.")


@pytest.mark.parametrize("line", ["hello", "[]", "{}", '{"event": "ready"}', '{"event": 3}'])
def test_a_program_that_is_no_backend(make: Callable[..., BackendProcess], line: str) -> None:
    backend = make("-c", f"import time; print({line!r}, flush=True); time.sleep(600)")
    backend.start()
    pid = backend.pid
    poll_until(backend, BackendState.FAILED)
    assert backend.sentence == "The program that was started is not a VividKeys backend."
    assert not psutil.pid_exists(pid or 0)


def test_a_program_that_never_becomes_ready(make: Callable[..., BackendProcess]) -> None:
    backend = make("-c", "import time; time.sleep(600)", start_seconds=0.5)
    backend.start()
    poll_until(backend, BackendState.FAILED)
    assert "in time" in backend.sentence


def test_one_that_does_not_listen_is_killed(make: Callable[..., BackendProcess]) -> None:
    deaf = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', file=sys.stderr, flush=True); time.sleep(600)"
    )
    backend = make("-c", deaf)
    backend.start()
    process = backend._process
    assert process is not None
    wait_until(lambda: "deaf" in backend.log_tail())
    backend.stop(seconds=0.3)
    assert process.returncode == -signal.SIGKILL and not psutil.pid_exists(process.pid)


def test_a_large_log_is_set_aside(make: Callable[..., BackendProcess], tmp_path: Path) -> None:
    log = tmp_path / "logs" / "backend.log"
    log.parent.mkdir()
    for round_number in range(5):
        log.write_bytes(bytes([65 + round_number]) * 2_000_001)
        backend = make("-c", "pass")
        backend.start()
        poll_until(backend, BackendState.FAILED)
    kept = {path.name: path.read_bytes()[:1] for path in log.parent.iterdir()}
    assert kept == {
        "backend.log": b"",
        "backend.log.1": b"E",
        "backend.log.2": b"D",
        "backend.log.3": b"C",
    }


def test_a_python_of_blender_does_not_disturb_the_backend(
    make: Callable[..., BackendProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert subprocess.run([sys.executable, "-c", "pass"], capture_output=True).returncode != 0
    backend = make()
    backend.start()
    assert backend.wait_until_ready().address
    assert "PYTHONHOME" in os.environ
