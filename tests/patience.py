# SPDX-License-Identifier: GPL-3.0-or-later
"""How the tests deal with time, so that none depends on how fast or slow the machine is.

A test waits for what happens and never for a while. Where a limit in seconds is itself what is
tested, the test turns a `Clock`; the other tests give the limits of the product that a busy
machine could break as long as themselves.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 600.0
"""Seconds after which a test is given up. Nothing is measured with it."""


def wait_until(is_so: Callable[[], object], meanwhile: Callable[[], object] | None = None) -> None:
    """Return once it is so; fails the test after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        if meanwhile is not None:
            meanwhile()
        time.sleep(0.005)


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._looks = 0
        self._looked = threading.Condition()

    def __call__(self) -> float:
        with self._looked:
            self._looks += 1
            self._looked.notify_all()
            return self._now

    def advance(self, seconds: float) -> None:
        """So many seconds later."""
        with self._looked:
            self._now += seconds

    def until_seen(self) -> None:
        """Wait until another thread, which looks once in a turn, has had a whole turn since."""
        with self._looked:
            wanted = self._looks + 2
            assert self._looked.wait_for(lambda: self._looks >= wanted, PATIENCE)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this computer where nothing listens, and nothing can meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def port_to_listen_on() -> int:
    """A free port that the system gives to nobody who asks for any: from below that range."""
    for number in range(1000):
        port = 20_000 + (os.getpid() + number) % 10_000
        with socket.socket() as asked:
            try:
                asked.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
