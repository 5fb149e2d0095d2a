# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard jobs, with pictures that are quickly made instead of those of the pipeline.

Everything around the pictures is real: the job, the file, its sound and what the file says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.mesh_to_video import video
from backend.mesh_to_video.settings import RenderSettings
from backend.mesh_to_video.video import FrameSource
from backend.server.job_kinds import JobContext, Result
from backend.server.jobs import animate, reconstruct, render
from backend.watch import Watch
from shared.take import Take, resample_take
from tests.backend.server.stand_in_photos import ENDLESS, PAUSING, REAL

_PIPELINE = video.frames_of_photo


def frames_of_photo(
    image: Path | bytes, take: Take, settings: RenderSettings, watch: Watch
) -> FrameSource:
    """A grey picture for each frame, the lighter the further the jaw is open."""
    assert isinstance(image, Path)
    photo = image.read_bytes()
    if photo.endswith(REAL):
        return _PIPELINE(image, take, settings, watch)
    side = settings.size or 640
    opened = resample_take(take, settings.fps).weights[:, 17]
    channels = 4 if settings.background == "alpha" else 3

    def frames() -> Iterator[NDArray[np.uint8]]:
        for frame, value in enumerate(opened):
            if photo == PAUSING and frame == 11:
                time.sleep(0.2)
            while photo == ENDLESS and frame == 1 and not watch.cancelled():
                time.sleep(0.01)
            yield np.full((side // 2, side, channels), round(255 * float(value)), np.uint8)

    return FrameSource(len(opened), frames(), ("It is only a stand-in.",))


def _run(context: JobContext) -> Result:
    """The real job with those pictures; a process that only knows of this job stays as it is."""
    kept = video.frames_of_photo
    video.frames_of_photo = frames_of_photo
    try:
        return render.JOB_KINDS[0].run(context)
    finally:
        video.frames_of_photo = kept


# Nothing is warmed up: whether a worker rests for long enough is a matter of the machine's speed.
JOB_KINDS = (
    *(replace(kind, warm=None) for kind in (*animate.JOB_KINDS, *reconstruct.JOB_KINDS)),
    replace(render.JOB_KINDS[0], run=_run, warm=None),
)
