# SPDX-License-Identifier: GPL-3.0-or-later
"""Access control: ZeroMQ asks here whether a client's public key is known before it reads on."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator

from backend.server.keys import read_clients
from shared.errors import VividKeysError

_log = logging.getLogger(__name__)


class KnownKeys:
    """The client names of public keys; follows the clients' file while the server runs."""

    def __init__(self, clients_file: Path | None, one_time: dict[str, str] | None = None) -> None:
        self._file = clients_file
        self._one_time = dict(one_time or {})
        self._stamp: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()  # used on the authenticator's thread and the server's

    def name_of(self, public_key: str) -> str | None:
        """The client's name, or None for a key that nobody added or that was removed."""
        if public_key in self._one_time:
            return self._one_time[public_key]
        with self._lock:
            self._reload_if_changed()
            return self._names.get(public_key)

    def _reload_if_changed(self) -> None:
        if self._file is None:
            return
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            self._names = {client.public: client.name for client in read_clients(self._file)}
            self._stamp = stamp
        except FileNotFoundError:
            self._names, self._stamp = {}, None
        except (OSError, VividKeysError) as error:
            # With a damaged file nobody is let in, not even those who were before.
            self._names, self._stamp = {}, None
            _log.error("The list of clients cannot be used: %s", error)


class Door:
    """Answers ZeroMQ's authentication requests (ZAP) for one context, on a thread of its own."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], known: KnownKeys) -> None:
        self._known = known
        self._authenticator = ThreadAuthenticator(context, log=_log)

    def open(self) -> None:
        self._authenticator.start()
        self._authenticator.configure_curve_callback(domain="*", credentials_provider=self)

    def close(self) -> None:
        self._authenticator.stop()

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether to let a client in; called by the authenticator with its public key in Z85."""
        name = self._known.name_of(key.decode("ascii"))
        if name is None:
            _log.warning("A client with an unknown key was refused.")
        return name is not None
