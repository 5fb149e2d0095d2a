# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a client sends, it gets a sentence or nothing, and the server goes on for the others.

The fixture `server` fails the file if the server has ended; every test here also asks it
something ordinary afterwards.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np
import pytest
import zmq

from shared.errors import ErrorKind
from shared.framing import Frame
from shared.limits import TO_SERVER, UPLOAD_BYTES, UPLOAD_CHUNK_BYTES, UPLOADS_PER_CLIENT
from shared.messages import (
    Attach,
    Failed,
    Have,
    Hello,
    Message,
    Need,
    Ping,
    Pong,
    Submit,
    Upload,
)
from shared.protocol import encode
from tests.backend.server.real_server import BareClient, RunningServer, stranger_keys
from tests.patience import PATIENCE

JOB = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def still_serves(connect: Callable[..., BareClient]) -> Iterator[None]:
    """After every test a well-behaved client is served."""
    yield
    client = connect("well-behaved")
    done = client.result_of(client.submit("double", {"one": np.ones(1, np.float32)}))
    assert done.arrays["one"].tolist() == [2.0]


def header(**fields: object) -> bytes:
    return json.dumps({"v": 1, **fields}).encode()


def failure(client: BareClient) -> Failed:
    answer = client.receive()
    assert isinstance(answer, Failed), answer
    assert answer.sentence
    return answer


def is_turned_away(peer: zmq.Socket[bytes], address: str, message: Sequence[Frame] = ()) -> bool:
    """Connect, send, and wait until the connection has failed; True when no message came.

    `peer` must not have failed to connect before: ZeroMQ may not try the same address again.
    """
    failures = (
        zmq.EVENT_HANDSHAKE_FAILED_AUTH,
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
        zmq.EVENT_DISCONNECTED,
    )
    monitor = peer.get_monitor_socket()
    peer.connect(address)
    if message:
        with suppress(zmq.Again):  # refused already
            peer.send_multipart(message, zmq.NOBLOCK)
    event = 0
    while event not in failures:
        assert monitor.poll(int(PATIENCE * 1000)), "the connection stands"
        event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
    peer.disable_monitor()
    monitor.close(linger=0)
    return not peer.poll(100)


def test_a_client_without_a_known_key_gets_nothing(server: RunningServer) -> None:
    stranger = BareClient(server.address, stranger_keys(server))
    try:
        stranger.send(Hello("let me in"))
        stranger.send(Submit(JOB, "double"))
        assert is_turned_away(stranger.socket, server.address)
    finally:
        stranger.close()


def test_a_client_without_encryption_gets_nothing(server: RunningServer) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    plain = context.socket(zmq.DEALER)
    assert is_turned_away(plain, server.address, encode(Hello("in the clear")))
    plain.close(linger=0)
    context.term()


def test_something_that_is_not_zeromq_gets_nothing(server: RunningServer) -> None:
    host, port = server.address.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 100_000)
        browser.settimeout(PATIENCE)
        received = b""
        try:
            while data := browser.recv(4096):
                received += data
        except ConnectionResetError:
            pass
    assert len(received) < 200, "no more than ZeroMQ's own greeting"


def test_a_client_that_is_removed_is_shut_out_at_once(
    server: RunningServer, connect: Callable[..., BareClient]
) -> None:
    from backend.server.keys import remove_client

    client = connect("leaver")
    client.hello()
    assert remove_client("leaver", data_folder=server.folder)
    client.send(Ping(1))
    assert client.is_silent(1.0)


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        ([b""], ErrorKind.BAD_REQUEST),
        ([b"\x80\x04K\x01."], ErrorKind.BAD_REQUEST),
        ([b"[" * 200_000], ErrorKind.BAD_REQUEST),
        ([b'{"v": 1, "type": "ping"}', b"surplus"], ErrorKind.BAD_ARRAY),
        ([b" " * (TO_SERVER.header_bytes + 1)], ErrorKind.TOO_LARGE),
        ([b'{"v": 1, "type": "ping"}', *[b""] * 5000], ErrorKind.BAD_ARRAY),
        ([b'{"v": 2, "type": "hello"}'], ErrorKind.UNKNOWN_VERSION),
        ([b'{"v": 1, "type": "welcome"}'], ErrorKind.BAD_REQUEST),
        ([header(type="submit", job=JOB, kind="double", params=[])], ErrorKind.BAD_REQUEST),
        ([header(type="submit", job="/etc", kind="double")], ErrorKind.BAD_REQUEST),
        ([header(type="submit", job=JOB, kind="../double")], ErrorKind.BAD_REQUEST),
        ([header(type="submit", job=JOB, kind="triple")], ErrorKind.BAD_REQUEST),
        ([header(type="submit", job=JOB, kind="measure")], ErrorKind.BAD_REQUEST),
        (
            [header(type="submit", job=JOB, kind="measure", params={"file": "../../keys"})],
            ErrorKind.UNKNOWN_UPLOAD,
        ),
        ([header(type="upload", sha256="../../x", size=1)], ErrorKind.BAD_REQUEST),
        ([header(type="attach", job=JOB)], ErrorKind.UNKNOWN_JOB),
        ([header(type="cancel", job=JOB)], ErrorKind.UNKNOWN_JOB),
        ([header(type="forget", job=JOB)], ErrorKind.UNKNOWN_JOB),
    ],
)
def test_a_malformed_message_is_answered_with_its_kind(
    client: BareClient, frames: list[bytes], kind: ErrorKind
) -> None:
    client.send_frames(frames)
    assert failure(client).kind is kind


LARGEST = 2**31 - 1
EMPTY_GIANT = [{"name": "a", "dtype": "uint8", "shape": [0, LARGEST, LARGEST, LARGEST]}]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "hello"},
        {"type": "ping"},
        {"type": "submit", "job": JOB, "kind": "double"},
        {"type": "upload", "sha256": "0" * 64, "size": 1},
        {"type": "nothing"},
    ],
)
def test_an_array_that_no_array_can_be_is_refused_and_ends_nothing(
    client: BareClient, fields: dict[str, object]
) -> None:
    client.send_frames([header(**fields, arrays=EMPTY_GIANT), b""])
    expected = ErrorKind.BAD_REQUEST if fields["type"] == "nothing" else ErrorKind.BAD_ARRAY
    assert failure(client).kind is expected


def test_a_message_that_nobody_foresaw_is_refused_and_logged(
    client: BareClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What would be a defect of ours in reading a message is not to end the server."""

    def stumble(_frames: object) -> object:
        raise ZeroDivisionError("nobody foresaw this")

    client.hello()
    with monkeypatch.context() as patched:
        patched.setattr("backend.server.reception.decode_from_client", stumble)
        client.send(Ping(1))
        assert failure(client).kind is ErrorKind.INTERNAL
    assert "nobody foresaw this" in caplog.text


def test_a_worker_that_says_what_cannot_be_used_costs_its_job_only(
    server: RunningServer, client: BareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is dropped, its job ends with a sentence, and another worker takes over."""
    from backend.server.dispatch import Dispatcher
    from backend.server.worker_process import WorkerSaid

    hear = Dispatcher.hear

    def spoilt(dispatcher: Dispatcher, said: object) -> None:
        if isinstance(said, WorkerSaid) and said.header.get("say") == "done":
            said = WorkerSaid(said.serial, {"say": "done", "job": said.header["job"]})
        hear(dispatcher, said)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Dispatcher, "hear", spoilt)
        job = client.submit("double", {"one": np.ones(1, np.float32)})
        assert client.error_of(job).about == "job"


def test_a_job_that_cannot_be_given_to_the_worker_is_in_nobodys_way(
    server: RunningServer, client: BareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.server.job_desk import JobDesk

    def stumble(_desk: JobDesk, _job: str) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    with monkeypatch.context() as patched:
        patched.setattr(JobDesk, "task_of", stumble)
        job = client.submit("double", {"one": np.ones(1, np.float32)})
        assert client.error_of(job).kind is ErrorKind.INTERNAL


def test_a_kept_result_that_cannot_be_sent_is_a_failure_for_who_asks(
    server: RunningServer, client: BareClient
) -> None:
    """Somebody wrote into the data folder; numbers that no message carries."""
    done = client.result_of(client.submit("double", {"one": np.ones(1, np.float32)}))
    kept = server.folder / "server" / "results" / f"{done.job}.npz"
    assert kept.is_file()
    np.savez(kept, one=np.array([np.nan], np.float32))
    client.send(Attach(done.job))
    assert client.error_of(done.job).kind is ErrorKind.BAD_ARRAY
    kept.write_bytes(b"PK nothing")
    client.send(Attach(done.job))
    assert client.error_of(done.job).kind is ErrorKind.BAD_FILE


@pytest.mark.parametrize(
    ("description", "body", "kind"),
    [
        ({"dtype": "float32", "shape": [1]}, np.array([np.nan], "<f4"), ErrorKind.BAD_ARRAY),
        ({"dtype": "float64", "shape": [1]}, np.array([np.inf], "<f8"), ErrorKind.BAD_ARRAY),
        ({"dtype": "float32", "shape": [2]}, np.zeros(1, "<f4"), ErrorKind.BAD_ARRAY),
        ({"dtype": "object", "shape": [1]}, np.zeros(1, "<f8"), ErrorKind.BAD_ARRAY),
        ({"dtype": "float32", "shape": [-1]}, np.zeros(1, "<f4"), ErrorKind.BAD_ARRAY),
        ({"dtype": "uint8", "shape": [2**40]}, np.zeros(1, "u1"), ErrorKind.BAD_ARRAY),
    ],
)
def test_a_wrong_array_is_answered_with_its_kind(
    client: BareClient, description: dict[str, object], body: np.ndarray, kind: ErrorKind
) -> None:
    arrays = [{"name": "curve", **description}]
    client.send_frames(
        [header(type="submit", job=JOB, kind="double", arrays=arrays), body.tobytes()]
    )
    failed = failure(client)
    assert (failed.kind, failed.about, failed.job) == (kind, "submit", JOB)


def test_a_frame_beyond_the_limit_ends_that_connection_only(
    connect: Callable[..., BareClient],
) -> None:
    rude = connect("rude")
    rude.hello()
    rude.send_frames([header(type="ping"), bytes(TO_SERVER.array_bytes + 1)])
    rude.send(Ping(5))
    # ZeroMQ cuts the connection before the frame is in memory, and the socket connects again.
    heard: list[Message] = []
    while rude.socket.poll(1500):
        heard.append(rude.receive())
    assert all(isinstance(message, Pong) for message in heard)


def test_arrays_that_are_too_large_together_are_refused(client: BareClient) -> None:
    half = bytes(TO_SERVER.message_bytes // 2 + 4)
    arrays = [{"name": name, "dtype": "uint8", "shape": [len(half)]} for name in "ab"]
    client.send_frames([header(type="submit", job=JOB, kind="double", arrays=arrays), half, half])
    assert failure(client).kind is ErrorKind.TOO_LARGE


def test_a_thousand_random_messages_disturb_nobody(
    client: BareClient, connect: Callable[..., BareClient]
) -> None:
    dice = random.Random(20)
    valid = [bytes(encode(message)[0]) for message in (Hello("x"), Ping(1), Submit(JOB, "double"))]
    noisy = connect("noisy")
    for _ in range(1000):
        frames = [dice.randbytes(dice.randrange(80)) for _ in range(dice.randrange(1, 5))]
        if dice.random() < 0.6:
            spoilt = bytearray(dice.choice(valid))
            for _ in range(dice.randrange(1, 4)):
                spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
            frames[0] = bytes(spoilt)
        noisy.send_frames(frames)
    client.send(Ping(99))
    assert client.receive() == Pong(99)


# --- uploads ---------------------------------------------------------------------------------


def piece_of(data: bytes, offset: int = 0, size: int | None = None, sha256: str = "") -> Message:
    return Upload(
        sha256 or hashlib.sha256(data).hexdigest(),
        len(data) if size is None else size,
        offset,
        {"data": np.frombuffer(data, np.uint8)},
    )


def test_bytes_that_are_not_what_they_were_called_are_refused(client: BareClient) -> None:
    client.send(piece_of(b"other bytes", sha256="1" * 64))
    failed = failure(client)
    assert (failed.kind, failed.about, failed.sha256) == (
        ErrorKind.BAD_REQUEST,
        "upload",
        "1" * 64,
    )
    client.send(Upload("1" * 64, 11))
    assert client.receive() == Need("1" * 64, 0), "nothing of it was kept"


def test_pieces_out_of_order_or_beyond_the_end_are_refused(client: BareClient) -> None:
    client.send(piece_of(b"abc", offset=5, size=10))
    assert failure(client).kind is ErrorKind.BAD_REQUEST
    client.send(piece_of(b"abcdefgh", size=4))
    assert failure(client).kind is ErrorKind.BAD_REQUEST


def test_a_piece_that_comes_twice_does_no_harm(client: BareClient) -> None:
    data = b"twice" * 100_000
    sha256 = hashlib.sha256(data).hexdigest()
    for offset, answer in ((0, Need(sha256, 300_000)), (0, Need(sha256, 300_000))):
        client.send(piece_of(data[:300_000], offset, len(data), sha256))
        assert client.receive() == answer
    client.send(piece_of(data[300_000:], 300_000, len(data), sha256))
    assert client.receive() == Have(sha256)


def test_sizes_and_pieces_beyond_the_limits_are_refused(client: BareClient) -> None:
    client.send(Upload("2" * 64, UPLOAD_BYTES + 1))
    assert failure(client).kind is ErrorKind.TOO_LARGE
    client.send(piece_of(bytes(UPLOAD_CHUNK_BYTES + 1)))
    assert failure(client).kind is ErrorKind.TOO_LARGE
    client.send(Upload("2" * 64, 8, 0, {"data": np.zeros(2, np.float32)}))
    assert failure(client).kind is ErrorKind.BAD_ARRAY


def test_unfinished_uploads_are_limited(connect: Callable[..., BareClient]) -> None:
    hoarder = connect("hoarder")
    for index in range(UPLOADS_PER_CLIENT):
        hoarder.send(Upload(f"{index}" * 64, 1000))
        assert isinstance(hoarder.receive(), Need)
    hoarder.send(Upload("f" * 64, 1000))
    assert failure(hoarder).kind is ErrorKind.BUSY


# --- jobs that go wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("refuse", ErrorKind.BAD_AUDIO),
        ("lines", ErrorKind.INTERNAL),
        ("disk", ErrorKind.DISK_FULL),
        ("memory", ErrorKind.TOO_LARGE),
        ("nan", ErrorKind.BAD_ARRAY),
    ],
)
def test_a_job_that_goes_wrong_says_how(client: BareClient, how: str, kind: ErrorKind) -> None:
    failed = client.error_of(client.submit("break", how=how))
    assert (failed.kind, failed.about) == (kind, "job")
    assert failed.sentence and "Traceback" not in failed.sentence
