# SPDX-License-Identifier: GPL-3.0-or-later
"""A queue between threads that wakes a poller: any thread puts, one thread polls and takes."""

from __future__ import annotations

import queue
import socket
from contextlib import suppress
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """Items put in by any thread and taken out by the thread that polls `wake_socket`.

    The owner registers `wake_socket` for reading in its poller and calls `take_all` when it
    wakes. A socket pair rather than a pipe, because Windows can only poll sockets.
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self.wake_socket, self._bell = socket.socketpair()
        self.wake_socket.setblocking(False)
        self._bell.setblocking(False)

    def put(self, item: _Item) -> None:
        """Append an item and wake the owner. Safe from any thread, also after `close`."""
        self._items.put(item)
        # Full: the owner is awake anyway. Closed: the owner no longer waits.
        with suppress(OSError):
            self._bell.send(b"!")

    def take_all(self) -> list[_Item]:
        """Everything put in so far, in order; only for the owner."""
        # The socket is drained first: what is put in afterwards writes to it again.
        with suppress(OSError):
            while self.wake_socket.recv(4096):
                pass
        items: list[_Item] = []
        while True:
            try:
                items.append(self._items.get_nowait())
            except queue.Empty:
                return items

    def close(self) -> None:
        self._bell.close()
        self.wake_socket.close()
