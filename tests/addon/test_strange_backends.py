# SPDX-License-Identifier: GPL-3.0-or-later
"""The session against backends that speak another version, or nonsense."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from backend.server.keys import new_key_pair
from blender_addon.connection import link
from blender_addon.connection.connection_check import check_connection
from blender_addon.connection.session import Session, SessionState
from blender_addon.connection.under_way import JobsUnderWay
from shared.connection import ClientKeys
from shared.errors import ErrorKind, VividKeysError
from shared.messages import Accepted, Done, Hello, Need, Pong, Submit, Upload, Welcome
from shared.protocol import decode_from_client, encode
from tests.patience import PATIENCE

Answer = Callable[[list[bytes]], list[list[bytes]]]


class StrangeBackend:
    """A ROUTER with a key, that answers every message with what the test wants."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        pair, client = new_key_pair(), new_key_pair()
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.curve_server = 1
        self._socket.curve_secretkey = pair.secret.encode()
        self._socket.linger = 0
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"127.0.0.1:{port}"
        self.keys = ClientKeys(pair.public, client.public, client.secret)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        self._socket.close()
        self._context.term()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            if self._socket.poll(50):
                identity, *frames = self._socket.recv_multipart()
                for reply in self._answer(frames):
                    self._socket.send_multipart([identity, *reply])


@pytest.fixture
def backend() -> Iterator[Callable[[Answer], StrangeBackend]]:
    made: list[StrangeBackend] = []

    def make(answer: Answer) -> StrangeBackend:
        made.append(StrangeBackend(answer))
        return made[-1]

    yield make
    for strange in made:
        strange.close()


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session("a test")
    yield made
    made.close()


def of_version_9(_frames: list[bytes]) -> list[list[bytes]]:
    sentence = "The add-on speaks version 1 of the protocol, this backend version 9."
    header = {
        "v": 9,
        "type": "failed",
        "kind": "unknown_version",
        "sentence": sentence,
        "next_step": "Install the same release.",
        "about": "hello",
        "a_field_of_the_future": [1],
    }
    return [[json.dumps(header).encode()]]


def welcoming_in_version_9(_frames: list[bytes]) -> list[list[bytes]]:
    return [[json.dumps({"v": 9, "type": "welcome", "version": 9}).encode()]]


@pytest.mark.parametrize("answer", [of_version_9, welcoming_in_version_9])
def test_another_version_ends_the_attempts_and_both_versions_are_named(
    backend: Callable[[Answer], StrangeBackend], session: Session, answer: Answer
) -> None:
    strange = backend(answer)
    session.connect(strange.address, strange.keys)
    with pytest.raises(VividKeysError) as caught:
        session.wait_until_connected(PATIENCE)
    assert caught.value.kind is ErrorKind.UNKNOWN_VERSION
    assert "version 1" in session.sentence and "version 9" in session.sentence
    assert session.state is SessionState.DISCONNECTED

    failed = check_connection(strange.address, strange.keys, timeout=PATIENCE)[-1]
    assert (failed.name, failed.ok) == ("version", False)
    assert "version 9" in failed.sentence


def test_a_result_that_cannot_be_used_fails_its_job(
    backend: Callable[[Answer], StrangeBackend], session: Session
) -> None:
    def answer(frames: list[bytes]) -> list[list[bytes]]:
        message = decode_from_client(frames)
        if not isinstance(message, Submit):
            return [[bytes(frame) for frame in encode(Welcome(1, name="anna"))]]
        good = encode(Done(message.job, "animate", arrays={"curve": np.ones(1, np.float32)}))
        spoilt = [bytes(good[0]), np.array([np.nan], np.float32).tobytes()]
        accepted = [bytes(frame) for frame in encode(Accepted(message.job))]
        nonsense = [[b"{"], [b"\xff" * 40, b"more"], [b'{"v": 1, "type": "ping"}']]
        return [accepted, *nonsense, spoilt]

    strange = backend(answer)
    session.connect(strange.address, strange.keys)
    session.wait_until_connected(PATIENCE)
    with pytest.raises(VividKeysError) as caught:
        session.wait(session.submit("animate", {}), timeout=PATIENCE)
    assert caught.value.kind is ErrorKind.BAD_ARRAY
    assert session.state is SessionState.CONNECTED


def test_something_that_accepts_and_never_answers_is_not_waited_for_for_ever(
    backend: Callable[[Answer], StrangeBackend],
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strange = backend(lambda _frames: [])
    monkeypatch.setattr(link, "_WELCOME_SECONDS", 0.1)
    session.connect(strange.address, strange.keys)
    with pytest.raises(VividKeysError) as caught:
        session.wait_until_connected(PATIENCE)
    assert caught.value.kind is ErrorKind.BACKEND_LOST
    assert session.state is SessionState.LOST
    # The time is for all steps together: on a busy machine it takes more to get to this one.
    for timeout in (0.25, 1, 4, 16, 64, 256):
        failed = check_connection(strange.address, strange.keys, timeout=timeout)[-1]
        if failed.name == "version":
            break
    assert (failed.name, failed.ok) == ("version", False)


def speaking(*replies: list[bytes]) -> Answer:
    """Welcomes, and answers a submit with an acceptance and then with `replies`."""

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        try:
            message = decode_from_client(frames)
        except VividKeysError:
            return []
        if isinstance(message, Submit):
            job = message.job.encode()
            accepted = [bytes(frame) for frame in encode(Accepted(message.job))]
            return [accepted, *([frame.replace(b"$JOB", job) for frame in r] for r in replies)]
        if isinstance(message, Hello):
            return [[bytes(frame) for frame in encode(Welcome(1, name="anna"))]]
        return [[bytes(frame) for frame in encode(Pong())]]

    return answer


@pytest.mark.parametrize(
    "frames",
    [
        [
            b'{"v":1,"type":"done","job":"$JOB","arrays":[{"name":"a","dtype":"uint8",'
            b'"shape":[0,2147483647,2147483647,2147483647]}]}',
            b"",
        ],
        [b'{"v":1,"type":"progress","job":"$JOB","stage":"x","fraction":1' + b"0" * 400 + b"}"],
        [b'{"v":1,"type":"chunk","job":"$JOB","index":0,"info":' + b"[" * 900 + b"]" * 900 + b"}"],
        [b'{"v":1,"type":"need","sha256":"' + b"0" * 64 + b'","offset":9007199254740992}'],
        [b"[" * 200_000],
        [b"", *[b""] * 3000],
    ],
)
def test_no_message_ends_the_thread_behind_the_session(
    backend: Callable[[Answer], StrangeBackend], session: Session, frames: list[bytes]
) -> None:
    end = [bytes(b) for b in encode(Done("0" * 32, "animate", {"is": "here"}))]
    end[0] = end[0].replace(b"0" * 32, b"$JOB")
    strange = backend(speaking(frames, end))
    session.connect(strange.address, strange.keys)
    session.wait_until_connected(PATIENCE)
    try:
        assert session.wait(session.submit("animate", {}), timeout=PATIENCE).info == {"is": "here"}
    except VividKeysError as error:
        assert error.kind is ErrorKind.BAD_ARRAY, "the result itself was the message that is none"
    assert session.state is SessionState.CONNECTED
    assert check_connection(strange.address, strange.keys)[-1].name == "models"


def test_an_acceptance_that_comes_before_the_files_leaves_the_session_alive(
    backend: Callable[[Answer], StrangeBackend], session: Session, tmp_path: Path
) -> None:
    """A backend that accepts what it was never sent; the file is still being hashed then."""
    large = tmp_path / "voice.wav"
    large.write_bytes(b"\0" * (64 << 20))
    jobs: list[str] = []

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        replies = [[bytes(frame) for frame in encode(Welcome(1, name="anna"))]]
        for job in jobs[:1]:
            replies += [[bytes(f) for f in encode(Accepted(job))]]
        return replies

    strange = backend(answer)
    session.connect(strange.address, strange.keys)
    session.wait_until_connected(PATIENCE)
    jobs.append(session.submit("animate", {}, uploads={"audio": large}))
    until = time.monotonic() + PATIENCE
    accepted = False
    while not accepted and time.monotonic() < until:
        accepted = any(isinstance(event, Accepted) for event in session.pump())
        time.sleep(0.01)
    assert accepted
    jobs.append(session.submit("animate", {}, uploads={"audio": b"later"}))
    assert jobs[1] in session.active_jobs
    session.cancel(jobs[1])
    with pytest.raises(VividKeysError) as caught:
        session.wait(jobs[1], timeout=PATIENCE)
    assert caught.value.kind is ErrorKind.CANCELLED, "a dead thread would not answer"


def test_a_backend_that_asks_for_more_than_there_is_ends_the_upload(
    backend: Callable[[Answer], StrangeBackend], session: Session
) -> None:
    def answer(frames: list[bytes]) -> list[list[bytes]]:
        message = decode_from_client(frames)
        if isinstance(message, Upload):
            return [[bytes(f) for f in encode(Need(message.sha256, 1 << 40))]]
        return [[bytes(frame) for frame in encode(Welcome(1, name="anna"))]]

    strange = backend(answer)
    session.connect(strange.address, strange.keys)
    session.wait_until_connected(PATIENCE)
    with pytest.raises(VividKeysError) as caught:
        session.wait(session.submit("animate", {}, uploads={"audio": b"voice"}), timeout=PATIENCE)
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_message_that_nobody_foresaw_fails_its_job_and_nothing_else(
    backend: Callable[[Answer], StrangeBackend],
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What would be a defect of ours: it is logged, the job hears of it, the thread lives."""

    def stumble(_jobs: object, _message: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    strange = backend(speaking())
    session.connect(strange.address, strange.keys)
    session.wait_until_connected(PATIENCE)
    with monkeypatch.context() as patched:
        patched.setattr(JobsUnderWay, "hear", stumble)
        with pytest.raises(VividKeysError) as caught:
            session.wait(session.submit("animate", {}), timeout=PATIENCE)
    assert caught.value.kind is ErrorKind.INTERNAL
    assert "nobody foresaw this" in caplog.text
    job = session.submit("animate", {})
    session.cancel(job)
    assert session.state is SessionState.CONNECTED
