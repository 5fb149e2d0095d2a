# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that were sent and not fetched, as they are noted for later and offered again."""

from __future__ import annotations

import time
from typing import Any

from .. import folders
from ..connection import unfinished
from ..connection.unfinished import UnfinishedJob
from ..contracts import messages
from .job import Job

Offers = tuple[UnfinishedJob, ...]


def note(job: Job[Any]) -> None:
    """List a job that was just sent: Blender may quit before it ends."""
    plan = job.kind.plan_to_json(job.plan)
    unfinished.remember_job(
        folders.unfinished_file(),
        UnfinishedJob(job.id, job.kind.name, job.label, time.time(), plan),
    )


def strike(job_id: str) -> None:
    """Take a job off the list."""
    unfinished.drop_job(folders.unfinished_file(), job_id)


def with_job(offers: Offers, job_id: str) -> Offers:
    """The offers and this job as the last one, if it is on the list."""
    listed = unfinished.read_unfinished(folders.unfinished_file())
    return (*without_job(offers, job_id), *(entry for entry in listed if entry.job == job_id))


def without_job(offers: Offers, job_id: str) -> Offers:
    """The offers but for this job."""
    return tuple(offer for offer in offers if offer.job != job_id)


def of_backend(welcome: messages.Welcome, under_way: frozenset[str]) -> Offers:
    """Jobs that this user sent and did not fetch, and whose results this backend still has."""
    states = {str(kept.get("job")): str(kept.get("state")) for kept in welcome.jobs}
    return tuple(
        job
        for job in unfinished.read_unfinished(folders.unfinished_file())
        if states.get(job.job, "failed") != "failed" and job.job not in under_way
    )
