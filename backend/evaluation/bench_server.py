# SPDX-License-Identifier: GPL-3.0-or-later
"""Times a real server over an encrypted socket: start, first curves, a whole job, a cancel."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from backend.evaluation.bench_animate import write_speech
from shared import messages, requests
from shared.limits import UPLOAD_CHUNK_BYTES
from shared.messages import Message
from shared.protocol import decode_from_server, encode

PATIENCE_MS = 120_000


class Client:
    """One socket to the server; `wait_for` blocks until a certain answer has come."""

    def __init__(self, ready: dict[str, str]) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self._socket.setsockopt(zmq.CURVE_SERVERKEY, ready["server_public"].encode())
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, ready["client_public"].encode())
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, ready["client_secret"].encode())
        self._socket.connect(ready["address"])

    def send(self, message: Message) -> None:
        self._socket.send_multipart(encode(message))

    def wait_for(self, *kinds: type[Message]) -> Message:
        """The next message of one of `kinds`; others are skipped, failures raised."""
        while True:
            message = decode_from_server(self._socket.recv_multipart())
            if isinstance(message, kinds):
                return message
            if isinstance(message, messages.Failed):
                raise message.error

    def upload(self, data: bytes) -> str:
        """Send bytes that the server lacks; returns their SHA-256."""
        import numpy as np

        sha256 = hashlib.sha256(data).hexdigest()
        self.send(messages.Upload(sha256, len(data)))
        answer = self.wait_for(messages.Have, messages.Need)
        while isinstance(answer, messages.Need):
            piece = data[answer.offset : answer.offset + UPLOAD_CHUNK_BYTES]
            array = np.frombuffer(piece, np.uint8)
            self.send(messages.Upload(sha256, len(data), answer.offset, {"data": array}))
            answer = self.wait_for(messages.Have, messages.Need)
        return sha256

    def animate(self, sha256: str, seed: int, *, stream: bool = False) -> str:
        """Submit a job, with chunks of motion where asked for; returns its id."""
        job = messages.new_job_id()
        request = requests.AnimateRequest(audio=sha256, seed=seed, stream=stream)
        self.send(messages.Submit(job, "animate", requests.as_params(request)))
        return job

    def close(self) -> None:
        self._socket.close()


@contextmanager
def running_server(data: Path) -> Iterator[tuple[dict[str, str], float]]:
    """A child server on its own data folder: yields its ready line and the seconds to it."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "backend", "serve", "--child", "--data", str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline() or '{"event": "failed", "sentence": ""}')
        if ready["event"] != "ready":
            raise RuntimeError(f"the server did not start: {ready['sentence']}")
        yield ready, time.perf_counter() - start
    finally:
        process.stdin.write("stop\n")
        process.stdin.close()
        process.wait(30)


def measure_server(repeats: int) -> dict[str, float]:
    """Seconds: server ready, first curves, done (60 s of speech), cancel; medians when warm."""
    first, whole, cancelled = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "minute.wav"
        write_speech(recording, 60.0)
        with running_server(Path(folder) / "data") as (ready, seconds_to_ready):
            client = Client(ready)
            client.send(messages.Hello())
            client.wait_for(messages.Welcome)
            sha256 = client.upload(recording.read_bytes())
            client.animate(sha256, seed=0)
            client.wait_for(messages.Done)
            for seed in range(1, repeats + 1):
                start = time.perf_counter()
                client.animate(sha256, seed, stream=True)
                client.wait_for(messages.Chunk)
                first.append(time.perf_counter() - start)
                client.wait_for(messages.Done)
                # The whole job is timed in the form in which the extension requests it.
                start = time.perf_counter()
                client.animate(sha256, seed)
                client.wait_for(messages.Done)
                whole.append(time.perf_counter() - start)
            cancelled = [_time_cancel(client, sha256, seed) for seed in range(repeats)]
            client.close()
    return {
        "ready": seconds_to_ready,
        "first_chunk": sorted(first)[len(first) // 2],
        "done": sorted(whole)[len(whole) // 2],
        "cancel": max(cancelled),
    }


def _time_cancel(client: Client, sha256: str, seed: int) -> float:
    """Seconds from the cancel of a running job to the message that it has ended."""
    job = client.animate(sha256, seed, stream=True)
    client.wait_for(messages.Chunk)
    start = time.perf_counter()
    client.send(messages.Cancel(job))
    try:
        client.wait_for(messages.Done)
    except Exception as error:
        if getattr(error, "kind", "") != "cancelled":
            raise
    return time.perf_counter() - start
