# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a result on its way to the add-on: whole or not at all, and never lost."""

from __future__ import annotations

import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from blender_addon.connection import receipts
from blender_addon.connection.events import Event, FileReceived, ResultWaits
from blender_addon.connection.receipts import Receipt
from blender_addon.connection.session import Session, SessionState
from blender_addon.connection.under_way import JobsUnderWay
from shared.errors import ErrorKind, VividKeysError
from shared.limits import FILE_PIECE_BYTES, FILE_WINDOW
from shared.messages import (
    Attach,
    Cancel,
    Done,
    Failed,
    Fetch,
    Forget,
    Forgotten,
    Message,
    Piece,
    Progress,
)
from tests.addon.test_session import Relay, ends, failure_of, pump_until, until_state
from tests.backend.server.real_server import RunningServer
from tests.patience import PATIENCE

# More than two windows, so that a break comes in the middle.
SIZE = (2 * FILE_WINDOW + 3) * FILE_PIECE_BYTES + 77


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("backend"))
    assert running.ready.wait(PATIENCE)
    yield running
    running.stop()


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session("a test")
    yield made
    made.close()


@pytest.fixture
def connected(server: RunningServer, session: Session) -> Session:
    session.connect(server.address, server.client_keys("anna"))
    session.wait_until_connected(PATIENCE)
    return session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "received"


def film(size: int = SIZE) -> bytes:
    return np.random.default_rng(0).bytes(size)


def received(heard: list[Event]) -> FileReceived:
    (event,) = [event for event in heard if isinstance(event, FileReceived)]
    return event


def is_half_way(event: Event) -> bool:
    return isinstance(event, Progress) and event.stage == "fetch" and event.fraction > 0


@pytest.mark.parametrize("size", [0, 1, FILE_PIECE_BYTES, SIZE])
def test_a_film_is_on_the_disk_before_its_job_is_done(
    connected: Session, folder: Path, size: int
) -> None:
    job = connected.submit("film", {"size": size}, files_to=folder)
    heard = pump_until(connected, ends(job))
    assert isinstance(heard[-1], Done)
    kinds = [type(e) for e in heard if isinstance(e, ResultWaits | FileReceived | Done)]
    assert kinds == [ResultWaits, FileReceived, Done]
    path = received(heard).path
    assert path.read_bytes() == film(size) and list(folder.iterdir()) == [path]


def test_without_a_folder_it_is_left_at_the_backend(connected: Session, folder: Path) -> None:
    job = connected.submit("film", {"size": 50})
    assert connected.wait(job, timeout=PATIENCE).file_size == 50
    connected.attach(job, files_to=folder)
    heard = pump_until(connected, ends(job))
    assert received(heard).path.read_bytes() == film(50)


def test_a_break_in_the_middle_is_mended_without_starting_over(
    server: RunningServer, session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    questions = Receipt.questions
    is_broken = threading.Event()

    def noted(self: Receipt) -> Iterator[Fetch]:
        # Nothing more is asked for half-way: the break comes before the end on every machine.
        if self.received and not is_broken.is_set():
            return
        for question in questions(self):
            asked.append(question.offset)
            yield question

    monkeypatch.setattr(Receipt, "questions", noted)
    monkeypatch.setattr("blender_addon.connection.under_way._PROGRESS_SECONDS", 0.0)
    with Relay(server.address) as relay:
        session.connect(relay.address, server.client_keys("anna"))
        session.wait_until_connected(PATIENCE)
        job = session.submit("film", {"size": SIZE}, files_to=folder)
        pump_until(session, is_half_way)
        relay.break_connections()
        until_state(session, SessionState.LOST)
        broken_at = len(asked)
        is_broken.set()
        heard = pump_until(session, ends(job))
    assert isinstance(heard[-1], Done)
    assert received(heard).path.read_bytes() == film()
    assert len(asked) > broken_at and 0 not in asked[broken_at:], "it started over"


def test_cancelled_while_it_is_received_it_is_forgotten_at_both_ends(
    connected: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = Receipt.questions
    # It comes to a halt half-way, however quick the machine is.
    monkeypatch.setattr(
        Receipt, "questions", lambda self: () if self.received else islice(questions(self), 2)
    )
    monkeypatch.setattr("blender_addon.connection.under_way._PROGRESS_SECONDS", 0.0)
    job = connected.submit("film", {"size": 5 * FILE_PIECE_BYTES}, files_to=folder)
    pump_until(connected, is_half_way)
    connected.cancel(job)
    assert failure_of(connected, job).kind is ErrorKind.CANCELLED
    pump_until(connected, lambda event: event == Forgotten(job))
    assert list(folder.iterdir()) == []


def test_a_film_that_was_done_before_the_cancel_came_is_not_fetched(folder: Path) -> None:
    heard: list[Event] = []
    sent: list[Message] = []
    jobs = JobsUnderWay(heard.append, sent.append, lambda: True)
    jobs.attach("a" * 32, folder)
    jobs.cancel("a" * 32)
    jobs.hear(Done("a" * 32, file_sha256="b" * 64, file_size=3))
    assert [type(message) for message in sent] == [Attach, Cancel, Forget]
    (failed,) = heard
    assert isinstance(failed, Failed) and failed.kind is ErrorKind.CANCELLED


def test_a_full_disk_here_is_said_and_the_film_stays_at_the_backend(
    connected: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    real = shutil.disk_usage  # the server, in this process too, has room enough
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(1, 1, 1000) if path == folder else real(path)
    )
    job = connected.submit("film", {"size": 4000}, files_to=folder)
    heard = pump_until(connected, ends(job))
    assert heard[-1].kind is ErrorKind.DISK_FULL and "this computer" in heard[-1].sentence
    assert ResultWaits(job) in heard
    monkeypatch.undo()
    connected.attach(job, files_to=folder)
    assert received(pump_until(connected, ends(job))).path.read_bytes() == film(4000)


def test_a_folder_that_cannot_be_written_is_named(connected: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    job = connected.submit("film", {"size": 40}, files_to=tmp_path / "file")
    failed = failure_of(connected, job)
    assert failed.kind is ErrorKind.BAD_FILE and failed.next_step


def receipt_of(data: bytes, folder: Path) -> Receipt:
    return Receipt(Done("a" * 32, file_sha256="b" * 64, file_size=len(data)), folder)


def piece(data: bytes, offset: int = 0) -> Piece:
    return Piece("a" * 32, offset, {"data": np.frombuffer(data, np.uint8)})


def test_bytes_that_are_not_those_that_were_promised_are_refused(folder: Path) -> None:
    receipt = receipt_of(b"abc", folder)
    receipt.take(piece(b"abc"))
    with pytest.raises(VividKeysError, match="damaged"):
        receipt.finish()
    receipt.close()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("wrong", [b"ab", b"abcd", b""])
def test_a_piece_of_another_length_is_refused(folder: Path, wrong: bytes) -> None:
    receipt = receipt_of(b"abc", folder)
    with pytest.raises(VividKeysError, match="damaged"):
        receipt.take(piece(wrong))
    receipt.take(piece(b"abc", offset=9))
    assert receipt.received == 0, "a piece from elsewhere is not appended"
    receipt.close()


def test_what_a_crash_left_long_ago_is_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    for name in ("x.part", "y.received", "mine.mp4"):
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(receipts, "_LEFT_SECONDS", -1.0)
    receipt = receipt_of(b"abc", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a" * 32 + ".part", "mine.mp4"]
    receipt.close()
