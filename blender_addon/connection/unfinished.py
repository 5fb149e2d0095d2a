# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs sent and not yet fetched, in a small file, in case Blender quits meanwhile. No bpy."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..contracts import whole_files

# Backends keep results until they are fetched; older jobs than this are no longer offered.
KEPT_SECONDS = 30 * 24 * 3600.0
_MOST_ENTRIES = 100


@dataclass(frozen=True)
class UnfinishedJob:
    """One job: its id, its kind, a label for the user, when it was sent (UNIX time), its plan."""

    job: str
    kind: str
    label: str
    sent_at: float
    plan: dict[str, Any] = field(default_factory=dict)


def read_unfinished(path: Path) -> list[UnfinishedJob]:
    """The jobs in the file, the oldest first; what cannot be read is left out."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    found = []
    for entry in entries if isinstance(entries, list) else []:
        try:
            job = UnfinishedJob(**entry)
        except TypeError:
            continue
        is_whole = (
            all(isinstance(value, str) for value in (job.job, job.kind, job.label))
            and isinstance(job.sent_at, (int, float))
            and isinstance(job.plan, dict)
        )
        if is_whole and time.time() - job.sent_at < KEPT_SECONDS:
            found.append(job)
    return found


def remember_job(path: Path, job: UnfinishedJob) -> None:
    """Add a job to the file."""
    _write(path, [*(kept for kept in read_unfinished(path) if kept.job != job.job), job])


def drop_job(path: Path, job_id: str) -> None:
    """Remove a job from the file."""
    jobs = read_unfinished(path)
    kept = [job for job in jobs if job.job != job_id]
    if len(kept) != len(jobs):
        _write(path, kept)


def _write(path: Path, jobs: list[UnfinishedJob]) -> None:
    text = json.dumps([asdict(job) for job in jobs[-_MOST_ENTRIES:]], indent=1)
    # If two Blenders write at the same time, the last one wins. The list is a convenience; a full
    # disk must not stop the job itself.
    with suppress(OSError):
        whole_files.write_whole(path, text)
