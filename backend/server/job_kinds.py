# SPDX-License-Identifier: GPL-3.0-or-later
"""What defines a kind of job, and where the kinds come from.

A module of jobs has a tuple `JOB_KINDS`; those in the folder `jobs` are found automatically. The
server imports them to check requests, the worker to run them; so heavy libraries must be imported
in a module's functions, not in the module itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol, runtime_checkable

from backend.server import jobs
from backend.watch import Watch
from shared.arrays import Arrays

# Each kind has the name of its module.
STANDARD_KINDS: tuple[str, ...] = tuple(
    sorted(module.name for module in iter_modules(jobs.__path__))
)
STANDARD_MODULES: tuple[str, ...] = tuple(f"{jobs.__name__}.{name}" for name in STANDARD_KINDS)


@dataclass(frozen=True)
class Needs:
    """What a request refers to: uploads by SHA-256, and results of other jobs by job id."""

    uploads: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """The output of a job: JSON values, arrays, and optionally a file (`JobContext.new_file`)."""

    info: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True)
class MadeFile:
    """A file that a job has written, where the worker left it."""

    path: Path
    sha256: str
    size: int


@runtime_checkable
class JobContext(Protocol):
    """What a running job may use: its request, its files, progress and cancellation."""

    @property
    def params(self) -> Mapping[str, Any]: ...

    @property
    def arrays(self) -> Arrays:
        """The arrays that came with the request."""
        ...

    def upload(self, sha256: str) -> Path:
        """The uploaded file with that hash."""
        ...

    def result(self, job: str) -> Arrays:
        """The arrays of another job's result that the request needs."""
        ...

    def new_file(self, name: str) -> Path:
        """A path for a file that becomes part of the result, for what is too large for arrays.

        It is in a folder of the job's own, which is deleted with the job.
        """
        ...

    def cancelled(self) -> bool:
        """True once the job has to stop; to be called at least ten times a second."""
        ...

    def progress(self, stage: str, fraction: float, sentence: str) -> None: ...

    def chunk(self, info: dict[str, Any], arrays: Arrays) -> None:
        """Send a piece of the result while the job goes on."""
        ...


def watch_of(context: JobContext, stage: str) -> Watch:
    """A Watch that reports a stage's progress to a job's context and asks it whether to stop."""
    return Watch(partial(context.progress, stage), context.cancelled)


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    `check` runs in the server before the job is accepted; it returns what the request needs or
    raises VividKeysError. `run` runs in the worker and may raise VividKeysError too. `load` runs in
    the worker before it reports that it is ready, and describes the models: name, version, task.
    `describe` runs in the server on every `hello` and describes, in the same form, what may have
    changed since; it has to be quick.
    `warm` runs on a thread while the worker is idle, for work that would make only the first job
    slow; its errors are ignored, because that job will report them.
    """

    name: str
    check: Callable[[Mapping[str, Any], Arrays], Needs]
    run: Callable[[JobContext], Result]
    load: Callable[[], list[dict[str, Any]]] | None = None
    warm: Callable[[], object] | None = None
    describe: Callable[[], list[dict[str, Any]]] | None = None


def job_kinds(modules: tuple[str, ...]) -> dict[str, JobKind]:
    """The kinds in these modules by name; a later module replaces kinds of an earlier one."""
    return {kind.name: kind for module in modules for kind in import_module(module).JOB_KINDS}
