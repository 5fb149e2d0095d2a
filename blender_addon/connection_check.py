# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a connection step by step and name the step that fails. No bpy; may take seconds."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .contracts import connection, errors
from .session import Session

PORT_SECONDS = 3.0
ANSWER_SECONDS = 6.0


@dataclass(frozen=True)
class CheckedStep:
    """One step: what was tried, whether it went well, what was found, what to do."""

    name: str
    passed: bool
    sentence: str
    next_step: str = ""


def check_connection(address: str, key_file: Path) -> Iterator[CheckedStep]:
    """Key file, address, name, port, key and protocol, models: stops after the first failure."""
    try:
        keys = connection.load_client_keys(key_file)
    except errors.VividKeysError as error:
        yield _failed("Key file", error)
        return
    yield CheckedStep("Key file", True, f"{key_file.name} can be read.")
    try:
        target = connection.parse_address(address)
    except errors.VividKeysError as error:
        yield _failed("Address", error)
        return
    host = target.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, target.port, type=socket.SOCK_STREAM)
    except OSError:
        yield CheckedStep(
            "Name",
            False,
            f"There is no computer called '{host}' on the network.",
            "Check the spelling, or enter its number instead, such as 192.168.1.20.",
        )
        return
    number = found[0][4][0]
    yield CheckedStep("Name", True, f"{host} is {number}.")
    try:
        socket.create_connection((host, target.port), timeout=PORT_SECONDS).close()
    except OSError:
        yield CheckedStep(
            "Port",
            False,
            f"Nothing answers at port {target.port} of {host}.",
            "Start the backend there ('python -m backend serve') and open the port in the "
            "firewall.",
        )
        return
    yield CheckedStep("Port", True, f"Port {target.port} is open.")
    yield from _greet(str(target), keys)


def _greet(address: str, keys: connection.ClientKeys) -> Iterator[CheckedStep]:
    session = Session()
    try:
        session.connect(address, keys, patience=0.0)
        welcome = session.wait_until_connected(ANSWER_SECONDS)
    except errors.VividKeysError as error:
        yield _failed("Key", error)
        return
    finally:
        session.close()
    yield CheckedStep("Key", True, f"The backend lets '{welcome.name or 'this client'}' in.")
    names = ", ".join(str(model.get("name", "?")) for model in welcome.models)
    if welcome.ready:
        yield CheckedStep("Models", True, f"Ready: {names or welcome.backend}.")
    else:
        yield CheckedStep(
            "Models", True, "The backend is still loading its models; jobs wait for that."
        )


def _failed(name: str, error: errors.VividKeysError) -> CheckedStep:
    return CheckedStep(name, False, error.sentence, error.next_step)
