# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard jobs; but the performance of a long recording is held after its first piece.

So that a test can do something meanwhile, however quick the machine is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from backend.server.job_kinds import JobContext, Result
from backend.server.jobs import animate, reconstruct
from shared.arrays import Arrays

# A recording that is longer is held.
HELD_SECONDS = 60


class _Held:
    """What the job sees, with a `progress` that returns only once the job is cancelled."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    @property
    def params(self) -> Mapping[str, Any]:
        return self._context.params

    @property
    def arrays(self) -> Arrays:
        return self._context.arrays

    def upload(self, sha256: str) -> Path:
        return self._context.upload(sha256)

    def result(self, job: str) -> Arrays:
        return self._context.result(job)

    def new_file(self, name: str) -> Path:
        return self._context.new_file(name)

    def cancelled(self) -> bool:
        return self._context.cancelled()

    def progress(self, stage: str, fraction: float, sentence: str) -> None:
        # Said after each piece, also to clients that want no pieces.
        is_piece = stage == "animating"
        self._context.progress(stage, fraction, "Held" if is_piece else sentence)
        while is_piece and not self.cancelled():
            time.sleep(0.01)

    def chunk(self, info: dict[str, Any], arrays: Arrays) -> None:
        self._context.chunk(info, arrays)


def _animate(context: JobContext) -> Result:
    (kind,) = animate.JOB_KINDS
    try:
        is_long = soundfile.info(context.upload(context.params["audio"])).duration > HELD_SECONDS
    except soundfile.LibsndfileError:
        is_long = False  # the job itself says what is wrong with it
    return kind.run(_Held(context) if is_long else context)


# Nothing is warmed up: whether a worker rests for long enough is a matter of the machine's speed.
JOB_KINDS = (
    *(replace(kind, warm=None, run=_animate) for kind in animate.JOB_KINDS),
    *(replace(kind, warm=None) for kind in reconstruct.JOB_KINDS),
)
