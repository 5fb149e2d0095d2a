# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that were sent or attached and have not ended, and the files they still need.

Used on the session's thread. It decides what to send to the backend and when, but has no socket: it
is given a function that sends and one that tells whether there is a connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..contracts import errors, messages
from .events import Event, FileReceived, ResultWaits, SubmitJob
from .receipts import Receipt
from .transfers import Transfer

_PROGRESS_SECONDS = 0.1


@dataclass
class _Job:
    """`request` is dropped once the backend has accepted it."""

    request: SubmitJob | None
    files_to: Path | None = None
    receipt: Receipt | None = None  # of the result's file
    is_cancelled: bool = False
    transfers: dict[str, Transfer] = field(default_factory=dict)  # by parameter
    unsent: set[str] = field(default_factory=set)  # parameters that are not yet uploaded
    last_progress: float = 0.0

    def close_transfers(self) -> None:
        for transfer in self.transfers.values():
            transfer.close()
        self.transfers.clear()
        self.unsent.clear()  # not empty if the backend accepts a job before it has its files

    def close(self) -> None:
        self.close_transfers()
        if self.receipt is not None:
            self.receipt.close()


class JobsUnderWay:
    """Every job in this table ends with exactly one Done or one Failed(about="job")."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        send: Callable[[messages.Message], None],
        is_connected: Callable[[], bool],
    ) -> None:
        self._emit = emit
        self._send = send
        self._is_connected = is_connected
        self._jobs: dict[str, _Job] = {}
        self._later: list[messages.Message] = []  # sent as soon as there is a backend again

    # --- what the user wants ----------------------------------------------------------------

    def submit(self, request: SubmitJob) -> None:
        active = self._jobs[request.job] = _Job(request, request.files_to)
        try:
            for name, source in request.uploads.items():
                active.transfers[name] = Transfer(source)
                active.unsent.add(name)
        except errors.VividKeysError as error:
            self.fail(request.job, error)
            return
        self._submit_when_complete(active)

    def attach(self, job: str, files_to: Path | None = None) -> None:
        self._jobs.setdefault(job, _Job(request=None, files_to=files_to))
        if self._is_connected():  # else after welcome
            self._send(messages.Attach(job))

    def cancel(self, job: str) -> None:
        active = self._jobs.get(job)
        if active is None:
            return
        active.is_cancelled = True
        is_unheard = bool(active.unsent)  # the backend has not heard of it yet
        if active.receipt is not None:
            # For the backend the job has ended; its result is no longer wanted.
            self.forget(job, with_uploads=False)
            is_unheard = True
        elif not is_unheard:
            self._send_or_later(messages.Cancel(job))
        if is_unheard or not self._is_connected():
            self.fail(job, _cancelled())

    def forget(self, job: str, with_uploads: bool) -> None:
        self._send_or_later(messages.Forget(job, with_uploads))

    def fail(self, job: str, error: errors.VividKeysError) -> None:
        """End a job here; nothing happens if it has ended already."""
        if self._end(job):
            self._emit(
                messages.Failed(error.kind, error.sentence, error.next_step, about="job", job=job)
            )

    def fail_all(self, error: errors.VividKeysError) -> None:
        for job in list(self._jobs):
            self.fail(job, error)

    def close(self) -> None:
        """Drop all jobs without an event."""
        for job in list(self._jobs):
            self._end(job)

    # --- what the backend says --------------------------------------------------------------

    def hear(self, message: messages.Message) -> None:
        """Process a message about jobs or uploads; late and unexpected ones are ignored."""
        match message:
            case messages.Have():
                self._uploaded(message.sha256)
            case messages.Need():
                self._upload_more(message.sha256, message.offset)
            case messages.Accepted() if message.job in self._jobs:
                self._jobs[message.job].request = None
                self._jobs[message.job].close_transfers()
                self._emit(message)
            case messages.Progress() | messages.Chunk() if message.job in self._jobs:
                self._emit(message)
            case messages.Done() if message.job in self._jobs:
                self._hear_done(message, self._jobs[message.job])
            case messages.Piece() if message.job in self._jobs:
                self._hear_piece(message, self._jobs[message.job])
            case messages.Forgotten():
                self._emit(message)
            case messages.Failed():
                self._hear_failure(message)

    def resume(self) -> None:
        """After welcome: ask for missing bytes again, send what was not accepted, attach."""
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

    def _hear_failure(self, failure: messages.Failed) -> None:
        match failure.about:
            case "upload":
                for job, *_rest in self._uploading(failure.sha256):
                    self.fail(job, failure.error)
            case "submit" | "attach" | "cancel" | "fetch":
                # The backend does not have this job, which must not wait forever.
                self.fail(failure.job, failure.error)
            case "job":
                if self._end(failure.job):
                    self._emit(failure)
            case _:
                self._emit(failure)

    # --- sending ----------------------------------------------------------------------------

    def _send_or_later(self, message: messages.Message) -> None:
        if self._is_connected():
            self._send(message)
        else:
            self._later.append(message)

    def _submit_when_complete(self, active: _Job) -> None:
        request = active.request
        if request is None or active.unsent or not self._is_connected():
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
            self.fail(request.job, error)

    def _end(self, job: str) -> bool:
        """Remove a job from the table; False when it had already ended."""
        active = self._jobs.pop(job, None)
        if active is None:
            return False
        active.close()
        return True

    # --- the file of a result ---------------------------------------------------------------

    def _hear_done(self, done: messages.Done, active: _Job) -> None:
        if not done.file_sha256 or active.files_to is None:
            self._end(done.job)
            self._emit(done)
            return
        if active.is_cancelled:
            # It was done before the backend got the cancellation.
            self.forget(done.job, with_uploads=False)
            self.fail(done.job, _cancelled())
            return
        try:
            if active.receipt is None:
                self._emit(ResultWaits(done.job))
                active.receipt = Receipt(done, active.files_to)
            active.receipt.ask_again()
            self._fetch_more(active, active.receipt)
        except errors.VividKeysError as error:
            self.fail(done.job, error)

    def _hear_piece(self, piece: messages.Piece, active: _Job) -> None:
        receipt = active.receipt
        if receipt is None:
            return
        try:
            receipt.take(piece)
            self._fetch_more(active, receipt)
        except errors.VividKeysError as error:
            self.fail(piece.job, error)

    def _fetch_more(self, active: _Job, receipt: Receipt) -> None:
        job = receipt.done.job
        if receipt.is_complete:
            path = receipt.finish()
            self._end(job)
            self._emit(FileReceived(job, path))
            self._emit(receipt.done)
            return
        for question in receipt.questions():
            self._send(question)
        sentence = f"Receiving {receipt.received / 1e6:.0f} of {receipt.size / 1e6:.0f} MB"
        self._emit_progress(active, job, "fetch", receipt.received / receipt.size, sentence)

    # --- uploads ----------------------------------------------------------------------------

    @property
    def is_hashing(self) -> bool:
        """Whether `hash_some` has something to do."""
        return any(
            not active.transfers[name].is_hashed
            for active in self._jobs.values()
            for name in active.unsent
        )

    def hash_some(self) -> None:
        """Hash one piece of the first file that is not hashed, so that messages wait little."""
        for job, active in self._jobs.items():
            for name in sorted(active.unsent):
                transfer = active.transfers[name]
                if transfer.is_hashed:
                    continue
                try:
                    transfer.hash_step()
                except errors.VividKeysError as error:
                    self.fail(job, error)
                    return
                if transfer.is_hashed and self._is_connected():
                    self._send(transfer.question())
                return

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
            try:
                transfer.needed_from(offset)
                for piece in transfer.pieces():
                    self._send(piece)
            except errors.VividKeysError as error:
                self.fail(job, error)
                return
            sentence = (
                f"Sending '{transfer.label}': {transfer.fraction * transfer.size / 1e6:.0f} "
                f"of {transfer.size / 1e6:.0f} MB"
            )
            self._emit_progress(active, job, "upload", transfer.fraction, sentence)

    def _emit_progress(
        self, active: _Job, job: str, stage: str, fraction: float, sentence: str
    ) -> None:
        now = time.monotonic()
        if now - active.last_progress >= _PROGRESS_SECONDS:
            active.last_progress = now
            self._emit(messages.Progress(job, stage, fraction, sentence))


def _cancelled() -> errors.VividKeysError:
    return errors.VividKeysError(errors.ErrorKind.CANCELLED, "Cancelled.", "")
