# SPDX-License-Identifier: GPL-3.0-or-later
"""The ROUTER socket: encrypted, for known clients only, and never blocked by a slow one."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zmq

from backend.server.access import Door, KnownKeys
from backend.server.keys import KeyPair
from shared.connection import Address
from shared.errors import ErrorKind, VividKeysError
from shared.framing import Frame
from shared.limits import SILENCE_SECONDS, TO_SERVER
from shared.messages import Chunk, Message, Pong, Progress
from shared.protocol import MessageError, decode_from_client, encode, unforeseen

_log = logging.getLogger(__name__)

PROBE_SECONDS = 60.0
"""A client that was silent for this long is sent a message, to find out whether it is there."""
HANDSHAKE_SECONDS = 5.0
"""A connection that has not presented its key by then is closed."""
_WAITING_CHUNKS = 32
"""Chunks that may wait for a slow client; further ones are dropped, `done` has everything."""
_WAITING_MESSAGES = 4096
_MESSAGES_PER_TURN = 64


@dataclass
class Client:
    """One connection: the client, and the messages that could not be sent to it yet."""

    identity: bytes
    name: str
    public_key: str
    alive: float  # when it was last heard or probed
    outbox: deque[list[Frame]] = field(default_factory=deque)


class Reception:
    """Receives from clients and sends to them; used on the server's thread only."""

    def __init__(self, address: Address, keys: KeyPair, known: KnownKeys) -> None:
        self._known = known
        self._context: zmq.Context[Any] = zmq.Context()
        self._door = Door(self._context, known)
        self._clients: dict[bytes, Client] = {}
        self._door.open()
        self.socket: zmq.Socket[Any] = self._context.socket(zmq.ROUTER)
        self.socket.curve_server = 1
        self.socket.curve_secretkey = keys.secret.encode("ascii")
        self.socket.linger = 0
        self.socket.ipv6 = True
        self.socket.maxmsgsize = TO_SERVER.array_bytes
        # Without this ROUTER silently drops what it cannot send.
        self.socket.router_mandatory = 1
        self.socket.handshake_ivl = int(HANDSHAKE_SECONDS * 1000)
        self.socket.heartbeat_ivl = 1000
        self.socket.heartbeat_timeout = int(SILENCE_SECONDS * 1000)
        try:
            if address.port == 0:
                port = self.socket.bind_to_random_port(f"tcp://{address.host}")
            else:
                self.socket.bind(str(address))
                port = address.port
        except zmq.ZMQError as error:
            self.close()
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"The backend cannot listen at {address}: {error}.",
                "Choose another port, or end the program that uses this one.",
            ) from error
        self.address = Address(address.host, port)

    def close(self) -> None:
        if hasattr(self, "socket"):
            self.socket.close(linger=200)
        self._door.close()
        self._context.term()

    def receive(self) -> Iterator[tuple[Client, Message | MessageError]]:
        """The messages that have arrived, decoded; a bounded number, so that others get a turn."""
        for _ in range(_MESSAGES_PER_TURN):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            client = self._client_of(frames)
            if client is not None:
                yield client, _decoded([frame.buffer for frame in frames[1:]])

    def send(self, client: Client, message: Message) -> None:
        """Send now or as soon as the client accepts it. Progress and chunks may be dropped."""
        waiting = len(client.outbox)
        if waiting and isinstance(message, Progress | Pong):
            return
        if waiting >= _WAITING_MESSAGES:
            # It keeps asking without reading the answers.
            _log.warning("The client '%s' does not read its messages; it is dropped.", client.name)
            self._clients.pop(client.identity, None)
            client.outbox.clear()
            return
        if waiting >= _WAITING_CHUNKS and isinstance(message, Chunk):
            return
        client.outbox.append(encode(message))
        self._empty_outbox(client)

    def is_here(self, client: Client) -> bool:
        return self._clients.get(client.identity) is client

    def keep_up(self) -> None:
        """Send what had to wait; drop clients that are gone or were removed from the list."""
        now = time.monotonic()
        for client in list(self._clients.values()):
            if not self._is_known(client):
                del self._clients[client.identity]
            elif client.outbox:
                self._empty_outbox(client)
            elif now - client.alive > PROBE_SECONDS:
                # Silence alone proves nothing: Blender may be busy with a long export while its
                # client waits for a result. ZeroMQ knows whether the connection still exists.
                client.alive = now
                self.send(client, Pong())

    @property
    def has_waiting(self) -> bool:
        return any(client.outbox for client in self._clients.values())

    def _client_of(self, frames: list[zmq.Frame]) -> Client | None:
        identity = frames[0].bytes
        try:
            public_key = str(frames[-1].get("User-Id"))
        except zmq.ZMQError:
            return None  # not authenticated: cannot happen with CURVE, and is not answered
        name = self._known.name_of(public_key)
        if name is None:
            self._clients.pop(identity, None)
            return None
        client = self._clients.get(identity)
        if client is None or client.public_key != public_key:
            client = self._clients[identity] = Client(identity, name, public_key, 0.0)
        client.alive = time.monotonic()
        return client

    def _is_known(self, client: Client) -> bool:
        return self._known.name_of(client.public_key) is not None

    def _empty_outbox(self, client: Client) -> None:
        while client.outbox:
            try:
                self.socket.send_multipart(
                    [client.identity, *client.outbox[0]], zmq.NOBLOCK, copy=False
                )
            except zmq.Again:
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                _log.info("The client '%s' has gone.", client.name)
                self._clients.pop(client.identity, None)
                client.outbox.clear()
                return
            client.outbox.popleft()


def _decoded(frames: list[Any]) -> Message | MessageError:
    try:
        return decode_from_client(frames)
    except MessageError as error:
        return error
    except Exception:
        # No such message is known; if there is one, it must not end the server.
        _log.exception("A message of %d frames could not be read.", len(frames))
        return unforeseen("")
