# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's state while Blender runs: the connection, the job under way, the last notice.

Everything here happens on Blender's main thread. A timer calls `pump` in a window; operators that
block call it in a loop. Panels read `state()` and change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import folders
from ..connection import backend
from ..connection.connection_check import CheckStep
from ..connection.events import Event
from ..connection.session import SessionState, StateChanged, UploadSource
from ..connection.unfinished import UnfinishedJob
from ..contracts import connection, errors, messages
from ..settings import online_access
from . import first_picture, notice, offers, timer
from .job import Job, JobKind, Plan
from .notice import Notice
from .pending_take import PendingTake
from .sidebar import redraw

if TYPE_CHECKING:
    from ..contracts import arrays as array_contract

PUMP_SECONDS = 0.02
# An operator looks at its job ten times a second; one that has not for this long is gone.
ABANDONED_SECONDS = 3.0


class Work:
    """One for the add-on; `state()` returns it."""

    def __init__(self) -> None:
        self.backend = backend.in_use()
        self.session = self.backend.session
        self.job: Job[Any] | None = None
        self.notice: Notice | None = None
        self.pending: PendingTake | None = None
        self.offers: offers.Offers = ()
        self.checks: tuple[CheckStep, ...] = ()
        # The backend has said that a character's mouth cannot open: 'Surface Only' is offered.
        self.offers_surface_only = False

    @property
    def busy(self) -> bool:
        return self.job is not None and not self.job.finished

    # --- the connection ---------------------------------------------------------------------

    def start_local(self, python: Path, folder: Path, timeout: float) -> None:
        """Start a backend on this computer; `pump` connects to it once it is ready."""
        self.disconnect()
        self.backend.start_local(python, folder, folders.log_folder() / "backend.log", timeout)
        self.keep_pumping()

    def connect(self, address: str, key_file: Path, patience: float) -> None:
        """Connect to a backend that is already running somewhere. Raises VividKeysError."""
        keys = connection.load_client_keys(key_file)
        refused = online_access.refusal(address)
        if refused is not None:
            raise refused
        self.disconnect()
        self.backend.connect(address, keys, patience)
        self.keep_pumping()

    def disconnect(self) -> None:
        """Leave the backend; a local one is stopped."""
        self.backend.disconnect(self.pump)
        self.offers = ()

    def wait_until_connected(self, timeout: float) -> None:
        """Block until the backend has said welcome. Raises VividKeysError(backend_lost)."""
        until = time.monotonic() + timeout
        while not self.backend.connected:
            self.pump()
            if self.backend.unreachable or time.monotonic() > until:
                told = self.notice
                sentence = self.backend.sentence
                if told is not None and told.is_error:
                    sentence, step = told.sentences[0], told.next_step
                else:
                    step = self.session.next_step or "Check the connection."
                raise errors.VividKeysError(errors.ErrorKind.BACKEND_LOST, sentence, step)
            time.sleep(0.01)

    # --- jobs -------------------------------------------------------------------------------

    def submit(
        self,
        kind: JobKind[Plan],
        params: Mapping[str, Any],
        uploads: Mapping[str, UploadSource],
        label: str,
        plan: Plan,
        arrays: array_contract.Arrays | None = None,
    ) -> Job[Plan]:
        """Send a job; there is one at a time. Raises VividKeysError(busy or bad_request)."""
        self._check_free()
        job_id = self.session.submit(
            kind.name,
            params,
            dict(arrays or {}),
            uploads,
            label=label,
            files_to=folders.received_folder(),
        )
        job = Job(job_id, kind, label, plan)
        offers.note(job)
        return self._await(job)

    def attach(self, offer: UnfinishedJob, kind: JobKind[Plan]) -> Job[Plan]:
        """Resume a job of an earlier session. Raises VividKeysError(busy or bad_file)."""
        plan = kind.plan_from_json(offer.plan)
        self._check_free()
        self.session.attach(offer.job, files_to=folders.received_folder())
        self.offers = offers.without_job(self.offers, offer.job)
        return self._await(Job(offer.job, kind, offer.label, plan, sentence="Fetching ..."))

    def cancel(self) -> None:
        """Stop the job under way; it ends as cancelled."""
        if self.busy and self.job is not None:
            self.job.sentence = "Cancelling ..."
            self.session.cancel(self.job.id)

    def settle(self, job: Job[Any]) -> None:
        """The job's result is safe, or it failed for good: forget it here and at the backend."""
        offers.strike(job.id)
        if job.done is not None and self.backend.connected:
            self.session.forget(job.id)
        self.drop(job)

    def set_aside(self, job: Job[Any]) -> None:
        """The result cannot be used just now: leave it at the backend, and offer it again."""
        self.offers = offers.with_job(self.offers, job.id)
        self.drop(job)

    def drop(self, job: Job[Any]) -> None:
        """Stop following the job; it stays on the list of unfinished ones."""
        if self.job is job:
            self.job = None

    def forget_offer(self, job_id: str) -> None:
        """Delete an unfinished job that the user does not want."""
        offers.strike(job_id)
        if self.backend.connected:
            self.session.forget(job_id)
        self.offers = offers.without_job(self.offers, job_id)

    def wait(self, job: Job[Any]) -> None:
        """Block until the job has ended; Ctrl-C cancels it."""
        try:
            while not job.finished:
                self.pump()
                job.looked_at = time.monotonic()
                time.sleep(0.005)
        except KeyboardInterrupt:
            self.session.cancel(job.id)
            raise

    def _check_free(self) -> None:
        if self.busy:
            raise errors.VividKeysError(
                errors.ErrorKind.BUSY, "Another job is under way.", "Wait for it or cancel it."
            )

    def _await(self, job: Job[Plan]) -> Job[Plan]:
        self.job = job
        self.notice = None
        first_picture.clear()
        self.keep_pumping()
        return job

    # --- events and notices -----------------------------------------------------------------

    def pump(self) -> bool:
        """Handle what the backend said since the last call; True when anything changed."""
        changed = self.backend.watch(self.tell_error) or self._heed_online_access()
        for event in self.session.pump(PUMP_SECONDS):
            changed = True
            self._hear(event)
        return changed

    def keep_pumping(self) -> None:
        """Have Blender's own timer pump, where it has one."""
        timer.start(self.tick)

    def tick(self) -> bool:
        """Pump, redraw, rescue an abandoned result; False when nothing is left to wait for."""
        if self.pump():
            redraw()
        job = self.job
        abandoned_since = time.monotonic() - ABANDONED_SECONDS
        if job is not None and job.finished and job.looked_at < abandoned_since:
            self._rescue(job)
            redraw()
        return self.busy or not self.backend.idle

    def tell(self, *sentences: str) -> None:
        self.notice = Notice(tuple(sentences))

    def tell_error(self, error: errors.VividKeysError) -> None:
        self.notice = notice.of_error(error)

    def _rescue(self, job: Job[Any]) -> None:
        try:
            self.tell(*job.kind.rescue(job))
        except errors.VividKeysError as error:
            self.tell_error(error)

    def _heed_online_access(self) -> bool:
        """Give up reconnecting once the user has taken Blender offline; True when that was so."""
        address = self.backend.sought
        refused = online_access.refusal(address) if address else None
        if refused is None:
            return False
        self.backend.give_up(refused)
        self.tell_error(refused)
        return True

    def _hear(self, event: Event) -> None:
        match event:
            case StateChanged(state=SessionState.LOST):
                self.notice = Notice((event.sentence,), event.next_step, is_error=True)
            case StateChanged():
                if event.state is SessionState.CONNECTED and self.notice is not None:
                    # An error about the connection is over; a report stays.
                    self.notice = None if self.notice.is_error else self.notice
            case messages.Welcome():
                self.offers = offers.of_backend(event, self.session.active_jobs)
            case _ if self.job is not None and self.job.id == event.job:
                self.job.hear(event)  # late messages of other jobs do not matter


_work: Work | None = None


def state() -> Work:
    """The one Work of this Blender; made on first use."""
    global _work
    if _work is None:
        _work = Work()
    return _work


def close() -> None:
    """For unregister: end the timer and the connection, and forget everything."""
    global _work
    timer.stop()
    first_picture.clear()
    backend.close()
    _work = None
