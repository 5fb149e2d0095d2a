# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that are files: kept on the server's disk, sent in pieces, deleted with their job."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.server.job_desk import MOST_UNSENT_PIECES
from backend.server.job_kinds import MadeFile
from backend.server.job_store import JobStore
from shared.errors import ErrorKind
from shared.limits import FILE_PIECE_BYTES, FILE_WINDOW
from shared.messages import Attach, Cancel, Done, Failed, Fetch, Forget, Forgotten, Piece, Progress
from tests.backend.server.real_server import BareClient, RunningServer
from tests.patience import PATIENCE, wait_until

SIZE = 2 * FILE_PIECE_BYTES + 12_345


def film(size: int = SIZE, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def fetched(client: BareClient, done: Done, start: int = 0) -> bytes:
    data = bytearray()
    while start + len(data) < done.file_size:
        offset = start + len(data)
        client.send(Fetch(done.job, offset))
        piece = client.wait_for(Piece)
        assert (piece.job, piece.offset) == (done.job, offset)
        data += piece.arrays["data"].tobytes()
    return bytes(data)


def files_of(server: RunningServer, job: str) -> list[str]:
    """What lies on the disk of a job, in its folder or kept."""
    return [path.name for path in (server.folder / "server").rglob("*") if job in str(path)]


def until_gone(server: RunningServer, job: str) -> None:
    wait_until(lambda: not files_of(server, job))


def test_a_file_is_named_in_done_and_comes_in_pieces(
    server: RunningServer, client: BareClient
) -> None:
    done = client.result_of(client.submit("film", size=SIZE))
    assert (done.file_size, done.kept, done.arrays) == (SIZE, True, {})
    assert done.file_sha256 == hashlib.sha256(film()).hexdigest()
    assert fetched(client, done) == film()
    assert sorted(files_of(server, done.job)) == [f"{done.job}.file", f"{done.job}.npz"]


def test_another_connection_attaches_and_goes_on_where_the_first_one_stopped(
    connect: Callable[..., BareClient],
) -> None:
    first = connect("anna")
    done = first.result_of(first.submit("film", size=SIZE))
    first.send(Fetch(done.job, 0))
    start = first.wait_for(Piece).arrays["data"].tobytes()
    first.close()
    second = connect("anna")
    second.send(Attach(done.job))
    again = second.result_of(done.job)
    assert (again.file_sha256, again.file_size) == (done.file_sha256, SIZE)
    assert start + fetched(second, again, len(start)) == film()


def test_forget_deletes_the_file(server: RunningServer, client: BareClient) -> None:
    done = client.result_of(client.submit("film", size=SIZE))
    client.send(Forget(done.job))
    client.wait_for(Forgotten)
    assert files_of(server, done.job) == []
    client.send(Fetch(done.job, 0))
    failed = client.wait_for(Failed)
    assert (failed.kind, failed.about, failed.job) == (ErrorKind.UNKNOWN_JOB, "fetch", done.job)


def test_pieces_that_are_not_there_are_refused(
    server: RunningServer, client: BareClient, connect: Callable[..., BareClient]
) -> None:
    done = client.result_of(client.submit("film", size=10))
    plain = client.result_of(client.submit("double"))
    for job, offset in ((done.job, 10), (done.job, 1 << 40), (plain.job, 0)):
        client.send(Fetch(job, offset))
        failed = client.wait_for(Failed)
        assert (failed.kind, failed.about) == (ErrorKind.BAD_REQUEST, "fetch"), offset
    berta = connect("berta")
    berta.send(Fetch(done.job, 0))
    assert berta.wait_for(Failed).kind is ErrorKind.UNKNOWN_JOB, "another client's result"
    (server.folder / "server" / "results" / f"{done.job}.file").unlink()
    client.send(Fetch(done.job, 0))
    assert client.wait_for(Failed).kind is ErrorKind.BAD_FILE


def test_a_window_of_questions_is_answered_in_order_and_a_flood_is_refused(
    server: RunningServer, client: BareClient
) -> None:
    done = client.result_of(client.submit("film", size=FILE_WINDOW * FILE_PIECE_BYTES))
    offsets = [index * FILE_PIECE_BYTES for index in range(FILE_WINDOW)]
    for offset in offsets:
        client.send(Fetch(done.job, offset))
    assert [client.wait_for(Piece).offset for _ in offsets] == offsets
    # While its disk is slow: no piece is read before the whole flood is there.
    disk = threading.Event()
    server.server._desk._files.submit(disk.wait, PATIENCE)
    for _ in range(400):
        client.send(Fetch(done.job, 0))
    refused = [client.wait_for(Failed) for _ in range(400 - MOST_UNSENT_PIECES)]
    assert {answer.kind for answer in refused} == {ErrorKind.BUSY}
    disk.set()
    for _ in range(MOST_UNSENT_PIECES):
        client.wait_for(Piece)
    client.send(Fetch(done.job, 0))
    assert client.receive(), "it goes on afterwards"


@pytest.mark.parametrize("deaf", [False, True])
def test_a_cancelled_job_leaves_no_file(
    server: RunningServer, client: BareClient, deaf: bool, tmp_path: Path
) -> None:
    released = tmp_path / "released"
    job = client.submit("film", size=SIZE, holds=True, until=str(released), deaf=deaf)
    client.until(lambda message: isinstance(message, Progress) and message.stage == "waiting")
    assert "film.mp4" in [path.name for path in (server.folder / "server").rglob("film.mp4")]
    client.send(Cancel(job))
    assert client.error_of(job).kind is ErrorKind.CANCELLED
    if deaf:
        released.touch()
    until_gone(server, job)
    # A deaf one writes on after its end was reported; what it writes goes when it lets go.
    client.result_of(client.submit("double"))
    until_gone(server, job)


def test_a_full_disk_in_the_middle_of_a_file_is_said_and_leaves_nothing(
    server: RunningServer, client: BareClient
) -> None:
    job = client.submit("film", size=SIZE, disk=True)
    failed = client.error_of(job)
    assert (failed.kind, failed.about) == (ErrorKind.DISK_FULL, "job")
    until_gone(server, job)


def test_a_file_beyond_the_quota_is_a_full_disk(tmp_path: Path) -> None:
    server = RunningServer(tmp_path, quota_bytes=3 << 20)
    client = BareClient(server.address, server.client_keys("anna"))
    try:
        job = client.submit("film", size=4 << 20)
        failed = client.error_of(job)
        assert (failed.kind, failed.about) == (ErrorKind.DISK_FULL, "job")
        until_gone(server, job)
        small = client.result_of(client.submit("film", size=2 << 20))
        assert fetched(client, small) == film(2 << 20)
        refused = client.error_of(client.submit("film", size=2 << 20, seed=1))
        assert refused.kind is ErrorKind.DISK_FULL, "the first one counts"
    finally:
        client.close()
        server.stop()


def test_what_a_server_that_died_was_writing_is_deleted_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "server" / "working" / ("a" * 32)
    left.mkdir(parents=True)
    (left / "film.mp4").write_bytes(b"half")
    server = RunningServer(tmp_path)
    assert server.ready.wait(PATIENCE)
    server.stop()
    assert not left.exists()


def test_a_list_of_jobs_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    store.add("a" * 32, "anna", "i", "animate", {})
    store.close()
    table = sqlite3.connect(tmp_path / "jobs.sqlite3")
    with table:
        for column in ("file_sha256", "file_size"):
            table.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        table.execute("PRAGMA user_version = 1")
    table.close()
    store = JobStore(tmp_path)
    job = store.get("a" * 32)
    assert job is not None and (job.file_sha256, job.file_size) == ("", 0)
    store.set_done(job.job, {}, 5, MadeFile(tmp_path / "x", "b" * 64, 5))
    done = store.get(job.job)
    assert done is not None and (done.file_sha256, done.file_size) == ("b" * 64, 5)
    store.close()
