# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a server: by hand for several clients, or as the child process of one add-on.

As a child it writes one JSON line to standard output when it is ready (or why it cannot start) and
ends when its standard input is closed. That line, through the pipe, is the only place where its
one-time keys appear: never in arguments, in the environment or in a file.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.server.access import KnownKeys
from backend.server.folders import default_data_folder, private_folder
from backend.server.job_kinds import STANDARD_MODULES
from backend.server.keys import clients_file, list_clients, new_key_pair, server_keys
from backend.server.server import Server, ServerSettings
from shared.connection import Address, parse_address
from shared.errors import ErrorKind, VividKeysError
from shared.limits import DEFAULT_PORT

_log = logging.getLogger(__name__)

CHILD_CLIENT = "local"
"""The name of the client that a child serves; the next child finds its jobs by it."""


@dataclass(frozen=True)
class ServeSettings:
    """How to serve."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 for all networks of this computer."""
    port: int = DEFAULT_PORT
    """The TCP port; 0 takes any that is free."""
    data_folder: Path = field(default_factory=default_data_folder)
    """Keys, uploads and results."""
    child: bool = False
    """Serve the one client that started this process and holds its pipes; always 127.0.0.1."""
    orphan_seconds: float = 900.0
    """How long a child whose parent has ended may go on with its running job."""
    quota_bytes: int = 50 << 30
    """How much of the disk uploads and results may take together."""
    job_modules: tuple[str, ...] = STANDARD_MODULES
    """The modules that define the kinds of jobs."""


def serve(settings: ServeSettings | None = None) -> int:
    """Serve until interrupted (or until the parent has ended); returns the exit status."""
    settings = settings or ServeSettings()
    started = time.monotonic()
    if settings.child:
        return _serve_child(settings, started)
    _log_to_standard_error()
    keys = server_keys(settings.data_folder)
    known = KnownKeys(clients_file(settings.data_folder))
    address = parse_address(f"{settings.host}:{settings.port}") if settings.port else None
    server = _server(settings, keys, known, address or Address(settings.host, 0))
    clients = [client.name for client in list_clients(settings.data_folder)]

    def introduce() -> None:
        print(f"VividKeys backend is ready after {time.monotonic() - started:.1f} s.")
        print(f"  address      {server.address}")
        print(f"  public key   {keys.public}")
        print(f"  clients      {', '.join(clients) or 'none yet'}")
        print("  Clients are added by name on this computer, even while the backend runs:")
        print("    python -m backend keys --help")
        print("  Ctrl-C ends it; results are kept until their clients delete them.", flush=True)

    print("Loading the models ...", flush=True)
    server.on_ready = introduce
    return _run(server)


def _serve_child(settings: ServeSettings, started: float) -> int:
    """See the module's docstring. A line {"event": "failed", ...} says why it cannot start."""
    commands, say = _own_pipes()
    _log_to_standard_error()
    keys, client = new_key_pair(), new_key_pair()
    known = KnownKeys(None, {client.public: CHILD_CLIENT})
    try:
        server = _server(settings, keys, known, Address("127.0.0.1", 0))
    except VividKeysError as error:
        say({"event": "failed", **_as_json(error)})
        return 1

    def introduce() -> None:
        say(
            {
                "event": "ready",
                "address": str(server.address),
                "server_public": keys.public,
                "client_public": client.public,
                "client_secret": client.secret,
                "seconds": round(time.monotonic() - started, 3),
                "pid": os.getpid(),
            }
        )

    def follow_parent() -> None:
        with commands:
            for line in commands:
                if line.strip() == "stop":
                    server.ask_to_stop()
                    return
        _log.info("The process that started this backend has ended.")
        server.ask_to_stop_when_idle(settings.orphan_seconds)

    server.on_ready = introduce
    threading.Thread(target=follow_parent, name="parent", daemon=True).start()
    status = _run(server)
    if status:
        say({"event": "failed", **_as_json(_cannot_work())})
    return status


def _server(settings: ServeSettings, keys: Any, known: KnownKeys, address: Address) -> Server:
    private_folder(settings.data_folder)
    return Server(
        ServerSettings(address, settings.data_folder, settings.quota_bytes, settings.job_modules),
        keys,
        known,
    )


def _run(server: Server) -> int:
    """Run until a signal or a request to stop; returns 1 when the worker could not be started."""
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, lambda *_ignored: server.ask_to_stop())
    try:
        server.run()
    finally:
        server.close()
    if not server.was_ready:
        _log.error(_cannot_work().sentence)
        return 1 if server.dispatcher.is_broken else 0
    return 0


def _own_pipes() -> tuple[Any, Callable[[dict[str, Any]], None]]:
    """Standard input as lines, and a function that writes a JSON line to standard output.

    What anything else prints goes to standard error, which the parent keeps as the log.
    """
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def say(values: dict[str, Any]) -> None:
        try:
            answers.write(json.dumps(values) + "\n")
            answers.flush()
        except OSError:
            _log.info("The process that started this backend no longer listens.")

    return commands, say


def _log_to_standard_error() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s: %(message)s", force=True
    )


def _as_json(error: VividKeysError) -> dict[str, str]:
    return {"kind": error.kind.value, "sentence": error.sentence, "next_step": error.next_step}


def _cannot_work() -> VividKeysError:
    return VividKeysError(
        ErrorKind.INTERNAL,
        "The backend could not start its worker process.",
        "See its log, and run 'python install.py doctor'.",
    )
