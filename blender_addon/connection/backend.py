# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend in use: the session with it, and its process if it was started here. No bpy.

The add-on has one; `in_use()` returns it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..contracts import connection, errors
from .backend_process import BackendProcess, BackendState
from .session import Session, SessionState

DISCONNECT_SECONDS = 1.0


class Backend:
    """Connects to a backend and disconnects from it."""

    def __init__(self) -> None:
        self.session = Session()
        self.process: BackendProcess | None = None
        self._knocked = False
        self._address = ""  # of a backend that was not started here

    @property
    def connected(self) -> bool:
        return self.session.state is SessionState.CONNECTED

    @property
    def connecting(self) -> bool:
        return self.starting or self.session.state is SessionState.CONNECTING

    @property
    def starting(self) -> bool:
        """A local backend was started and has not yet said where it listens."""
        return self.process is not None and self.process.state is BackendState.STARTING

    @property
    def idle(self) -> bool:
        """There is neither a process nor a connection, so no events can come."""
        return self.process is None and self.session.state is SessionState.DISCONNECTED

    @property
    def unreachable(self) -> bool:
        """There is no connection to it, and no process here that will open one."""
        return self.process is None and self.session.state in (
            SessionState.LOST,
            SessionState.DISCONNECTED,
        )

    @property
    def sought(self) -> str:
        """The address of a backend not started here, while it is lost and being retried, or ''."""
        return self._address if self.session.state is SessionState.LOST else ""

    @property
    def sentence(self) -> str:
        if self.starting:
            return "Starting the local backend ..."
        return self.session.sentence

    @property
    def heads(self) -> tuple[Mapping[str, Any], ...]:
        """The heads that the backend offers for a photo, as its welcome describes them."""
        welcome = self.session.welcome
        models = welcome.models if welcome is not None else ()
        return tuple(model for model in models if model.get("task") == "reconstruct")

    def can(self, kind: str) -> bool:
        """False when the backend's welcome says that it does no jobs of this kind.

        A backend that is still loading its models does not know yet, which counts as True.
        """
        welcome = self.session.welcome
        return welcome is None or not welcome.ready or kind in welcome.kinds

    def start_local(self, python: Path, folder: Path, log: Path, timeout: float) -> None:
        """Start a backend on this computer; `watch` connects to it once it is ready."""
        process = BackendProcess(python, folder, log, start_seconds=timeout)
        process.start()
        self.process, self._knocked = process, False

    def connect(self, address: str, keys: connection.ClientKeys, patience: float) -> None:
        """Connect to a backend that was not started here."""
        self._address = address
        self.session.connect(address, keys, patience=patience)

    def disconnect(self, pump: Callable[[], object]) -> None:
        """Disconnect; a local backend is stopped. `pump` takes the events that come meanwhile."""
        self.session.disconnect()
        # The session's thread answers within milliseconds. Waiting for it keeps the end of the old
        # connection from being taken for the end of the next one.
        until = time.monotonic() + DISCONNECT_SECONDS
        while self.session.state is not SessionState.DISCONNECTED and time.monotonic() < until:
            pump()
            time.sleep(0.002)
        self._stop_process()
        self._address = ""

    def give_up(self, error: errors.VividKeysError) -> None:
        """Stop trying to reach the backend; its jobs end now instead of timing out."""
        self.session.give_up(error.sentence, error.next_step)
        self.session.disconnect(error.sentence)
        self.process, self._address = None, ""

    def close(self) -> None:
        """Stop the session's thread and a local backend."""
        self.session.close()
        self._stop_process()

    def watch(self, tell_error: Callable[[errors.VividKeysError], None]) -> bool:
        """Check the local process, if there is one; True when anything changed."""
        process = self.process
        if process is None:
            return False
        match process.poll():
            case BackendState.READY if not self._knocked:
                self._knocked = True
                assert process.keys is not None
                # A dead child does not come back, so its jobs need no patience.
                self.session.connect(process.keys.address, process.keys, patience=0.0)
                return True
            case BackendState.FAILED:
                error = process.error or errors.VividKeysError(
                    errors.ErrorKind.BACKEND_LOST, process.sentence, "Start it again."
                )
                self.give_up(error)
                tell_error(error)
                return True
        return False

    def _stop_process(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None


_in_use: Backend | None = None


def in_use() -> Backend:
    """The one Backend of this Blender, made on first use."""
    global _in_use
    if _in_use is None:
        _in_use = Backend()
    return _in_use


def close() -> None:
    """Close the Backend, if there is one; for `unregister`."""
    global _in_use
    if _in_use is not None:
        _in_use.close()
        _in_use = None
