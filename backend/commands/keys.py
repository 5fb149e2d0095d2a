# SPDX-License-Identifier: GPL-3.0-or-later
"""`keys`: manages the computers that may use this backend over the network."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from shared.errors import ErrorKind, VividKeysError


@dataclass(frozen=True)
class KeysList:
    """Show the clients that may connect."""

    data: Path | None = None
    """The backend's data folder; the user's own by default."""

    def run(self) -> int:
        from backend.server.keys import list_clients, server_keys

        print(f"this backend's public key: {server_keys(self.data).public}")
        clients = list_clients(self.data)
        for client in clients:
            print(f"{client.name}  added {time.strftime('%Y-%m-%d', time.localtime(client.added))}")
        if not clients:
            print("no client may connect yet; add one with: python -m backend keys add NAME")
        return 0


@dataclass(frozen=True)
class KeysAdd:
    """Add a client and write its key file."""

    name: tyro.conf.Positional[str]
    """A name for the client, for instance laptop-anna."""
    address: str = ""
    """Where the client reaches this backend, for instance 192.168.1.20:7761."""
    out: Path | None = None
    """The key file to write; NAME.vividkeys-key in this folder by default."""
    data: Path | None = None
    """The backend's data folder; the user's own by default."""

    def run(self) -> int:
        from backend.server.keys import make_client

        path = make_client(self.name, data_folder=self.data, address=self.address, out=self.out)
        print(f"wrote {path}")
        print("It holds a secret: take it to the client's computer and choose it in the panel.")
        return 0


@dataclass(frozen=True)
class KeysRemove:
    """Remove a client, even from a running backend."""

    name: tyro.conf.Positional[str]
    """The name under which it was added."""
    data: Path | None = None
    """The backend's data folder; the user's own by default."""

    def run(self) -> int:
        from backend.server.keys import remove_client

        if not remove_client(self.name, data_folder=self.data):
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"There is no client '{self.name}'.",
                "See their names with: python -m backend keys list",
            )
        print(f"{self.name} may no longer connect")
        return 0


@dataclass(frozen=True)
class Keys:
    """Let other computers use this backend, or no longer."""

    action: (
        Annotated[KeysList, tyro.conf.subcommand("list")]
        | Annotated[KeysAdd, tyro.conf.subcommand("add")]
        | Annotated[KeysRemove, tyro.conf.subcommand("remove")]
    )

    def run(self) -> int:
        return self.action.run()
