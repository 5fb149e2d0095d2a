# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's state while Blender runs: the connection, the job under way, what to tell.

Everything here happens on Blender's main thread. A timer calls `pump` in a window; operators that
block call it in a loop. Panels read `state()` and change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from .. import folders
from ..connection import unfinished
from ..connection.backend_process import BackendProcess, BackendState
from ..connection.events import FileReceived, ResultWaits
from ..connection.session import Session, SessionState, StateChanged, UploadSource
from ..contracts import connection, errors, messages
from ..settings import online_access
from . import first_picture

TICK_SECONDS = 0.1
PUMP_SECONDS = 0.02
DISCONNECT_SECONDS = 1.0
# An operator looks at its job ten times a second; after this time without a look it is gone.
ABANDONED_SECONDS = 3.0


@dataclass
class Job:
    """A job as the panel and its operator see it."""

    id: str
    kind: str
    label: str
    plan: Any
    fraction: float = 0.0
    sentence: str = "Sending ..."
    done: messages.Done | None = None
    error: errors.VividKeysError | None = None
    # Done there, and its file is on the way or here.
    result_waits: bool = False
    file: Path | None = None
    looked_at: float = field(default_factory=time.monotonic)

    @property
    def finished(self) -> bool:
        return self.done is not None or self.error is not None


@dataclass(frozen=True)
class Notice:
    """The last thing to tell: an error with its next step, or a report of what was done."""

    sentences: tuple[str, ...]
    next_step: str = ""
    is_error: bool = False


@dataclass(frozen=True)
class PendingTake:
    """A performance that is computed but on no target: kept until 'Apply Take'."""

    performance: Any
    take_id: str
    file: Path | None
    plan: Any


class Work:
    """One for the add-on; `state()` returns it."""

    def __init__(self) -> None:
        self.session = Session()
        self.process: BackendProcess | None = None
        self._knocked = False
        self._address = ""  # of a backend that somebody else started
        self.job: Job | None = None
        self.notice: Notice | None = None
        self.pending: PendingTake | None = None
        self.offers: tuple[unfinished.UnfinishedJob, ...] = ()
        self.checks: tuple[Any, ...] = ()
        # The backend has said that a character's mouth cannot open: another way is offered.
        self.offers_surface_only = False
        self.on_abandoned: Callable[[Job], None] | None = None

    # --- the connection ---------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self.session.state is SessionState.CONNECTED

    @property
    def connecting(self) -> bool:
        return self.starting or self.session.state is SessionState.CONNECTING

    @property
    def starting(self) -> bool:
        """A local backend was started and has not said where it listens."""
        return self.process is not None and self.process.state is BackendState.STARTING

    @property
    def busy(self) -> bool:
        return self.job is not None and not self.job.finished

    @property
    def connection_sentence(self) -> str:
        if self.starting:
            return "Starting the local backend ..."
        return self.session.sentence

    def start_local(self, python: Path, folder: Path, timeout: float) -> None:
        """Start a backend on this computer; `pump` connects to it once it is ready."""
        self.disconnect()
        process = BackendProcess(
            python, folder, folders.log_folder() / "backend.log", start_seconds=timeout
        )
        process.start()
        self.process, self._knocked = process, False
        self.keep_pumping()

    def connect(self, address: str, key_file: Path, patience: float) -> None:
        """Connect to a backend that somebody else started. Raises VividKeysError."""
        keys = connection.load_client_keys(key_file)
        refused = online_access.refusal(address)
        if refused is not None:
            raise refused
        self.disconnect()
        self._address = address
        self.session.connect(address, keys, patience=patience)
        self.keep_pumping()

    def disconnect(self) -> None:
        """Leave the backend; a local one is stopped."""
        self.session.disconnect()
        # Its thread answers within milliseconds; waiting for that keeps the old connection's end
        # from being taken for the end of the next one.
        until = time.monotonic() + DISCONNECT_SECONDS
        while self.session.state is not SessionState.DISCONNECTED and time.monotonic() < until:
            self.pump()
            time.sleep(0.002)
        if self.process is not None:
            self.process.stop()
            self.process = None
        self.offers = ()
        self._address = ""

    def close(self) -> None:
        """For unregister: nothing of ours stays behind."""
        if bpy.app.timers.is_registered(tick):
            bpy.app.timers.unregister(tick)
        first_picture.clear()
        self.session.close()
        if self.process is not None:
            self.process.stop()
            self.process = None

    # --- jobs -------------------------------------------------------------------------------

    def submit(
        self,
        kind: str,
        params: Mapping[str, Any],
        uploads: Mapping[str, UploadSource],
        label: str,
        plan: Any,
        plan_as_json: dict[str, Any],
        arrays: Mapping[str, Any] | None = None,
    ) -> Job:
        """Send a job; there is one at a time. Raises VividKeysError(busy or bad_request)."""
        if self.busy:
            raise errors.VividKeysError(
                errors.ErrorKind.BUSY, "Another job is under way.", "Wait for it or cancel it."
            )
        job_id = self.session.submit(
            kind,
            params,
            dict(arrays or {}),
            uploads,
            label=label,
            files_to=folders.received_folder(),
        )
        self.job = Job(job_id, kind, label, plan)
        unfinished.remember_job(
            folders.unfinished_file(),
            unfinished.UnfinishedJob(job_id, kind, label, time.time(), plan_as_json),
        )
        self._begin_to_wait()
        return self.job

    def attach(self, offer: unfinished.UnfinishedJob, plan: Any) -> Job:
        """Take up a job of an earlier Blender again."""
        if self.busy:
            raise errors.VividKeysError(
                errors.ErrorKind.BUSY, "Another job is under way.", "Wait for it or cancel it."
            )
        self.session.attach(offer.job, files_to=folders.received_folder())
        self.job = Job(offer.job, offer.kind, offer.label, plan, sentence="Fetching ...")
        self.offers = tuple(other for other in self.offers if other.job != offer.job)
        self._begin_to_wait()
        return self.job

    def _begin_to_wait(self) -> None:
        self.notice = None
        first_picture.clear()
        self.keep_pumping()

    def cancel(self) -> None:
        """Stop the job under way; it ends as cancelled."""
        if self.busy and self.job is not None:
            self.job.sentence = "Cancelling ..."
            self.session.cancel(self.job.id)

    def settle(self, job: Job) -> None:
        """The job's result is safe, or it failed for good: forget it here and at the backend."""
        unfinished.drop_job(folders.unfinished_file(), job.id)
        if job.done is not None and self.connected:
            self.session.forget(job.id)
        if self.job is job:
            self.job = None

    def set_aside(self, job: Job) -> None:
        """The result cannot be used just now: leave it at the backend, and offer it again."""
        listed = unfinished.read_unfinished(folders.unfinished_file())
        others = tuple(offer for offer in self.offers if offer.job != job.id)
        self.offers = (*others, *(entry for entry in listed if entry.job == job.id))
        if self.job is job:
            self.job = None

    def forget_offer(self, job_id: str) -> None:
        """The user does not want this unfinished job any more."""
        unfinished.drop_job(folders.unfinished_file(), job_id)
        if self.connected:
            self.session.forget(job_id)
        self.offers = tuple(offer for offer in self.offers if offer.job != job_id)

    # --- the pump ---------------------------------------------------------------------------

    def pump(self) -> bool:
        """Take what the backend said since the last time; True when anything changed."""
        changed = self._watch_process() or self._heed_online_access()
        for event in self.session.pump(PUMP_SECONDS):
            changed = True
            self._hear(event)
        return changed

    def keep_pumping(self) -> None:
        """Let Blender's own timer pump, where it has one (not in `blender -b`)."""
        if not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=TICK_SECONDS, persistent=True)

    def wait(self, job: Job) -> None:
        """Block until the job has ended; Ctrl-C cancels it."""
        try:
            while not job.finished:
                self.pump()
                job.looked_at = time.monotonic()
                time.sleep(0.005)
        except KeyboardInterrupt:
            self.session.cancel(job.id)
            raise

    def wait_until_connected(self, timeout: float) -> None:
        """Block until the backend has said welcome. Raises VividKeysError(backend_lost)."""
        until = time.monotonic() + timeout
        while not self.connected:
            self.pump()
            failed = self.process is None and self.session.state in (
                SessionState.LOST,
                SessionState.DISCONNECTED,
            )
            if failed or time.monotonic() > until:
                notice = self.notice
                sentence = self.connection_sentence
                if notice is not None and notice.is_error:
                    sentence, step = notice.sentences[0], notice.next_step
                else:
                    step = self.session.next_step or "Check the connection."
                raise errors.VividKeysError(errors.ErrorKind.BACKEND_LOST, sentence, step)
            time.sleep(0.01)

    def tell(self, *sentences: str) -> None:
        self.notice = Notice(tuple(sentences))

    def tell_error(self, error: errors.VividKeysError) -> None:
        self.notice = Notice((error.sentence,), error.next_step, is_error=True)

    def _watch_process(self) -> bool:
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
                # Jobs end now instead of after a silence.
                self.session.give_up(error.sentence, error.next_step)
                self.session.disconnect(error.sentence)
                self.process = None
                self.tell_error(error)
                return True
        return False

    def _heed_online_access(self) -> bool:
        """A lost connection is not sought again once the user has taken Blender offline."""
        if not self._address or self.session.state is not SessionState.LOST:
            return False
        refused = online_access.refusal(self._address)
        if refused is None:
            return False
        self.session.give_up(refused.sentence, refused.next_step)
        self.session.disconnect(refused.sentence)
        self._address = ""
        self.tell_error(refused)
        return True

    def _hear(self, event: Any) -> None:
        match event:
            case StateChanged(state=SessionState.LOST):
                self.notice = Notice((event.sentence,), event.next_step, is_error=True)
            case StateChanged():
                if event.state is SessionState.CONNECTED and self.notice is not None:
                    # What was said about the connection is over.
                    self.notice = None if self.notice.is_error else self.notice
            case messages.Welcome():
                self._offer_unfinished(event)
            case messages.Accepted(position=position) if position > 0:
                self._of_job(event.job, sentence=f"Waiting for {position} other jobs ...")
            case messages.Progress():
                self._of_job(event.job, fraction=event.fraction, sentence=event.sentence)
            case messages.Chunk() if self.job is not None and self.job.id == event.job:
                if self.job.kind == "render":
                    first_picture.show(event.arrays)
            case ResultWaits():
                if self.job is not None and self.job.id == event.job:
                    self.job.result_waits = True
            case FileReceived():
                if self.job is not None and self.job.id == event.job:
                    self.job.file = event.path
            case messages.Done():
                if self.job is not None and self.job.id == event.job:
                    self.job.done, self.job.fraction = event, 1.0
            case messages.Failed(about="job"):
                if self.job is not None and self.job.id == event.job:
                    self.job.error = event.error

    def _of_job(self, job_id: str, *, sentence: str, fraction: float | None = None) -> None:
        # Late messages of other jobs are no news.
        if self.job is not None and self.job.id == job_id:
            self.job.sentence = sentence or self.job.sentence
            if fraction is not None:
                self.job.fraction = fraction

    def _offer_unfinished(self, welcome: messages.Welcome) -> None:
        """Jobs that this user sent, did not fetch, and that this backend still has."""
        states = {str(kept.get("job")): str(kept.get("state")) for kept in welcome.jobs}
        under_way = self.session.active_jobs
        self.offers = tuple(
            job
            for job in unfinished.read_unfinished(folders.unfinished_file())
            if states.get(job.job, "failed") != "failed" and job.job not in under_way
        )


_work: Work | None = None


def state() -> Work:
    """The one Work of this Blender; made on first use."""
    global _work
    if _work is None:
        _work = Work()
    return _work


def tick() -> float | None:
    """Blender's timer: pump, redraw what changed, rescue a result nobody waits for."""
    work = _work
    if work is None:
        return None
    if work.pump():
        redraw()
    job = work.job
    if job is not None and job.finished and work.on_abandoned is not None:
        if time.monotonic() - job.looked_at > ABANDONED_SECONDS:
            work.on_abandoned(job)
            redraw()
    idle = work.process is None and work.session.state is SessionState.DISCONNECTED
    return None if idle and not work.busy else TICK_SECONDS


def redraw() -> None:
    """Draw the sidebars of all 3D views again."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager is not None else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def close() -> None:
    """For unregister."""
    global _work
    if _work is not None:
        _work.close()
        _work = None
