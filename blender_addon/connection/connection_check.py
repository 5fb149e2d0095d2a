# SPDX-License-Identifier: GPL-3.0-or-later
"""'Check connection', step by step, so that the user learns which step fails. No bpy.

It takes up to `timeout` seconds when nothing answers, so the add-on runs it on a thread.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..contracts import connection, errors, limits, messages, protocol, version
from .sockets import import_zmq, nobody_there, open_socket, refused_key, wrong_server

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckStep:
    """One step: its name for the panel, whether it succeeded, and what to say about it."""

    name: str
    ok: bool
    sentence: str
    next_step: str = ""


class _StepError(Exception):
    def __init__(self, sentence: str, next_step: str) -> None:
        super().__init__(sentence)
        self.sentence, self.next_step = sentence, next_step


def check_connection(
    address: str, keys: connection.ClientKeys, *, timeout: float = 5.0
) -> list[CheckStep]:
    """Try to reach a backend; returns the steps taken, of which only the last can have failed.

    Their names: library, address, computer, keys, version, models.
    """
    check = _Check(address, keys, timeout)
    taken: list[CheckStep] = []
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("library", check.library),
        ("address", check.parse),
        ("computer", check.reach),
        ("keys", check.shake_hands),
        ("version", check.say_hello),
        ("models", check.models),
    )
    try:
        for name, step in steps:
            try:
                taken.append(CheckStep(name, True, step()))
            except (_StepError, errors.VividKeysError) as error:
                taken.append(CheckStep(name, False, error.sentence, error.next_step))
                break
            except Exception:
                # The panel needs an answer, whatever the other side has sent.
                _log.exception("The step '%s' of the check failed.", name)
                strange = protocol.unforeseen(name)
                taken.append(CheckStep(name, False, strange.sentence, strange.next_step))
                break
    finally:
        check.close()
    return taken


class _Check:
    def __init__(self, address: str, keys: connection.ClientKeys, timeout: float) -> None:
        self._text = address
        self._keys = keys
        self._until = time.monotonic() + timeout
        self._zmq: Any = None
        self._context: Any = None
        self._socket: Any = None
        self._monitor: Any = None
        self._address = connection.Address("", 0)
        self._welcome: messages.Welcome | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger=0)
            self._monitor.close(linger=0)
        if self._context is not None:
            self._context.destroy(linger=0)

    def library(self) -> str:
        self._zmq = import_zmq()
        if not self._zmq.has("curve"):
            raise _StepError(
                "This ZeroMQ cannot encrypt.",
                "Install the VividKeys extension that is built for this Blender.",
            )
        return f"ZeroMQ {self._zmq.zmq_version()} is installed."

    def parse(self) -> str:
        self._address = connection.parse_address(self._text)
        return f"The address is {self._address}."

    def reach(self) -> str:
        host = self._address.host.strip("[]")
        try:
            with socket.create_connection((host, self._address.port), timeout=self._remaining):
                return f"Something listens at {self._address}."
        except socket.gaierror as error:
            raise _StepError(
                f"There is no computer called '{host}'.",
                "Check the name, or enter its IP address, for example 192.168.1.20.",
            ) from error
        except ConnectionRefusedError as error:
            raise _StepError(
                f"The computer answers, but nothing listens on port {self._address.port}.",
                "Start the backend there, and check the port number.",
            ) from error
        except OSError as error:
            raise nobody_there(str(self._address)) from error

    def shake_hands(self) -> str:
        zmq = self._zmq
        self._context = zmq.Context()
        self._socket = open_socket(zmq, self._context, self._keys)
        self._monitor = self._socket.get_monitor_socket()
        self._socket.connect(str(self._address))
        while self._monitor.poll(self._remaining * 1000):
            event = int.from_bytes(self._monitor.recv_multipart()[0][:2], "little")
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return "The keys match; the connection is encrypted."
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise refused_key()
            if event in (
                zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
                zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
                zmq.EVENT_DISCONNECTED,
            ):
                break
        raise wrong_server()

    def say_hello(self) -> str:
        self._socket.send_multipart(
            protocol.encode(messages.Hello(f"VividKeys add-on {version.__version__}"))
        )
        if not self._socket.poll(self._remaining * 1000):
            raise _StepError(
                "The backend accepts this client, but does not answer.",
                "Look at its log, and start it again.",
            )
        answer = protocol.decode_from_server(self._socket.recv_multipart())
        if isinstance(answer, messages.Failed):
            raise answer.error
        if not isinstance(answer, messages.Welcome):
            raise _StepError("The backend gave an unexpected answer.", "Start it again.")
        self._welcome = answer
        return f"{answer.backend} and this add-on both speak protocol {limits.PROTOCOL_VERSION}."

    def models(self) -> str:
        welcome = self._welcome
        assert welcome is not None
        if not welcome.ready:
            raise _StepError(
                "The backend is still loading its models.", "Check again in a few seconds."
            )
        missing = [kind for kind in ("animate", "reconstruct") if kind not in welcome.kinds]
        if missing:
            raise _StepError(
                f"The backend cannot {' or '.join(missing)}.",
                "Run 'python install.py doctor' on its computer.",
            )
        names = [
            f"{model.get('name')} {model.get('version')}"
            for model in welcome.models
            if model.get("task") != "reconstruct"  # heads to choose from, not models
        ]
        return f"It has {', '.join(names) or 'its models'}."

    @property
    def _remaining(self) -> float:
        return max(self._until - time.monotonic(), 0.1)
