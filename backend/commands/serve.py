# SPDX-License-Identifier: GPL-3.0-or-later
"""`serve`: the backend as a server for Blender, here or on another computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.limits import DEFAULT_PORT


@dataclass(frozen=True)
class Serve:
    """Serve Blender over ZeroMQ; every connection is encrypted and needs a key."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 lets other computers with a key connect."""
    port: int = DEFAULT_PORT
    """The TCP port; 0 takes any that is free."""
    data: Path | None = None
    """A folder for keys, uploads and results; the user's own data folder by default."""
    child: bool = False
    """Used by the add-on: serve the process that started this one, over its pipes."""

    def run(self) -> int:
        from backend.server.folders import default_data_folder
        from backend.server.serve import ServeSettings, serve

        return serve(
            ServeSettings(
                host=self.host,
                port=self.port,
                data_folder=self.data or default_data_folder(),
                child=self.child,
            )
        )
