# SPDX-License-Identifier: GPL-3.0-or-later
"""Records what happens to jobs and passes it on to the clients that are subscribed to them.

Results are written and read on a second thread; everything else happens on the server's.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import UInt8

from backend.server.folders import disk_full
from backend.server.job_kinds import MadeFile
from backend.server.job_store import JobStore, StoredJob
from backend.server.reception import Client, Reception
from backend.server.uploads import UploadStore
from shared.arrays import Arrays
from shared.checks import printable
from shared.errors import ErrorKind, VividKeysError
from shared.limits import FILE_PIECE_BYTES, FILE_WINDOW, SENTENCE_CHARACTERS
from shared.messages import Chunk, Done, Failed, Message, Piece, Progress
from shared.protocol import unforeseen

_log = logging.getLogger(__name__)
# Of one client; a client that keeps to its window never reaches it.
MOST_UNSENT_PIECES = 4 * FILE_WINDOW


class JobDesk:
    """Connects the dispatcher, the disk and the clients; it is the dispatcher's `Outcome`."""

    def __init__(
        self,
        jobs: JobStore,
        uploads: UploadStore,
        reception: Reception,
        call: Callable[[Callable[[], None]], None],
    ) -> None:
        self._jobs = jobs
        self._uploads = uploads
        self._reception = reception
        self._call = call
        self._files = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._subscribers: dict[str, list[Client]] = {}
        self._saving: set[str] = set()
        self._pieces: Counter[bytes] = Counter()  # being read, by client
        self._told_places: dict[str, int] = {}
        self.owners: dict[str, str] = {}
        """The clients of the jobs that wait, run or are being saved."""
        self.places: Callable[[], list[str]] = list
        """The waiting jobs in the order in which they would run."""

    def close(self) -> None:
        """Wait until everything is on disk; messages about it still arrive through `call`."""
        self._files.shutdown(wait=True)

    @property
    def is_saving(self) -> bool:
        return bool(self._saving)

    def is_being_saved(self, job: str) -> bool:
        """Whether a job has ended and its result is being written to the disk."""
        return job in self._saving

    def subscribe(self, client: Client, job: str) -> None:
        subscribers = self._subscribers.setdefault(job, [])
        if client not in subscribers:
            subscribers.append(client)

    def send_kept(self, client: Client, job: StoredJob) -> None:
        """Read a result on the second thread, then send it to one client."""

        def send(arrays: Arrays | None, error: VividKeysError | None) -> None:
            if not self._reception.is_here(client):
                return
            if error is not None:
                self._reception.send(client, failed_message(error, "job", job.job))
            else:
                file = (job.file_sha256, job.file_size)
                self._send_done(
                    client, Done(job.job, job.kind, job.info, True, arrays or {}, *file)
                )

        def read() -> None:
            arrays: Arrays | None = None
            error: VividKeysError | None = None
            try:
                arrays = self._jobs.load_result(job.job)
            except VividKeysError as unreadable:
                error = unreadable
            except Exception:
                _log.exception("The result of the job %s could not be read.", job.job)
                error = unforeseen("job", job.job)
            self._call(lambda: send(arrays, error))

        self._files.submit(read)

    def send_piece(self, client: Client, job: StoredJob, offset: int) -> None:
        """Read a piece of a result's file on the second thread, then send it.

        Raises VividKeysError(bad_request, busy).
        """
        if not job.file_sha256 or offset >= job.file_size:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                "The result's file has no such piece.",
                "Install the add-on and the backend from the same release.",
            )
        unsent = self._pieces[client.identity] + len(client.outbox)
        if unsent >= MOST_UNSENT_PIECES:
            raise VividKeysError(
                ErrorKind.BUSY,
                "Too many pieces of files are requested at once.",
                "Wait until some have arrived.",
            )
        self._pieces[client.identity] += 1

        def send(data: UInt8[np.ndarray, " N"] | None, error: VividKeysError | None) -> None:
            self._pieces[client.identity] -= 1
            if not self._pieces[client.identity]:
                del self._pieces[client.identity]
            if not self._reception.is_here(client):
                return
            if error is not None:
                self._reception.send(client, failed_message(error, "fetch", job.job))
            elif data is not None:
                self._reception.send(client, Piece(job.job, offset, {"data": data}))

        def read() -> None:
            data: UInt8[np.ndarray, " N"] | None = None
            error: VividKeysError | None = None
            try:
                data = self._jobs.read_file(job.job, offset, FILE_PIECE_BYTES)
            except VividKeysError as unreadable:
                error = unreadable
            except Exception:
                _log.exception("The file of the job %s could not be read.", job.job)
                error = unforeseen("fetch", job.job)
            self._call(lambda: send(data, error))

        self._files.submit(read)

    # --- the dispatcher's Outcome -----------------------------------------------------------

    def task_of(self, job: str) -> dict[str, Any] | None:
        stored = self._jobs.get(job)
        if stored is None or stored.has_ended:
            return None
        request = self._jobs.request_path(job)
        try:
            uploads = {
                sha256: str(self._uploads.path(sha256)) for sha256 in self._jobs.uploads_of(job)
            }
            for other in stored.builds_on:
                if not self._jobs.result_path(other).exists():
                    raise _result_gone()
        except VividKeysError as error:
            self.job_failed(job, error)
            return None
        return {
            "do": "run",
            "job": job,
            "kind": stored.kind,
            "params": stored.params,
            "request": str(request) if request.exists() else "",
            "uploads": uploads,
            "results": {other: str(self._jobs.result_path(other)) for other in stored.builds_on},
            "folder": str(self._jobs.working_folder(job)),
        }

    def job_started(self, job: str) -> None:
        self._write(lambda: self._jobs.set_running(job))
        self._publish(job, Progress(job, "started", 0.0, "The backend has started."))

    def job_progressed(self, job: str, stage: str, fraction: float, sentence: str) -> None:
        self._publish(job, Progress(job, stage, fraction, sentence))

    def job_made_chunk(self, job: str, index: int, info: dict[str, Any], arrays: Arrays) -> None:
        self._publish(job, Chunk(job, index, info, arrays))

    def job_finished(
        self, job: str, info: dict[str, Any], arrays: Arrays, file: MadeFile | None
    ) -> None:
        """Save the result, then send it; its arrays are sent even if they cannot be saved."""
        self._saving.add(job)
        size = sum(array.nbytes for array in arrays.values())

        def save() -> None:
            written, error = 0, None
            try:
                written = self._jobs.save_result(job, arrays, file)
            except VividKeysError as unsaved:
                error = unsaved
            except Exception:
                _log.exception("The result of the job %s could not be saved.", job)
                error = disk_full("a result")
            self._call(lambda: self._saved(job, info, arrays, file, written, error))

        try:
            self._uploads.make_room(size, "a result", written=0 if file is None else file.size)
        except VividKeysError as error:
            self._saved(job, info, arrays, file, 0, error)
        else:
            self._files.submit(save)

    def _saved(
        self,
        job: str,
        info: dict[str, Any],
        arrays: Arrays,
        file: MadeFile | None,
        written: int,
        error: VividKeysError | None,
    ) -> None:
        self._saving.discard(job)
        self.owners.pop(job, None)
        if error is None:
            error = self._write(lambda: self._jobs.set_done(job, info, written, file))
        if error is not None and file is not None:
            # Without its file there is no result to send.
            self.job_failed(job, error)
            return
        if error is not None:
            unsaved = error
            self._write(lambda: self._jobs.set_failed(job, unsaved))
            self._publish(job, failed_message(error, "keep", job))
        stored = self._jobs.get(job)
        kind = "unknown" if stored is None else stored.kind
        sha256, size = ("", 0) if file is None else (file.sha256, file.size)
        self._publish(job, Done(job, kind, info, error is None, arrays, sha256, size))
        self._subscribers.pop(job, None)

    def job_failed(self, job: str, error: VividKeysError) -> None:
        self.owners.pop(job, None)
        self._write(lambda: self._jobs.set_failed(job, error))
        self._publish(job, failed_message(error, "job", job))
        self._subscribers.pop(job, None)

    def job_let_go(self, job: str) -> None:
        self._jobs.clear_working_folder(job)

    def queue_moved(self) -> None:
        told, self._told_places = self._told_places, {}
        for place, job in enumerate(self.places()):
            self._told_places[job] = place
            if told.get(job) != place:
                where = "next in the queue" if place == 0 else f"{place} jobs are ahead"
                self._publish(job, Progress(job, "queued", 0.0, f"Waiting: {where}."))

    def _publish(self, job: str, message: Message) -> None:
        for client in self._subscribers.get(job, []):
            if self._reception.is_here(client):
                if isinstance(message, Done):
                    self._send_done(client, message)
                    continue
                try:
                    self._reception.send(client, message)
                except VividKeysError as error:
                    _log.error("A message '%s' cannot be sent: %s", message.TYPE, error)

    def _send_done(self, client: Client, done: Done) -> None:
        """Send a result, or why it cannot be sent, so that no client waits forever."""
        try:
            self._reception.send(client, done)
        except VividKeysError as error:
            _log.error("A result cannot be sent: %s", error)
            self._reception.send(client, failed_message(error, "job", done.job))

    def _write(self, change: Callable[[], None]) -> VividKeysError | None:
        """Change the table; on a full disk the server goes on with what it has in memory."""
        try:
            change()
        except (VividKeysError, OSError) as error:
            _log.error("The list of jobs: %s", error)
            return error if isinstance(error, VividKeysError) else disk_full("the list of jobs")
        return None


def failed_message(error: VividKeysError, about: str, job: str = "", sha256: str = "") -> Failed:
    """An error as a message, with sentences cut to what a message may carry."""
    return Failed(
        error.kind,
        printable(error.sentence, SENTENCE_CHARACTERS),
        printable(error.next_step, SENTENCE_CHARACTERS),
        about,
        job,
        sha256,
    )


def _result_gone() -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_REQUEST,
        "The result that this job builds on has been deleted.",
        "Run the earlier job again, then this one.",
    )
