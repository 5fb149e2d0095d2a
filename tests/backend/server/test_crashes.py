# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that die and disks that fill up: nothing made is lost, and the next job works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from blender_addon.connection.backend_process import BackendProcess, BackendState
from shared.connection import ClientKeys
from shared.errors import ErrorKind
from shared.messages import Accepted, Attach, Done, Failed, Progress
from tests.backend.server.real_server import BareClient, RunningServer
from tests.patience import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., BackendProcess]]:
    """Starts backends as an add-on does, all with the same data folder; stops them afterwards."""
    started: list[BackendProcess] = []

    def start(*options: str) -> BackendProcess:
        backend = BackendProcess(
            Path(sys.executable),
            ROOT,
            tmp_path / "logs" / "backend.log",
            command=("-m", "tests.backend.server.run_child", str(tmp_path / "data"), *options),
            start_seconds=PATIENCE,
        )
        backend.start()
        started.append(backend)
        backend.wait_until_ready()
        return backend

    yield start
    for backend in started:
        backend.stop()


@pytest.fixture
def client_of() -> Iterator[Callable[[BackendProcess], BareClient]]:
    clients: list[BareClient] = []

    def make(backend: BackendProcess) -> BareClient:
        keys = backend.keys
        assert isinstance(keys, ClientKeys)
        clients.append(BareClient(keys.address, keys))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def begun(client: BareClient, job: str) -> None:
    client.until(
        lambda message: (
            isinstance(message, Progress) and (message.job, message.stage) == (job, "waiting")
        )
    )


def kill(backend: BackendProcess) -> None:
    """As a crash does: without a word."""
    assert backend.pid is not None
    os.kill(backend.pid, signal.SIGKILL)
    wait_until(lambda: backend.poll() is BackendState.FAILED)


# --- the worker --------------------------------------------------------------------------------


def test_a_worker_that_is_killed_fails_its_job_and_the_next_one_works(tmp_path: Path) -> None:
    server = RunningServer(tmp_path)
    assert server.ready.wait(PATIENCE)
    client = BareClient(server.address, server.client_keys("anna"))
    try:
        job = client.submit("wait")
        waiting = client.submit("double", {"curve": np.ones(2, np.float32)})
        begun(client, job)
        pid = server.server.dispatcher.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        failed = client.error_of(job)
        assert (failed.kind, failed.about) == (ErrorKind.BACKEND_LOST, "job")
        assert "again" in failed.next_step
        assert client.result_of(waiting).arrays["curve"].tolist() == [2, 2]
        client.result_of(client.submit("double"))
    finally:
        client.close()
        server.stop()


def test_a_job_that_takes_the_worker_with_it_is_not_tried_again(tmp_path: Path) -> None:
    server = RunningServer(tmp_path)
    client = BareClient(server.address, server.client_keys("anna"))
    try:
        for _ in range(2):
            failed = client.error_of(client.submit("break", how="die"))
            assert failed.kind is ErrorKind.BACKEND_LOST
        client.result_of(client.submit("double"))
    finally:
        client.close()
        server.stop()


def test_a_worker_that_cannot_start_is_reported_and_the_backend_ends(tmp_path: Path) -> None:
    backend = BackendProcess(
        Path(sys.executable),
        ROOT,
        tmp_path / "backend.log",
        command=(
            "-m",
            "tests.backend.server.run_child",
            str(tmp_path / "data"),
            "modules=tests.backend.server.jobs_that_kill",
        ),
        start_seconds=PATIENCE,
    )
    backend.start()
    wait_until(lambda: backend.poll() is not BackendState.STARTING)
    assert backend.state is BackendState.FAILED
    assert backend.error is not None and backend.error.kind is ErrorKind.INTERNAL
    assert "worker process" in backend.sentence


# --- the server --------------------------------------------------------------------------------


def test_after_a_crash_results_are_there_and_what_ran_has_failed(
    child: Callable[..., BackendProcess], client_of: Callable[[BackendProcess], BareClient]
) -> None:
    first = child()
    client = client_of(first)
    done = client.submit("double", {"curve": np.ones(3, np.float32)})
    client.result_of(done)
    running = client.submit("wait")
    waiting = client.submit("double", {"curve": np.full(2, 7, np.float32)})
    begun(client, running)
    worker = [process.pid for process in psutil.Process(first.pid).children()]
    kill(first)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in worker))

    client = client_of(child())
    jobs = {known["job"]: known["state"] for known in client.hello().jobs}
    assert jobs[done] == "done" and jobs[running] == "failed"
    client.send(Attach(running))
    assert client.error_of(running).kind is ErrorKind.BACKEND_LOST
    client.send(Attach(done))
    assert client.result_of(done).arrays["curve"].tolist() == [2, 2, 2]
    client.send(Attach(waiting))
    assert client.result_of(waiting).arrays["curve"].tolist() == [14, 14]


def test_two_backends_share_a_folder_and_not_their_jobs(
    tmp_path: Path,
    child: Callable[..., BackendProcess],
    client_of: Callable[[BackendProcess], BareClient],
) -> None:
    client, other = client_of(child()), client_of(child())
    other.hello()
    released = tmp_path / "released"
    job = client.submit("wait", until=str(released), name="of the first")
    begun(client, job)
    other.send(Attach(job))
    assert other.error_of(job).kind is ErrorKind.BUSY
    released.touch()
    assert client.result_of(job).info == {"name": "of the first"}, "the second left it alone"
    other.send(Attach(job))
    assert other.result_of(job).info == {"name": "of the first"}


def test_when_blender_is_gone_the_running_job_is_finished_and_kept(
    tmp_path: Path,
    child: Callable[..., BackendProcess],
    client_of: Callable[[BackendProcess], BareClient],
) -> None:
    # A process in between plays Blender: it starts the backend, and is killed.
    blender = subprocess.Popen(
        [sys.executable, "-c", _BLENDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert blender.stdout is not None
    job, pid = blender.stdout.readline().decode().split()
    backend = psutil.Process(int(pid))
    blender.kill()
    blender.wait()
    blender.stdout.close()
    assert backend.is_running(), "it works on"
    (tmp_path / "released").touch()
    backend.wait(PATIENCE)
    client = client_of(child())
    client.send(Attach(job))
    assert client.result_of(job).info == {"name": "finished alone"}


_BLENDER = """
import sys, time
from pathlib import Path
from blender_addon.connection.backend_process import BackendProcess
from blender_addon.connection.session import Session
from shared.messages import Progress
from tests.patience import PATIENCE

folder = Path(sys.argv[1])
backend = BackendProcess(
    Path(sys.executable), Path.cwd(), folder / "blender.log",
    command=("-m", "tests.backend.server.run_child", str(folder / "data")), start_seconds=PATIENCE,
)
backend.start()
keys = backend.wait_until_ready()
session = Session()
session.connect(keys.address, keys)
session.wait_until_connected(PATIENCE)
job = session.submit("wait", {"until": str(folder / "released"), "name": "finished alone"})
while not any(isinstance(event, Progress) for event in session.pump()):
    time.sleep(0.01)
print(job, backend.pid, flush=True)
time.sleep(600)
"""


def test_an_orphan_does_not_work_for_ever(
    tmp_path: Path, child: Callable[..., BackendProcess], client_of: Callable[..., BareClient]
) -> None:
    backend = child("orphan_seconds=0.5")
    client = client_of(backend)
    job = client.submit("wait")
    begun(client, job)
    process = backend._process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    wait_until(lambda: backend.poll() is BackendState.FAILED)
    client = client_of(child())
    client.send(Attach(job))
    assert client.error_of(job).kind is ErrorKind.BACKEND_LOST


# --- the disk ----------------------------------------------------------------------------------


def test_a_result_that_cannot_be_saved_is_sent_all_the_same(
    child: Callable[..., BackendProcess], client_of: Callable[[BackendProcess], BareClient]
) -> None:
    client = client_of(child("largest_file=3000000"))
    job = client.submit("break", how="4000000")
    heard = client.until(lambda message: isinstance(message, Done))
    kept = [message for message in heard if isinstance(message, Failed)]
    assert [(failed.kind, failed.about) for failed in kept] == [(ErrorKind.DISK_FULL, "keep")]
    done = heard[-1]
    assert isinstance(done, Done)
    assert not done.kept and done.arrays["large"].nbytes == 4_000_000
    client.send(Attach(job))
    assert client.error_of(job).kind is ErrorKind.DISK_FULL
    client.result_of(client.submit("double")), "the server goes on"


def test_an_upload_that_does_not_fit_is_refused(
    child: Callable[..., BackendProcess], client_of: Callable[[BackendProcess], BareClient]
) -> None:
    client = client_of(child("largest_file=3000000"))
    _sha256, answers = client.upload(bytes(5_000_000))
    failed = answers[-1]
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.about) == (ErrorKind.DISK_FULL, "upload")
    sha256, _answers = client.upload(b"small")
    client.result_of(client.submit("measure", file=sha256))


def test_old_uploads_give_way_before_the_quota_refuses(tmp_path: Path) -> None:
    server = RunningServer(tmp_path, quota_bytes=3_000_000)
    client = BareClient(server.address, server.client_keys("anna"))
    try:
        old, _answers = client.upload(b"o" * 2_000_000)
        job = client.submit("measure", file=old)
        client.result_of(job)
        new, _answers = client.upload(b"n" * 2_000_000)
        uploads = {path.name for path in (tmp_path / "server" / "uploads").iterdir()}
        assert uploads == {new}
        _sha256, answers = client.upload(b"x" * 3_500_000)
        failed = answers[-1]
        assert isinstance(failed, Failed) and failed.kind is ErrorKind.DISK_FULL
        client.send(Attach(job))
        client.result_of(job), "a result never gives way"
    finally:
        client.close()
        server.stop()


def test_a_client_that_quits_in_mid_job_finds_its_result(tmp_path: Path) -> None:
    server = RunningServer(tmp_path)
    try:
        client = BareClient(server.address, server.client_keys("anna"))
        job = client.submit("wait", until=str(tmp_path / "released"), name="not lost")
        client.wait_for(Accepted)
        begun(client, job)
        client.close()
        (tmp_path / "released").touch()
        later = BareClient(server.address, server.client_keys("anna"))
        later.send(Attach(job))
        assert later.result_of(job).info == {"name": "not lost"}
        later.close()
    finally:
        server.stop()
