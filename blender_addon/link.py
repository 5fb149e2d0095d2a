# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread behind a Session: it owns the socket, and everything in it happens on that thread.

It connects and connects again, notices within seconds that the backend is gone, sends files in
pieces, and keeps a list of the jobs under way so that it can attach to them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .contracts import errors, inbox, limits, messages, protocol
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
    StopLink,
    SubmitJob,
)
from .sockets import (
    fallen_silent,
    gone_away,
    nobody_there,
    open_socket,
    refused_key,
    wrong_server,
)
from .transfers import Transfer

_WELCOME_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_UPLOAD_PROGRESS_SECONDS = 0.1
_MESSAGES_PER_TURN = 64


@dataclass
class _Job:
    """A job under way. `request` is dropped once the backend has accepted it."""

    request: SubmitJob | None
    transfers: dict[str, Transfer] = field(default_factory=dict)  # by parameter
    unsent: set[str] = field(default_factory=set)  # parameters whose bytes are not there yet
    last_progress: float = 0.0


class Link:
    """Runs on a thread of its own; `commands` and `stop` are for other threads."""

    def __init__(self, zmq: Any, program: str, emit: Callable[[Event], None]) -> None:
        self.commands: inbox.Inbox[Command] = inbox.Inbox()
        self._zmq = zmq
        self._program = program
        self._emit = emit
        self._context: Any = None
        self._socket: Any = None
        self._monitor: Any = None
        self._target: OpenLink | None = None
        self._serial = 0
        self._state = SessionState.DISCONNECTED
        self._jobs: dict[str, _Job] = {}
        self._later: list[messages.Message] = []  # said as soon as there is a backend again
        self._opened_at = self._heard_at = self._pinged_at = self._retry_at = 0.0
        self._lost_at: float | None = None
        self._shook_hands = False
        self._stopping = False

    def stop(self) -> None:
        self.commands.put(StopLink())

    def run(self) -> None:
        self._context = self._zmq.Context()
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._drop_socket()
            self._close_transfers()
            self._context.destroy(linger=0)
            self.commands.close()

    # --- one turn of the loop ---------------------------------------------------------------

    def _turn(self) -> None:
        poller = self._zmq.Poller()
        poller.register(self.commands.wake_socket, self._zmq.POLLIN)
        if self._socket is not None:
            poller.register(self._socket, self._zmq.POLLIN)
        if self._monitor is not None:
            poller.register(self._monitor, self._zmq.POLLIN)
        poller.poll(0 if self._is_hashing() else 200)
        for command in self.commands.take_all():
            self._obey(command)
        self._receive()
        self._watch()
        self._keep_time()
        self._hash_some()

    def _obey(self, command: Command) -> None:
        match command:
            case StopLink():
                self._stopping = True
            case OpenLink():
                self._target, self._serial, self._lost_at = command, command.serial, None
                self._open()
            case CloseLink():
                self._target = None
                self._drop_socket()
                self._fail_all(errors.ErrorKind.BACKEND_LOST, "The connection was closed.", "")
                self._change(SessionState.DISCONNECTED, command.sentence)
            case GiveUp():
                self._fail_all(errors.ErrorKind.BACKEND_LOST, command.sentence, command.next_step)
            case SubmitJob():
                self._start(command)
            case AttachJob():
                self._jobs.setdefault(command.job, _Job(request=None))
                if self._state is SessionState.CONNECTED:  # else after welcome
                    self._send(messages.Attach(command.job))
            case CancelJob():
                self._cancel(command.job)
            case ForgetJob():
                self._send_or_later(messages.Forget(command.job, command.with_uploads))

    def _receive(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            if self._socket is None:
                return
            try:
                frames = self._socket.recv_multipart(self._zmq.NOBLOCK, copy=False)
            except self._zmq.Again:
                return
            self._heard_at = time.monotonic()
            try:
                message = protocol.decode_from_server([frame.buffer for frame in frames])
            except protocol.MessageError as error:
                self._hear_nonsense(error)
            else:
                self._hear(message)

    def _watch(self) -> None:
        """What ZeroMQ says about the connection itself: the quickest sign that it broke."""
        while self._monitor is not None:
            try:
                frames = self._monitor.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            event = int.from_bytes(frames[0][:2], "little")
            zmq = self._zmq
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._shook_hands = True
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._lose(refused_key())
            elif event in (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_DISCONNECTED):
                self._lose(gone_away() if self._shook_hands else wrong_server())
            elif event == zmq.EVENT_CLOSED and not self._shook_hands:
                self._lose(nobody_there(self._address))

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._socket is None:
            if self._target is not None and now >= self._retry_at:
                self._open()
        elif self._state is SessionState.CONNECTED:
            if now - self._heard_at > limits.SILENCE_SECONDS:
                self._lose(fallen_silent(limits.SILENCE_SECONDS))
            elif now - self._pinged_at > limits.PING_SECONDS:
                self._pinged_at = now
                self._send(messages.Ping())
        elif now - self._opened_at > _WELCOME_SECONDS:
            self._lose(nobody_there(self._address))
        if (
            self._lost_at is not None
            and self._target is not None
            and now - self._lost_at >= self._target.patience
        ):
            self._fail_all(
                errors.ErrorKind.BACKEND_LOST,
                "The backend was lost in mid-job.",
                "Start it again and send the job again.",
            )

    # --- the socket -------------------------------------------------------------------------

    @property
    def _address(self) -> str:
        return "" if self._target is None else self._target.address

    def _open(self) -> None:
        assert self._target is not None
        self._drop_socket()
        self._socket = open_socket(self._zmq, self._context, self._target.keys)
        self._monitor = self._socket.get_monitor_socket()
        self._shook_hands = False
        self._opened_at = time.monotonic()
        if self._lost_at is None:
            self._change(SessionState.CONNECTING, f"Connecting to {self._address} ...")
        try:
            self._socket.connect(self._address)
        except self._zmq.ZMQError:
            self._lose(nobody_there(self._address))
            return
        self._send(messages.Hello(self._program))

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger=0)
        if self._monitor is not None:
            self._monitor.close(linger=0)
        self._socket = self._monitor = None

    def _lose(self, error: errors.VividKeysError) -> None:
        self._drop_socket()
        now = time.monotonic()
        self._retry_at = now + _RETRY_SECONDS
        if self._lost_at is None:
            self._lost_at = now
        self._change(SessionState.LOST, error.sentence, error.next_step, error.kind)

    def _change(
        self,
        state: SessionState,
        sentence: str,
        next_step: str = "",
        kind: errors.ErrorKind | None = None,
    ) -> None:
        self._state = state
        self._emit(StateChanged(state, sentence, next_step, self._serial, kind))

    def _send(self, message: messages.Message) -> None:
        if self._socket is not None:
            # Never blocks: the queue has no limit, and uploads keep to their window.
            self._socket.send_multipart(protocol.encode(message), copy=False)

    def _send_or_later(self, message: messages.Message) -> None:
        if self._state is SessionState.CONNECTED:
            self._send(message)
        else:
            self._later.append(message)

    # --- what the backend says --------------------------------------------------------------

    def _hear(self, message: messages.Message) -> None:
        match message:
            case messages.Welcome():
                self._lost_at = None
                self._pinged_at = time.monotonic()
                self._change(SessionState.CONNECTED, f"Connected to {self._address}.")
                self._emit(message)
                self._resume()
            case messages.Have():
                self._uploaded(message.sha256)
            case messages.Need():
                self._upload_more(message.sha256, message.offset)
            case messages.Accepted():
                self._accepted(message)
            case messages.Progress() | messages.Chunk():
                if message.job in self._jobs:
                    self._emit(message)
            case messages.Done():
                if self._end(message.job):
                    self._emit(message)
            case messages.Forgotten():
                self._emit(message)
            case messages.Failed():
                self._hear_failure(message)

    def _hear_failure(self, failure: messages.Failed) -> None:
        if failure.kind is errors.ErrorKind.UNKNOWN_VERSION:
            self._target = None
            self._drop_socket()
            self._fail_all(failure.kind, failure.sentence, failure.next_step)
            self._change(
                SessionState.DISCONNECTED, failure.sentence, failure.next_step, failure.kind
            )
        elif failure.about == "upload":
            for job, active in list(self._jobs.items()):
                if any(active.transfers[name].sha256 == failure.sha256 for name in active.unsent):
                    self._fail(job, failure.kind, failure.sentence, failure.next_step)
        elif failure.about in ("submit", "attach", "cancel"):
            # A job that the backend does not have has ended, and whoever sent it waits for that.
            self._fail(failure.job, failure.kind, failure.sentence, failure.next_step)
        elif failure.about == "job":
            if self._end(failure.job):
                self._emit(failure)
        else:
            self._emit(failure)

    def _hear_nonsense(self, error: protocol.MessageError) -> None:
        """A message that cannot be used must not leave its job waiting for ever."""
        if error.job and error.about in ("done", "failed"):
            self._fail(error.job, error.kind, error.sentence, error.next_step)
        elif error.kind is errors.ErrorKind.UNKNOWN_VERSION:
            self._hear_failure(error.as_failed())

    # --- jobs -------------------------------------------------------------------------------

    def _start(self, request: SubmitJob) -> None:
        active = self._jobs[request.job] = _Job(request)
        try:
            for name, source in request.uploads.items():
                active.transfers[name] = Transfer(source)
                active.unsent.add(name)
        except errors.VividKeysError as error:
            self._fail(request.job, error.kind, error.sentence, error.next_step)
            return
        self._submit_when_complete(active)

    def _submit_when_complete(self, active: _Job) -> None:
        request = active.request
        if request is None or active.unsent or self._state is not SessionState.CONNECTED:
            return
        hashes = {name: transfer.sha256 for name, transfer in active.transfers.items()}
        try:
            self._send(
                messages.Submit(
                    job=request.job,
                    kind=request.kind,
                    params={**request.params, **hashes},
                    label=request.label,
                    arrays=request.arrays,
                )
            )
        except errors.VividKeysError as error:
            self._fail(request.job, error.kind, error.sentence, error.next_step)

    def _accepted(self, message: messages.Accepted) -> None:
        active = self._jobs.get(message.job)
        if active is None:
            return
        active.request = None
        for transfer in active.transfers.values():
            transfer.close()
        active.transfers.clear()
        self._emit(message)

    def _resume(self) -> None:
        """After welcome: ask for missing bytes again, send what was not accepted, attach to it."""
        for message in self._later:
            self._send(message)
        self._later.clear()
        for job, active in list(self._jobs.items()):
            if active.request is None:
                self._send(messages.Attach(job))
                continue
            for name in active.unsent:
                if active.transfers[name].is_hashed:
                    self._send(active.transfers[name].question())
            self._submit_when_complete(active)

    def _cancel(self, job: str) -> None:
        active = self._jobs.get(job)
        if active is None:
            return
        connected = self._state is SessionState.CONNECTED
        if not active.unsent:
            self._send_or_later(messages.Cancel(job))
        if active.unsent or not connected:
            # The backend has not heard of it yet, or cannot be asked now.
            self._fail(job, errors.ErrorKind.CANCELLED, "Cancelled.", "")

    def _end(self, job: str) -> bool:
        """Forget a job that has ended; False when it had ended before."""
        active = self._jobs.pop(job, None)
        if active is None:
            return False
        for transfer in active.transfers.values():
            transfer.close()
        return True

    def _fail(self, job: str, kind: errors.ErrorKind, sentence: str, next_step: str) -> None:
        if self._end(job):
            self._emit(messages.Failed(kind, sentence, next_step, about="job", job=job))

    def _fail_all(self, kind: errors.ErrorKind, sentence: str, next_step: str) -> None:
        for job in list(self._jobs):
            self._fail(job, kind, sentence, next_step)

    def _close_transfers(self) -> None:
        for job in list(self._jobs):
            self._end(job)

    # --- uploads ----------------------------------------------------------------------------

    def _is_hashing(self) -> bool:
        return any(
            not active.transfers[name].is_hashed
            for active in self._jobs.values()
            for name in active.unsent
        )

    def _hash_some(self) -> None:
        for job, active in list(self._jobs.items()):
            for name in sorted(active.unsent):
                transfer = active.transfers[name]
                if transfer.is_hashed:
                    continue
                try:
                    transfer.hash_step()
                except errors.VividKeysError as error:
                    self._fail(job, error.kind, error.sentence, error.next_step)
                    return
                if transfer.is_hashed and self._state is SessionState.CONNECTED:
                    self._send(transfer.question())
                return  # one step, then the socket again

    def _uploading(self, sha256: str) -> list[tuple[str, _Job, str, Transfer]]:
        return [
            (job, active, name, active.transfers[name])
            for job, active in self._jobs.items()
            for name in sorted(active.unsent)
            if active.transfers[name].sha256 == sha256
        ]

    def _uploaded(self, sha256: str) -> None:
        for _job, active, name, _transfer in self._uploading(sha256):
            active.unsent.discard(name)
            self._submit_when_complete(active)

    def _upload_more(self, sha256: str, offset: int) -> None:
        # Two jobs may want the same bytes: the first sends them, both get the `have`.
        for job, active, _name, transfer in self._uploading(sha256)[:1]:
            transfer.needed_from(offset)
            try:
                for piece in transfer.pieces():
                    self._send(piece)
            except errors.VividKeysError as error:
                self._fail(job, error.kind, error.sentence, error.next_step)
                return
            now = time.monotonic()
            if now - active.last_progress >= _UPLOAD_PROGRESS_SECONDS:
                active.last_progress = now
                sentence = (
                    f"Sending '{transfer.label}': {transfer.fraction * transfer.size / 1e6:.0f} "
                    f"of {transfer.size / 1e6:.0f} MB"
                )
                self._emit(messages.Progress(job, "upload", transfer.fraction, sentence))
