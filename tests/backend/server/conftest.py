# SPDX-License-Identifier: GPL-3.0-or-later
"""One real server for the tests of a file, and clients for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.backend.server.patient_link import patient_limits
from tests.backend.server.real_server import BareClient, RunningServer
from tests.patience import PATIENCE

__all__ = ["patient_limits"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests of a file that leave it whole, as they must."""
    running = RunningServer(tmp_path_factory.mktemp("backend"))
    assert running.ready.wait(PATIENCE)
    yield running
    assert running.is_alive, "something that a test sent has ended the server"
    running.stop()


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Callable[..., BareClient]]:
    """Makes clients of `server`, by name; closes them after the test."""
    clients: list[BareClient] = []

    def make(name: str = "anna") -> BareClient:
        clients.append(BareClient(server.address, server.client_keys(name)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[..., BareClient]) -> BareClient:
    return connect("anna")
