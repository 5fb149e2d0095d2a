# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend with real sockets and CURVE whose answers a test decides: results, failures, silence.

It speaks the protocol through the extension's own `shared`, in a thread, on a free port.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class ScriptedBackend:
    """Use as a context manager; `key_file` and `address` are what a client needs."""

    def __init__(self, addon: Callable[[str], Any], folder: Path) -> None:
        import zmq

        self._zmq = zmq
        self._protocol = addon("shared.protocol")
        self._messages = addon("shared.messages")
        # By the kind of job: arrays, or what makes them from the submitted message.
        self.results: dict[str, Any] = {}
        # By the kind of job: the file of its result, or what makes it from the submitted message.
        self.files: dict[str, Any] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        self.chunks: dict[str, dict[str, Any]] = {}
        self.piece_limit = 1 << 40  # no piece is sent from this offset on
        self.failure: tuple[str, str, str] | None = None
        self.holds_back = threading.Event()  # set: a job stays at half until `release`
        self.release = threading.Event()
        self.silent = threading.Event()
        self.submits: list[Any] = []
        self.sent: dict[str, bytes] = {}  # files by job
        self.uploads: dict[str, bytearray] = {}
        self.cancelled: list[str] = []
        self.forgotten: list[str] = []
        self.kept: dict[str, str] = {}  # job -> kind, finished
        self.models: tuple[dict[str, Any], ...] = ()
        self._waiting: list[tuple[bytes, Any]] = []
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        public, secret = zmq.curve_keypair()
        self._socket.curve_server = True
        self._socket.curve_secretkey = secret
        self._socket.linger = 0
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"127.0.0.1:{port}"
        client_public, client_secret = zmq.curve_keypair()
        connection = addon("shared.connection")
        self.keys = connection.ClientKeys(
            public.decode(), client_public.decode(), client_secret.decode(), "test", self.address
        )
        self.key_file = folder / "client.key"
        connection.save_client_keys(self.keys, self.key_file)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ScriptedBackend:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away, as a backend does that is killed."""
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._context.destroy(linger=0)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(20):
                client, *frames = self._socket.recv_multipart()
                if not self.silent.is_set():
                    self._answer(client, self._protocol.decode_from_client(frames))
            if self._waiting and self.release.is_set():
                for client, message in self._waiting:
                    self._finish(client, message)
                self._waiting.clear()

    def _say(self, client: bytes, message: Any) -> None:
        self._socket.send_multipart([client, *self._protocol.encode(message)])

    def _answer(self, client: bytes, message: Any) -> None:
        messages = self._messages
        match message.TYPE:
            case "hello":
                jobs = tuple(
                    {"job": job, "kind": kind, "state": "done"} for job, kind in self.kept.items()
                )
                kinds = ("animate", "reconstruct", "render", "transfer")
                self._say(
                    client,
                    messages.Welcome(
                        version=1,
                        backend="Scripted 1",
                        kinds=kinds,
                        jobs=jobs,
                        models=self.models,
                    ),
                )
            case "ping":
                self._say(client, messages.Pong(message.number))
            case "upload":
                self._upload(client, message)
            case "submit":
                self.submits.append(message)
                self._say(client, messages.Accepted(message.job, message.kind, "running"))
                self._say(client, messages.Progress(message.job, "motion", 0.5, "Half way"))
                if message.kind in self.chunks:
                    chunk = messages.Chunk(message.job, 0, {}, self.chunks[message.kind])
                    self._say(client, chunk)
                if self.holds_back.is_set():
                    self._waiting.append((client, message))
                else:
                    self._finish(client, message)
            case "attach":
                self._say(client, messages.Accepted(message.job, self.kept[message.job], "done"))
                self._done(client, message.job, self.kept[message.job])
            case "cancel":
                self.cancelled.append(message.job)
                self._waiting = [w for w in self._waiting if w[1].job != message.job]
                self._fail(client, message.job, ("cancelled", "Cancelled.", ""))
            case "fetch":
                self._piece(client, message)
            case "forget":
                self.forgotten.append(message.job)
                self._say(client, messages.Forgotten(message.job))

    def _upload(self, client: bytes, message: Any) -> None:
        held = self.uploads.setdefault(message.sha256, bytearray())
        if message.arrays and message.offset == len(held):
            held += message.arrays["data"].tobytes()
        if len(held) == message.size:
            self._say(client, self._messages.Have(message.sha256))
        else:
            self._say(client, self._messages.Need(message.sha256, len(held)))

    def _finish(self, client: bytes, message: Any) -> None:
        if self.failure is not None:
            self._fail(client, message.job, self.failure)
        else:
            self._done(client, message.job, message.kind)

    def _done(self, client: bytes, job: str, kind: str) -> None:
        def made(value: Any) -> Any:
            if not callable(value):
                return value
            return value(next(submit for submit in self.submits if submit.job == job))

        file = made(self.files.get(kind))
        sha256, size = "", 0
        if file is not None:
            self.sent[job] = file
            sha256, size = hashlib.sha256(file).hexdigest(), len(file)
        info = self.infos.get(kind, {})
        arrays = made(self.results.get(kind, {}))
        done = self._messages.Done(
            job, kind, info, arrays=arrays, file_sha256=sha256, file_size=size
        )
        self._say(client, done)

    def _piece(self, client: bytes, message: Any) -> None:
        if message.offset < self.piece_limit:
            data = self.sent[message.job][message.offset : message.offset + (1 << 20)]
            arrays = {"data": np.frombuffer(data, np.uint8)}
            self._say(client, self._messages.Piece(message.job, message.offset, arrays))

    def _fail(self, client: bytes, job: str, failure: tuple[str, str, str]) -> None:
        kind, sentence, step = failure
        self._say(client, self._messages.Failed(kind, sentence, step, about="job", job=job))
