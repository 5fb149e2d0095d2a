# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread behind a Session, which alone uses the socket.

It connects and reconnects, notices within seconds that the backend is gone, sends files in pieces,
and keeps a list of the jobs under way so that it can attach to them again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ..contracts import errors, inbox, limits, messages, protocol
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
from .sockets import fallen_silent, gone_away, nobody_there, open_socket, refused_key, wrong_server
from .under_way import JobsUnderWay

_log = logging.getLogger(__name__)
_WELCOME_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_HELD_UP_SECONDS = 1.0
_MESSAGES_PER_TURN = 64


class Link:
    """Runs on a thread of its own; `commands` and `stop` are for other threads."""

    def __init__(
        self,
        zmq: Any,
        program: str,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.commands: inbox.Inbox[Command] = inbox.Inbox()
        self._zmq = zmq
        self._program = program
        self._emit = emit
        self._clock = clock
        self._context: Any = None
        self._socket: Any = None
        self._monitor: Any = None
        self._target: OpenLink | None = None
        self._serial = 0
        self._state = SessionState.DISCONNECTED
        self._jobs = JobsUnderWay(emit, self._send, lambda: self._is_connected)
        self._opened_at = self._heard_at = self._pinged_at = self._retry_at = 0.0
        self._turned_at = self._clock()
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
            self._jobs.close()
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
        poller.poll(0 if self._jobs.is_hashing else 200)
        for command in self.commands.take_all():
            try:
                self._obey(command)
            except Exception:
                _log.exception("A command could not be carried out.")
                if isinstance(command, SubmitJob):
                    self._jobs.fail(command.job, protocol.unforeseen("submit", command.job))
        self._receive()
        self._watch()
        self._keep_time()
        self._jobs.hash_some()

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
                self._jobs.fail_all(_lost("The connection was closed.", "Connect again."))
                self._change(SessionState.DISCONNECTED, command.sentence)
            case GiveUp():
                self._jobs.fail_all(_lost(command.sentence, command.next_step))
            case SubmitJob():
                self._jobs.submit(command)
            case AttachJob():
                self._jobs.attach(command.job, command.files_to)
            case CancelJob():
                self._jobs.cancel(command.job)
            case ForgetJob():
                self._jobs.forget(command.job, command.with_uploads)

    def _receive(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            if self._socket is None:
                return
            try:
                frames = self._socket.recv_multipart(self._zmq.NOBLOCK, copy=False)
            except self._zmq.Again:
                return
            self._heard_at = self._clock()
            about = job = ""
            try:
                message = protocol.decode_from_server([frame.buffer for frame in frames])
                about, job = message.TYPE, getattr(message, "job", "")
                self._hear(message)
            except protocol.MessageError as error:
                self._hear_nonsense(error)
            except Exception:
                # A defect, here or in the backend. The thread goes on, and the job that the message
                # was about does not wait forever.
                _log.exception("A message '%s' from the backend could not be processed.", about)
                if job:
                    self._jobs.fail(job, protocol.unforeseen(about, job))

    def _watch(self) -> None:
        """Handle ZeroMQ's own events: the earliest sign of a broken connection."""
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
        now = self._clock()
        held_up = now - self._turned_at
        self._turned_at = now
        if held_up > _HELD_UP_SECONDS:
            # Blender kept this thread waiting (an export, a bake), so the silence was our own.
            self._heard_at += held_up
            self._opened_at += held_up
        if self._socket is None:
            if self._target is not None and now >= self._retry_at:
                self._open()
        elif self._is_connected:
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
            self._jobs.fail_all(
                _lost(
                    "The backend was lost during the job.", "Start it again and send the job again."
                )
            )

    # --- the socket -------------------------------------------------------------------------

    @property
    def _is_connected(self) -> bool:
        return self._state is SessionState.CONNECTED

    @property
    def _address(self) -> str:
        return "" if self._target is None else self._target.address

    def _open(self) -> None:
        assert self._target is not None
        self._drop_socket()
        self._socket = open_socket(self._zmq, self._context, self._target.keys)
        self._monitor = self._socket.get_monitor_socket()
        self._shook_hands = False
        self._opened_at = self._clock()
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
        now = self._clock()
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

    # --- what the backend says --------------------------------------------------------------

    def _hear(self, message: messages.Message) -> None:
        match message:
            case messages.Welcome():
                self._lost_at = None
                self._pinged_at = self._clock()
                self._change(SessionState.CONNECTED, f"Connected to {self._address}.")
                self._emit(message)
                self._jobs.resume()
            case messages.Failed(kind=errors.ErrorKind.UNKNOWN_VERSION):
                self._give_up_for_good(message.error)
            case messages.Pong():
                pass  # its arrival is all that matters
            case _:
                self._jobs.hear(message)

    def _hear_nonsense(self, error: protocol.MessageError) -> None:
        """Fail the job of an unusable message, which would otherwise wait forever."""
        if error.kind is errors.ErrorKind.UNKNOWN_VERSION:
            self._give_up_for_good(error)
        elif error.about in ("done", "failed"):
            self._jobs.fail(error.job, error)

    def _give_up_for_good(self, error: errors.VividKeysError) -> None:
        """Disconnect without retrying, which would not help."""
        self._target = None
        self._drop_socket()
        self._jobs.fail_all(error)
        self._change(SessionState.DISCONNECTED, error.sentence, error.next_step, error.kind)


def _lost(sentence: str, next_step: str) -> errors.VividKeysError:
    return errors.VividKeysError(errors.ErrorKind.BACKEND_LOST, sentence, next_step)
