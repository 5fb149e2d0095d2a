# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to a backend, as the add-on uses it. No bpy.

A thread owns the socket (link.py); what it receives comes back as events that the main thread takes
with `pump`, from a timer or in a loop. Only `wait`, `wait_until_connected` and `close` block.

    session = Session()
    session.connect("gpu-box:7761", load_client_keys(path))
    job = session.submit("animate", {"seed": 3}, uploads={"audio": Path("voice.wav")})
    for event in session.pump(0.005): ...   # StateChanged, Accepted, Progress, Chunk, Done, Failed

A job ends with exactly one `Done` or one `Failed` whose `about` is "job", also when the backend
is lost and does not come back within `patience` seconds.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..contracts import arrays as array_contracts
from ..contracts import connection, errors, messages, version
from .events import (
    AttachJob,
    CancelJob,
    CloseLink,
    Command,
    Event,
    ForgetJob,
    GiveUp,
    OpenLink,
    SessionState,
    StateChanged,
    SubmitJob,
)
from .link import Link
from .sockets import import_zmq
from .transfers import UploadSource

__all__ = ["Event", "Session", "SessionState", "StateChanged", "UploadSource"]

_PROGRAM = f"VividKeys add-on {version.__version__}"


class Session:
    """One connection to one backend at a time; may be connected to another later.

    Use it from one thread (Blender's main thread). `clock`, in seconds, measures how long the
    backend has been silent, and when to retry.
    """

    def __init__(
        self, program: str = _PROGRAM, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._program = program
        self._clock = clock
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._link: Link | None = None
        self._thread: threading.Thread | None = None
        self._state = StateChanged(SessionState.DISCONNECTED, "Not connected.", "")
        self._welcome: messages.Welcome | None = None
        self._active: set[str] = set()
        self._serial = 0

    @property
    def state(self) -> SessionState:
        """The state as of the last `pump`."""
        return self._state.state

    @property
    def sentence(self) -> str:
        """The state in words for the panel."""
        return self._state.sentence

    @property
    def next_step(self) -> str:
        """What the user can do about the state; may be empty."""
        return self._state.next_step

    @property
    def error(self) -> errors.VividKeysError | None:
        """Why there is no connection (backend_lost, not_authorised, unknown_version), or None."""
        if self._state.kind is None:
            return None
        return errors.VividKeysError(self._state.kind, self.sentence, self.next_step)

    @property
    def welcome(self) -> messages.Welcome | None:
        """What the backend said about itself: models, devices, limits, kept jobs."""
        return self._welcome

    @property
    def active_jobs(self) -> frozenset[str]:
        """Jobs that were submitted or attached and have not ended, as of the last `pump`."""
        return frozenset(self._active)

    def connect(self, address: str, keys: connection.ClientKeys, *, patience: float = 30.0) -> None:
        """Connect to `address` in the background; jobs under way are attached again there.

        A lost connection is retried until `disconnect`. Jobs under way fail with
        backend_lost once it has been lost for `patience` seconds: 0 for a local backend, which
        does not come back by itself.

        Raises VividKeysError(bad_request) for an invalid address, missing_dependency when ZeroMQ
        cannot be imported.
        """
        zmq = import_zmq()
        target = connection.parse_address(address)
        if self._thread is None or not self._thread.is_alive():
            self._link = Link(zmq, self._program, self._events.put, self._clock)
            self._thread = threading.Thread(
                target=self._link.run, name="VividKeys session", daemon=True
            )
            self._thread.start()
        self._welcome = None
        self._serial += 1
        self._state = StateChanged(SessionState.CONNECTING, f"Connecting to {target} ...", "")
        self._command(OpenLink(str(target), keys, patience, self._serial))

    def disconnect(self, sentence: str = "Not connected.") -> None:
        """Close the connection; jobs under way fail here with backend_lost; the backend goes on."""
        if self._link is not None:
            self._command(CloseLink(sentence))

    def give_up(self, sentence: str, next_step: str = "") -> None:
        """End the jobs under way with backend_lost, now: the local backend is known to be dead."""
        if self._link is not None:
            self._command(GiveUp(sentence, next_step))

    def submit(
        self,
        kind: str,
        params: Mapping[str, Any],
        arrays: array_contracts.Arrays | None = None,
        uploads: Mapping[str, UploadSource] | None = None,
        *,
        label: str = "",
        files_to: Path | None = None,
    ) -> str:
        """Send a job and return its id at once.

        `uploads` maps the name of a parameter to a file or to bytes: they are hashed and sent in
        the background if the backend does not have them, and the parameter becomes their SHA-256.
        A result's file is fetched into the folder `files_to` before the job is done
        (`FileReceived` says where); without a folder it is left at the backend.
        Failures come as events. Raises VividKeysError(bad_request) when not connected.
        """
        job = messages.new_job_id()
        self._require_link()
        self._active.add(job)
        self._command(
            SubmitJob(job, kind, dict(params), arrays or {}, dict(uploads or {}), label, files_to)
        )
        return job

    def attach(self, job: str, *, files_to: Path | None = None) -> None:
        """Get the events of a job that was sent earlier, by this Blender or a previous one."""
        self._require_link()
        self._active.add(job)
        self._command(AttachJob(job, files_to))

    def cancel(self, job: str) -> None:
        """Stop a job; it ends with Failed(cancelled)."""
        if self._link is not None:
            self._command(CancelJob(job))

    def forget(self, job: str, *, with_uploads: bool = False) -> None:
        """Let the backend delete a job's result (and with_uploads the uploads only it used)."""
        if self._link is not None:
            self._command(ForgetJob(job, with_uploads))

    def pump(self, max_seconds: float = 0.005) -> list[Event]:
        """The events since the last call; takes at most `max_seconds` and never waits."""
        until = time.monotonic() + max_seconds
        events: list[Event] = []
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return events
            self._note(event)
            events.append(event)
            if time.monotonic() >= until:
                return events

    def wait(
        self,
        job: str,
        *,
        timeout: float | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> messages.Done:
        """Block until `job` is done; for scripts and `blender -b`.

        `on_event` gets every event, also those of other jobs. Raises VividKeysError: the job's
        error, or backend_lost when `timeout` seconds have passed.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            remaining = 0.5 if until is None else min(0.5, until - time.monotonic())
            if remaining <= 0:
                raise errors.VividKeysError(
                    errors.ErrorKind.BACKEND_LOST,
                    f"The backend did not finish within {timeout:g} seconds.",
                    "Try again, or wait longer.",
                )
            try:
                event = self._events.get(timeout=remaining)
            except queue.Empty:
                continue
            self._note(event)
            if on_event is not None:
                on_event(event)
            if isinstance(event, messages.Done) and event.job == job:
                return event
            if isinstance(event, messages.Failed) and event.job == job and event.about == "job":
                raise event.error

    def wait_until_connected(self, timeout: float = 10.0) -> messages.Welcome:
        """Block until the backend has said welcome; for scripts. Raises VividKeysError."""
        until = time.monotonic() + timeout
        while self._welcome is None:
            remaining = until - time.monotonic()
            if remaining <= 0 or self.state in (SessionState.LOST, SessionState.DISCONNECTED):
                raise self.error or errors.VividKeysError(
                    errors.ErrorKind.BACKEND_LOST, self.sentence, "Check the connection."
                )
            try:
                self._note(self._events.get(timeout=min(0.5, remaining)))
            except queue.Empty:
                continue
        return self._welcome

    def close(self, timeout: float = 2.0) -> None:
        """End the thread. The session may be connected again afterwards."""
        if self._link is not None:
            self._link.stop()
        if self._thread is not None:
            self._thread.join(timeout)
        self._link = self._thread = None
        self._state = StateChanged(SessionState.DISCONNECTED, "Not connected.", "")
        self._welcome = None
        self._active.clear()

    def _note(self, event: Event) -> None:
        match event:
            case StateChanged() if event.serial < self._serial:
                pass  # about a connection that has been replaced since
            case StateChanged():
                self._state = event
                if event.state is not SessionState.CONNECTED:
                    self._welcome = None
            case messages.Welcome():
                self._welcome = event
            case messages.Done():
                self._active.discard(event.job)
            case messages.Failed() if event.about == "job":
                self._active.discard(event.job)

    def _require_link(self) -> None:
        if self._link is None or self.state is SessionState.DISCONNECTED:
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_REQUEST,
                "There is no backend yet.",
                "Start the local backend, or connect to one.",
            )

    def _command(self, command: Command) -> None:
        assert self._link is not None
        self._link.commands.put(command)
