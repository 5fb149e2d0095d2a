# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: one thread that receives from clients and the worker, and answers.

Nothing that a client sends ends it, and nothing slow happens on its thread: jobs run in the
worker's process, large files are written and read on a second thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from backend.server.access import KnownKeys
from backend.server.dispatch import Dispatcher
from backend.server.folders import InstanceLock, private_folder
from backend.server.job_desk import JobDesk, failed_message
from backend.server.job_kinds import STANDARD_KINDS, STANDARD_MODULES, JobKind, job_kinds
from backend.server.job_store import JobStore, StoredJob
from backend.server.keys import KeyPair
from backend.server.reception import Client, Reception
from backend.server.uploads import UploadStore
from backend.server.worker_process import WorkerEnded, WorkerSaid
from shared.connection import Address
from shared.errors import ErrorKind, VividKeysError
from shared.inbox import Inbox
from shared.limits import (
    JOBS_PER_CLIENT,
    LISTED_JOBS,
    PROTOCOL_VERSION,
    limits_as_json,
)
from shared.messages import (
    Accepted,
    Attach,
    Cancel,
    Fetch,
    Forget,
    Forgotten,
    Hello,
    Message,
    Ping,
    Pong,
    Submit,
    Upload,
    Welcome,
)
from shared.protocol import MessageError, unforeseen
from shared.version import __version__

_log = logging.getLogger(__name__)
_TIDY_SECONDS = 600.0
_TURN_SECONDS = 0.5


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens and keeps things, and what it can do."""

    address: Address
    data_folder: Path
    quota_bytes: int = 50 << 30
    job_modules: tuple[str, ...] = STANDARD_MODULES


class Server:
    """Created, run and closed on one thread; `call` and `ask_to_stop…` are for other threads."""

    def __init__(self, settings: ServerSettings, keys: KeyPair, known: KnownKeys) -> None:
        self._kinds: dict[str, JobKind] = job_kinds(settings.job_modules)
        self._inbox: Inbox[WorkerSaid | WorkerEnded | Callable[[], None]] = Inbox()
        self._stop_at: float | None = None
        self._stop_when_idle = False
        self._tidied_at = time.monotonic()
        folder = private_folder(settings.data_folder / "server")
        self._lock = InstanceLock(folder / "instances")
        self._jobs = JobStore(folder)
        self._uploads = UploadStore(folder, self._jobs, settings.quota_bytes)
        self._reception = Reception(settings.address, keys, known)
        self._desk = JobDesk(self._jobs, self._uploads, self._reception, self.call)
        self.dispatcher = Dispatcher(settings.job_modules, self._desk, self._inbox.put)
        self._desk.places = self.dispatcher.waiting
        self.address = self._reception.address
        self.on_ready: Callable[[], None] | None = None
        self.was_ready = False

    # --- for other threads ------------------------------------------------------------------

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` on the server's thread; safe from any thread."""
        self._inbox.put(action)

    def ask_to_stop(self) -> None:
        """End soon; a running job is aborted."""
        self.call(lambda: self._stop_by(0.0))

    def ask_to_stop_when_idle(self, longest_seconds: float) -> None:
        """End when the running job has ended, at the latest after `longest_seconds`."""

        def orphaned() -> None:
            self._stop_when_idle = self.dispatcher.is_paused = True
            self._stop_by(longest_seconds)

        self.call(orphaned)

    # --- the loop ---------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until asked to stop."""
        self._take_over_from_the_dead()
        self._jobs.clear_working_folders()
        self.dispatcher.start()
        poller = zmq.Poller()
        poller.register(self._inbox.wake_socket, zmq.POLLIN)
        poller.register(self._reception.socket, zmq.POLLIN)
        while not self._shall_stop():
            poller.poll(self._milliseconds_to_wait())
            for item in self._inbox.take_all():
                self._take(item)
            for client, message in self._reception.receive():
                self._answer(client, message)
            self.dispatcher.keep_time()
            self._reception.keep_up()
            self._tell_ready()
            self._tidy()

    def close(self) -> None:
        self.dispatcher.stop(1.0)
        running = self.dispatcher.running_job
        if running is not None:
            self._desk.job_failed(running, _stopped())
        self._desk.close()
        for item in self._inbox.take_all():
            if not isinstance(item, WorkerSaid | WorkerEnded):
                item()  # a result that was being saved when the server was stopped
        self._reception.close()
        self._uploads.close()
        self._jobs.close()
        self._inbox.close()
        self._lock.release()

    def _take(self, item: WorkerSaid | WorkerEnded | Callable[[], None]) -> None:
        """Handle an item from another thread or the worker. No failure in it ends the server."""
        try:
            if isinstance(item, WorkerSaid | WorkerEnded):
                self.dispatcher.hear(item)
            else:
                item()
        except Exception:
            _log.exception("An action or a message of the worker failed.")
            if isinstance(item, WorkerSaid):
                self._mistrust(item)

    def _mistrust(self, said: WorkerSaid) -> None:
        """End the job of a worker's message that could not be used, and replace the worker."""
        self.dispatcher.replace_worker(said.serial)
        job = said.header.get("job")
        if not isinstance(job, str) or job not in self._desk.owners:
            return
        # The end of a running job follows from the worker's end.
        if not self._desk.is_being_saved(job) and self.dispatcher.running_job != job:
            self._desk.job_failed(job, unforeseen("job", job))

    def _milliseconds_to_wait(self) -> int:
        if self._reception.has_waiting:
            return 10
        deadline = self.dispatcher.next_deadline()
        wait = _TURN_SECONDS
        if deadline is not None:
            wait = min(wait, max(deadline - time.monotonic(), 0.0))
        return int(wait * 1000) + 1

    def _stop_by(self, seconds: float) -> None:
        self._stop_at = time.monotonic() + seconds

    def _shall_stop(self) -> bool:
        if self._stop_at is None:
            return False
        is_idle = self.dispatcher.running_job is None and not self._desk.is_saving
        return time.monotonic() >= self._stop_at or (self._stop_when_idle and is_idle)

    def _tell_ready(self) -> None:
        if self.dispatcher.is_ready and not self.was_ready:
            self.was_ready = True
            if self.on_ready is not None:
                self.on_ready()
        if self.dispatcher.is_broken and not self.was_ready:
            self._stop_by(0.0)

    def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._tidied_at < _TIDY_SECONDS:
            return
        self._tidied_at = now
        try:
            self._uploads.tidy()
            self._jobs.clear_working_folders()
            self._take_over_from_the_dead()
        except (OSError, VividKeysError) as error:
            _log.warning("Tidying up: %s", error)

    def _take_over_from_the_dead(self) -> None:
        dead = self._lock.dead(self._jobs.unfinished_instances())
        for job in self._jobs.take_over(dead, self._lock.name):
            _log.info("The job %s of '%s' is queued again.", job.job, job.owner)
            self._desk.owners[job.job] = job.owner
            self.dispatcher.add(job.owner, job.job)
        self.dispatcher.proceed()

    # --- messages of clients ----------------------------------------------------------------

    def _answer(self, client: Client, message: Message | MessageError) -> None:
        if isinstance(message, MessageError):
            self._reception.send(client, message.as_failed())
            return
        try:
            self._obey(client, message)
        except VividKeysError as error:
            self._refuse(client, message, error)
        except Exception:
            _log.exception("A message '%s' could not be answered.", message.TYPE)
            self._refuse(client, message, unforeseen(message.TYPE))

    def _refuse(self, client: Client, message: Message, error: VividKeysError) -> None:
        failed = failed_message(error, message.TYPE, getattr(message, "job", ""))
        if isinstance(message, Upload):
            failed = failed_message(error, message.TYPE, sha256=message.sha256)
        self._reception.send(client, failed)

    def _obey(self, client: Client, message: Message) -> None:
        match message:
            case Hello():
                self._welcome(client, message)
            case Ping():
                self._reception.send(client, Pong(message.number))
            case Upload():
                self._reception.send(client, self._uploads.receive(client.name, message))
            case Submit():
                self._submit(client, message)
            case Attach():
                self._attach(client, self._job_of(client, message.job))
            case Cancel():
                # A job that has ended in the meantime is left alone: its end was sent already.
                self.dispatcher.cancel(self._job_of(client, message.job).job)
            case Fetch():
                self._desk.send_piece(client, self._job_of(client, message.job), message.offset)
            case Forget():
                self._forget(client, message)

    def _welcome(self, client: Client, hello: Hello) -> None:
        _log.info("'%s' connected with %s.", client.name, hello.program or "an unnamed program")
        abilities = self.dispatcher.abilities
        jobs = [
            {
                "job": job.job,
                "kind": job.kind,
                "state": job.state,
                "created": job.created,
                "label": job.label,
            }
            for job in self._jobs.of_owner(client.name, LISTED_JOBS)
        ]
        self._reception.send(
            client,
            Welcome(
                version=PROTOCOL_VERSION,
                backend=f"VividKeys backend {__version__}",
                name=client.name,
                ready=self.dispatcher.is_ready,
                kinds=abilities.kinds,
                models=(*abilities.models, *self._described(abilities.kinds)),
                devices=abilities.devices,
                limits=limits_as_json(),
                jobs=tuple(jobs),
            ),
        )

    def _described(self, available: tuple[str, ...]) -> list[dict[str, Any]]:
        """The models of those kinds of job that list them again on every hello."""
        found: list[dict[str, Any]] = []
        for name, kind in self._kinds.items():
            if kind.describe is None or name not in available:
                continue
            try:
                found += kind.describe()
            except Exception:
                _log.exception("The models of '%s' could not be listed.", name)
        return found

    def _submit(self, client: Client, message: Submit) -> None:
        known = self._jobs.get(message.job)
        if known is not None:
            if known.owner != client.name:
                raise _unknown_job()
            self._attach(client, known)
            return
        kind = self._kinds.get(message.kind)
        if kind is None:
            raise _unknown_kind(message.kind)
        if message.kind in self.dispatcher.abilities.unavailable:
            raise self.dispatcher.abilities.unavailable[message.kind]
        if sum(owner == client.name for owner in self._desk.owners.values()) >= JOBS_PER_CLIENT:
            raise VividKeysError(
                ErrorKind.BUSY,
                f"This client already has {JOBS_PER_CLIENT} jobs waiting.",
                "Wait until some have ended, or cancel them.",
            )
        needs = kind.check(message.params, message.arrays)
        for sha256 in needs.uploads:
            self._uploads.path(sha256)
        for other in needs.results:
            self._check_result(client, other)
        size = sum(array.nbytes for array in message.arrays.values())
        if size:
            self._uploads.make_room(size, "a new job")
        self._jobs.add(
            message.job,
            client.name,
            self._lock.name,
            message.kind,
            message.params,
            label=message.label,
            uploads=needs.uploads,
            builds_on=needs.results,
            arrays=message.arrays,
        )
        for sha256 in needs.uploads:
            self._jobs.touch_upload(sha256)
        self._desk.owners[message.job] = client.name
        self._desk.subscribe(client, message.job)
        self.dispatcher.add(client.name, message.job)
        before = self.dispatcher.jobs_before(message.job)
        self._reception.send(client, Accepted(message.job, message.kind, "queued", before))
        self.dispatcher.proceed()

    def _attach(self, client: Client, job: StoredJob) -> None:
        if not job.has_ended and job.job not in self._desk.owners:
            raise VividKeysError(
                ErrorKind.BUSY,
                "Another backend on the same computer is working on this job.",
                "Attach to it again when that backend has finished or was closed.",
            )
        before = self.dispatcher.jobs_before(job.job)
        self._reception.send(client, Accepted(job.job, job.kind, job.state, before))
        if job.error is not None:
            self._reception.send(client, failed_message(job.error, "job", job.job))
        elif job.state == "done":
            self._desk.send_kept(client, job)
        else:
            self._desk.subscribe(client, job.job)

    def _forget(self, client: Client, message: Forget) -> None:
        job = self._job_of(client, message.job)
        if job.job in self._desk.owners:
            raise VividKeysError(
                ErrorKind.BUSY,
                "A job that waits or runs cannot be deleted.",
                "Cancel it first.",
            )
        unused = self._jobs.forget(job.job)
        if message.with_uploads:
            for sha256 in unused:
                self._uploads.forget(sha256)
        self._reception.send(client, Forgotten(job.job))

    def _job_of(self, client: Client, job: str) -> StoredJob:
        stored = self._jobs.get(job)
        if stored is None or stored.owner != client.name:
            raise _unknown_job()
        return stored

    def _check_result(self, client: Client, job: str) -> None:
        if self._job_of(client, job).state != "done":
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                "The result that this job builds on does not exist.",
                "Wait until that job is done, or run it again.",
            )


def _unknown_job() -> VividKeysError:
    return VividKeysError(
        ErrorKind.UNKNOWN_JOB,
        "The backend does not know this job.",
        "It may have been deleted; send it again.",
    )


def _unknown_kind(kind: str) -> VividKeysError:
    if kind in STANDARD_KINDS:
        sentence = f"Jobs of the kind '{kind}' are not available in this version."
        return VividKeysError(ErrorKind.BAD_REQUEST, sentence, "Use a newer backend.")
    return VividKeysError(
        ErrorKind.BAD_REQUEST,
        f"There is no kind of job called '{kind}'.",
        "Install the add-on and the backend from the same release.",
    )


def _stopped() -> VividKeysError:
    return VividKeysError(
        ErrorKind.BACKEND_LOST,
        "The backend was stopped while it worked on this job.",
        "Start it and send the job again.",
    )
