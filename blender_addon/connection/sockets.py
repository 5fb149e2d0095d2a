# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the add-on makes a socket, and the errors when connecting fails."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..contracts import connection, errors, limits


def import_zmq() -> ModuleType:
    """Import ZeroMQ. Raises VividKeysError(missing_dependency) when that fails."""
    try:
        import zmq
    except ImportError as error:
        raise errors.VividKeysError(
            errors.ErrorKind.MISSING_DEPENDENCY,
            f"ZeroMQ, which the add-on needs to reach the backend, cannot be loaded ({error}).",
            "Install the VividKeys extension that is built for this Blender and this system.",
        ) from error
    return zmq


def open_socket(zmq: Any, context: Any, keys: connection.ClientKeys) -> Any:
    """A DEALER socket with the client's keys that does not reconnect by itself."""
    socket = context.socket(zmq.DEALER)
    socket.curve_serverkey = keys.server_public.encode("ascii")
    socket.curve_publickey = keys.client_public.encode("ascii")
    socket.curve_secretkey = keys.client_secret.encode("ascii")
    socket.linger = 0
    socket.sndhwm = 0
    socket.reconnect_ivl = -1  # a new connection needs a new hello, so the link reconnects itself
    socket.maxmsgsize = limits.TO_CLIENT.array_bytes
    socket.ipv6 = True
    socket.heartbeat_ivl = 1000
    socket.heartbeat_timeout = int(limits.SILENCE_SECONDS * 1000)
    return socket


def nobody_there(address: str) -> errors.VividKeysError:
    """Nothing answers."""
    return errors.VividKeysError(
        errors.ErrorKind.BACKEND_LOST,
        f"No backend answers at {address}.",
        "Start it there, and check the address, the port and the firewall.",
    )


def refused_key() -> errors.VividKeysError:
    """The backend does not know the client's key."""
    return errors.VividKeysError(
        errors.ErrorKind.NOT_AUTHORISED,
        "The backend does not know this key.",
        "Make a key for this client on the backend's computer: python -m backend keys",
    )


def wrong_server() -> errors.VividKeysError:
    """The encrypted handshake fails before the key is judged."""
    return errors.VividKeysError(
        errors.ErrorKind.NOT_AUTHORISED,
        "The server that answers there is not the backend that this key file is for.",
        "Check the address, or make a new key file on the backend's computer.",
    )


def gone_away() -> errors.VividKeysError:
    """A working connection has ended."""
    return errors.VividKeysError(
        errors.ErrorKind.BACKEND_LOST, "The backend has gone away.", "Start it again."
    )


def fallen_silent(seconds: float) -> errors.VividKeysError:
    """The connection is open, but nothing arrives."""
    return errors.VividKeysError(
        errors.ErrorKind.BACKEND_LOST,
        f"The backend has not answered for {seconds:g} seconds.",
        "Check that it is still running, and check the network.",
    )
