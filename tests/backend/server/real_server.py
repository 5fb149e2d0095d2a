# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server with a real worker, and a bare client that can also say what it must not."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from backend.server import dispatch, reception, uploads
from backend.server.access import KnownKeys
from backend.server.keys import KeyPair, clients_file, make_client, new_key_pair, server_keys
from backend.server.server import Server, ServerSettings
from shared.connection import Address, ClientKeys, load_client_keys
from shared.errors import ErrorKind
from shared.limits import UPLOAD_CHUNK_BYTES
from shared.messages import (
    Done,
    Failed,
    Have,
    Hello,
    Message,
    Submit,
    Upload,
    Welcome,
    new_job_id,
)
from shared.protocol import decode_from_server, encode
from tests.patience import PATIENCE

QUICK_JOBS = ("tests.backend.server.quick_jobs",)


def be_patient(set_value: Callable[[Any, str, float], None]) -> None:
    """Make the limits of the server that a busy machine could break as long as a test waits.

    `set_value` is setattr, or that of a MonkeyPatch.
    """
    set_value(dispatch, "KILL_SECONDS", PATIENCE)
    set_value(reception, "SILENCE_SECONDS", PATIENCE)
    set_value(reception, "HANDSHAKE_SECONDS", PATIENCE)
    set_value(uploads, "LEFT_SECONDS", PATIENCE)


class RunningServer:
    """A server on a thread of this process, with its worker in a process of its own."""

    def __init__(
        self, folder: Path, quota_bytes: int = 50 << 30, modules: tuple[str, ...] = QUICK_JOBS
    ) -> None:
        self.folder = folder
        self.keys: KeyPair = server_keys(folder)
        settings = ServerSettings(Address("127.0.0.1", 0), folder, quota_bytes, modules)
        self.server = Server(settings, self.keys, KnownKeys(clients_file(folder)))
        self.address = str(self.server.address)
        self.ready = threading.Event()
        self.server.on_ready = self.ready.set
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.server.run()
        finally:
            self.server.close()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def client_keys(self, name: str) -> ClientKeys:
        """Keys of a client with that name; the same name gives the same keys."""
        path = self.folder / f"{name}.key"
        if not path.exists():
            make_client(name, data_folder=self.folder, out=path)
        return load_client_keys(path)

    def stop(self) -> None:
        self.server.ask_to_stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


class BareClient:
    """A DEALER socket without any manners."""

    def __init__(self, address: str, keys: ClientKeys) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self.context.socket(zmq.DEALER)
        self.socket.curve_serverkey = keys.server_public.encode()
        self.socket.curve_publickey = keys.client_public.encode()
        self.socket.curve_secretkey = keys.client_secret.encode()
        self.socket.linger = 0
        self.socket.connect(address)

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()  # both may be done twice

    def send(self, message: Message) -> None:
        self.socket.send_multipart(encode(message))

    def send_frames(self, frames: Sequence[bytes]) -> None:
        self.socket.send_multipart(frames)

    def receive(self, seconds: float = PATIENCE) -> Message:
        """The next message; fails the test when none comes."""
        assert self.socket.poll(int(seconds * 1000)), f"nothing came within {seconds} s"
        return decode_from_server(self.socket.recv_multipart())

    def is_silent(self, seconds: float) -> bool:
        return not self.socket.poll(int(seconds * 1000))

    def until(self, wanted: Callable[[Message], bool], seconds: float = PATIENCE) -> list[Message]:
        """Everything up to and with the first message that is wanted."""
        deadline = time.monotonic() + seconds
        heard: list[Message] = []
        while not heard or not wanted(heard[-1]):
            assert time.monotonic() < deadline, f"heard only {heard}"
            heard.append(self.receive(max(0.001, deadline - time.monotonic())))
        return heard

    def hello(self) -> Welcome:
        self.send(Hello("a test"))
        welcome = self.receive()
        assert isinstance(welcome, Welcome)
        return welcome

    def submit(self, kind: str, arrays: dict[str, Any] | None = None, **params: Any) -> str:
        job = new_job_id()
        self.send(Submit(job, kind, params, "", arrays or {}))
        return job

    def upload(self, data: bytes) -> tuple[str, list[Message]]:
        """Send bytes as the protocol wants it; the hash and what the server said."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.send(Upload(sha256, len(data)))
        answers = [self.receive()]
        offset = 0
        while offset < len(data) and not isinstance(answers[-1], Have | Failed):
            piece = np.frombuffer(data[offset : offset + UPLOAD_CHUNK_BYTES], np.uint8)
            self.send(Upload(sha256, len(data), offset, {"data": piece}))
            offset += len(piece)
            answers.append(self.receive())
        return sha256, answers

    def result_of(self, job: str, seconds: float = PATIENCE) -> Done:
        """Wait for a job to be done; fails the test when it fails."""
        end = self.end_of(job, seconds)
        assert isinstance(end, Done), end
        return end

    def error_of(self, job: str, seconds: float = PATIENCE) -> Failed:
        end = self.end_of(job, seconds)
        assert isinstance(end, Failed), end
        return end

    def end_of(self, job: str, seconds: float = PATIENCE) -> Message:
        return self.until(lambda message: has_ended(message, job), seconds)[-1]

    def drain_cancelled(self, count: int) -> None:
        """Wait until so many jobs have ended as cancelled."""
        for _ in range(count):
            self.until(
                lambda message: isinstance(message, Failed) and message.kind == ErrorKind.CANCELLED
            )

    def wait_for(self, wanted: type[Message], seconds: float = PATIENCE) -> Any:
        return self.until(lambda message: isinstance(message, wanted), seconds)[-1]


def has_ended(message: Message, job: str) -> bool:
    if isinstance(message, Failed) and message.job == job:
        return message.about in ("job", "submit", "attach")
    return isinstance(message, Done) and message.job == job


def stranger_keys(server: RunningServer) -> ClientKeys:
    """Keys that fit each other but that nobody added."""
    pair = new_key_pair()
    return ClientKeys(server.keys.public, pair.public, pair.secret)
