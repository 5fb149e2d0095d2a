# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use the server: its own key pair, and the clients that were added by name.

The server keeps only the public halves of its clients' keys. A client's secret exists only in the
key file that `make_client` writes, to be taken to the client's computer.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from backend.server.folders import default_data_folder, private_folder
from shared.connection import (
    CLIENT_NAME,
    ClientKeys,
    parse_address,
    save_client_keys,
    write_private_json,
)
from shared.errors import ErrorKind, VividKeysError

_SERVER_FILE = "server.json"
_CLIENTS_FILE = "clients.json"


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, 40 characters of Z85 each."""

    public: str
    secret: str

    def __repr__(self) -> str:  # never a secret in a log
        return f"KeyPair(public={self.public!r})"


@dataclass(frozen=True)
class KnownClient:
    """A client that may connect; `added` in seconds since 1970."""

    name: str
    public: str
    added: float


def new_key_pair() -> KeyPair:
    """A fresh CURVE key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), secret.decode("ascii"))


def keys_folder(data_folder: Path | None = None) -> Path:
    """The folder of the keys, readable only by its owner."""
    return private_folder((data_folder or default_data_folder()) / "keys")


def server_keys(data_folder: Path | None = None) -> KeyPair:
    """The server's own pair, created by the first call. Raises VividKeysError(bad_file)."""
    path = keys_folder(data_folder) / _SERVER_FILE
    if not path.exists():
        pair = new_key_pair()
        write_private_json(path, {"public": pair.public, "secret": pair.secret})
        return pair
    values = _read(path)
    pair = KeyPair(str(values.get("public", "")), str(values.get("secret", "")))
    try:
        fits = zmq.curve_public(pair.secret.encode("ascii")) == pair.public.encode("ascii")
    except (ValueError, zmq.ZMQError):
        fits = False
    if not fits:
        raise _damaged(path)
    return pair


def make_client(
    name: str,
    *,
    data_folder: Path | None = None,
    address: str = "",
    out: Path | None = None,
) -> Path:
    """Add a client by name and write the key file for its add-on; returns its path.

    `address` is where the client reaches this server, and is written into the file; `out` is the
    file, by default '<name>.vividkeys-key' in the current folder. A name that exists gets new
    keys, and its old key file stops working.

    Raises VividKeysError(bad_request, bad_file).
    """
    if not CLIENT_NAME.fullmatch(name):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"'{name[:80]}' cannot be a client's name.",
            "Use up to 64 letters, digits, dots, hyphens and underscores.",
        )
    where = str(parse_address(address)) if address else ""
    pair = new_key_pair()
    path = out or Path(f"{name}.vividkeys-key")
    save_client_keys(
        ClientKeys(server_keys(data_folder).public, pair.public, pair.secret, name, where), path
    )
    others = [client for client in list_clients(data_folder) if client.name != name]
    _write_clients([*others, KnownClient(name, pair.public, time.time())], data_folder)
    return path


def list_clients(data_folder: Path | None = None) -> list[KnownClient]:
    """The clients that may connect, sorted by name."""
    return read_clients(keys_folder(data_folder) / _CLIENTS_FILE)


def remove_client(name: str, *, data_folder: Path | None = None) -> bool:
    """Remove a client, even from a running server; False when there is none of this name."""
    clients = list_clients(data_folder)
    remaining = [client for client in clients if client.name != name]
    if len(remaining) == len(clients):
        return False
    _write_clients(remaining, data_folder)
    return True


def clients_file(data_folder: Path | None = None) -> Path:
    """The file of the known clients; a running server rereads it when it changes."""
    return keys_folder(data_folder) / _CLIENTS_FILE


def read_clients(path: Path) -> list[KnownClient]:
    """The known clients in a file. Raises VividKeysError(bad_file) when it is damaged."""
    if not path.exists():
        return []
    entries = _read(path).get("clients")
    try:
        if not isinstance(entries, list):
            raise TypeError
        clients = [
            KnownClient(str(entry["name"]), str(entry["public"]), float(entry["added"]))
            for entry in entries
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path) from error
    return sorted(clients, key=lambda client: client.name)


def _write_clients(clients: list[KnownClient], data_folder: Path | None) -> None:
    entries = [
        {"name": client.name, "public": client.public, "added": client.added} for client in clients
    ]
    write_private_json(keys_folder(data_folder) / _CLIENTS_FILE, {"clients": entries})


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path}' cannot be read: {error.strerror or error}.",
            "Check that you are the user who made it.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(values, dict):
        raise _damaged(path)
    return values


def _damaged(path: Path) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"The key file '{path}' is damaged.",
        "Delete it and make the clients' keys again: python -m backend keys",
    )
