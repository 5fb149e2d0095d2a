# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job ends, whatever its kind: settled, set aside, or kept on the list.

Settled, it is forgotten here and at the backend. Set aside, its result stays at the backend and is
offered again. Kept, it stays listed as unfinished: it may still be fetched once a backend answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..contracts import errors, messages
from .job import Job
from .work import state


@contextmanager
def result_of(job: Job[Any]) -> Iterator[messages.Done]:
    """Use the result of a finished job; once that went well it is safe, and the job is settled.

    Raises the job's own error, once the job has been dropped, set aside or settled accordingly, and
    whatever is raised while the result is used. In the latter case the job is set aside if only the
    place for the result was missing and may be there later, else it is settled: the same result
    would fail again.
    """
    work = state()
    if job.error is not None:
        if job.error.kind is errors.ErrorKind.BACKEND_LOST:
            work.drop(job)
        elif job.result_waits and job.error.kind is not errors.ErrorKind.CANCELLED:
            work.set_aside(job)
        else:
            work.settle(job)
        raise job.error
    assert job.done is not None
    try:
        yield job.done
    except BaseException as error:
        if job.file is not None or _lacks_target(error):
            work.set_aside(job)
        else:
            work.settle(job)
        raise
    work.settle(job)


def warnings_of(done: messages.Done) -> tuple[str, ...]:
    """What the backend remarks about a result."""
    warnings = done.info.get("warnings", [])
    return tuple(map(str, warnings)) if isinstance(warnings, list) else ()


def _lacks_target(error: BaseException) -> bool:
    return isinstance(error, errors.VividKeysError) and error.kind is errors.ErrorKind.BAD_TARGET
