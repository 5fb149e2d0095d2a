# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as the panel and its operator see it, and what depends on its kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..connection.events import Event, FileReceived, ResultWaits
from ..contracts import errors, messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    import bpy

    from ..contracts import arrays

Plan = TypeVar("Plan")


@dataclass(frozen=True)
class JobKind(Generic[Plan]):
    """One kind of job: how its plan is noted, and what becomes of its result.

    `name` is the protocol's; `deed` completes "This backend cannot ...". `operators` are those that
    send such jobs, by their `bl_idname` without "vividkeys.".
    `plan_from_json` raises VividKeysError(bad_file) for what `plan_to_json` has not written.
    `deliver` puts the result of a finished job into the file; `rescue` keeps it when the operator
    that waited is gone and another file may be open. Both return sentences about it, or raise
    VividKeysError: the job's own error, or why the result fits nowhere. Both leave the job
    settled, set aside or listed as unfinished (see `settling`).
    `show` takes the arrays of a chunk, for kinds that can show something before they end.
    """

    name: str
    deed: str
    operators: tuple[str, ...]
    plan_to_json: Callable[[Plan], dict[str, Any]]
    plan_from_json: Callable[[Mapping[str, Any]], Plan]
    deliver: Callable[[bpy.types.Context, Job[Plan]], tuple[str, ...]]
    rescue: Callable[[Job[Plan]], tuple[str, ...]]
    show: Callable[[arrays.Arrays], None] | None = None


@dataclass
class Job(Generic[Plan]):
    """A job as the panel and its operator see it."""

    id: str
    kind: JobKind[Plan]
    label: str
    plan: Plan
    fraction: float = 0.0
    sentence: str = "Sending ..."
    done: messages.Done | None = None
    error: errors.VividKeysError | None = None
    # The backend has done it; its file is on the way or here.
    result_waits: bool = False
    file: Path | None = None
    looked_at: float = field(default_factory=time.monotonic)

    @property
    def finished(self) -> bool:
        return self.done is not None or self.error is not None

    def hear(self, event: Event) -> None:
        """Update the job with what the backend said about it."""
        match event:
            case messages.Accepted(position=position) if position > 0:
                self.sentence = f"Waiting for {position} other jobs ..."
            case messages.Progress():
                self.fraction = event.fraction
                self.sentence = event.sentence or self.sentence
            case messages.Chunk():
                if self.kind.show is not None:
                    self.kind.show(event.arrays)
            case ResultWaits():
                self.result_waits = True
            case FileReceived():
                self.file = event.path
            case messages.Done():
                self.done, self.fraction = event, 1.0
            case messages.Failed(about="job"):
                self.error = event.error
