# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `render`: photo and Take → a film of the talking face, as the file of its result.

The server imports this module to check requests, so what makes the pictures is imported in the
worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.server.job_kinds import JobContext, JobKind, Needs, Result
from shared.arrays import Arrays
from shared.errors import ErrorKind, VividKeysError
from shared.requests import FirstPicture, RenderRequest, from_params, take_of
from shared.take import Take, take_from_arrays

if TYPE_CHECKING:
    from backend.mesh_to_video.settings import RenderSettings

PREVIEW_SIZE = 256
# The first sentences would guess wildly: opening the photo takes as long as many pictures.
_SECONDS_BEFORE_GUESS = 1.0
_SHARE_BEFORE_GUESS = 0.02


def _check(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(RenderRequest, params)
    take = take_of(arrays)
    if (take is None) == (not request.take_job):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "A film needs one Take: as arrays, or as the id of the job that made it.",
            "Send one of the two.",
        )
    if request.background == "alpha" and request.container != "mov":
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "An mp4 cannot hold a transparent background.",
            "Choose mov, or another background.",
        )
    uploads = (request.image, request.audio) if request.audio else (request.image,)
    return Needs(uploads, (request.take_job,) if request.take_job else ())


def _render(context: JobContext) -> Result:
    from backend.mesh_to_video.video import render_video

    request = from_params(RenderRequest, context.params)
    take = _take(request, context)
    context.progress("reading", 0.0, "Looking at the photo")
    report = render_video(
        context.upload(request.image),
        take,
        context.new_file(f"film.{request.container}"),
        audio=context.upload(request.audio) if request.audio else None,
        settings=_settings(request),
        progress=_progress(context),
        cancelled=context.cancelled,
        first_picture=lambda pixels: _show(context, pixels),
    )
    info = {
        "width": report.width,
        "height": report.height,
        "fps": report.fps,
        "frames": report.frames,
        "seconds": report.seconds,
        "container": request.container,
        "warnings": list(report.warnings),
    }
    return Result(info, file=report.path)


def _take(request: RenderRequest, context: JobContext) -> Take:
    if request.take_job:
        return take_from_arrays(context.result(request.take_job))
    take = take_of(context.arrays)
    assert take is not None, "checked before the job was taken"
    return take


def _settings(request: RenderRequest) -> RenderSettings:
    from backend.mesh_to_video.settings import RenderSettings

    size = request.size
    if request.preview:
        size = min(size or PREVIEW_SIZE, PREVIEW_SIZE)
    return RenderSettings(
        size=size, fps=request.fps, background=request.background, mark=request.mark
    )


def _progress(context: JobContext) -> Callable[[float, str], None]:
    """Passes on what is said of the work, with the time that is left where that can be told."""
    started = time.monotonic()

    def progress(fraction: float, sentence: str) -> None:
        passed = time.monotonic() - started
        if passed > _SECONDS_BEFORE_GUESS and _SHARE_BEFORE_GUESS < fraction < 1.0:
            left = passed / fraction * (1.0 - fraction)
            sentence = f"{sentence.rstrip('.')}, {time_left(left)} left"
        context.progress("rendering", fraction, sentence)

    return progress


def time_left(seconds: float) -> str:
    """Seconds in words: '8 s', '3 min', '1 h 20 min'."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _show(context: JobContext, pixels: np.ndarray) -> None:
    picture = FirstPicture(small_picture(pixels))
    context.chunk(picture.info(), picture.arrays())


def small_picture(pixels: np.ndarray) -> np.ndarray:
    """A picture [H,W,3 or 4] uint8 as [h,w,3] within `FirstPicture.SIDE`, by means of squares."""
    step = -(-max(pixels.shape[:2]) // FirstPicture.SIDE)
    height, width = max(pixels.shape[0] // step, 1), max(pixels.shape[1] // step, 1)
    colours = pixels[: height * step, : width * step, :3].astype(np.float32)
    if pixels.shape[2] == 4:
        colours *= pixels[: height * step, : width * step, 3:].astype(np.float32) / 255.0
    down, across = colours.shape[0] // height, colours.shape[1] // width
    squares = colours.reshape(height, down, width, across, 3).mean(axis=(1, 3))
    return squares.round().astype(np.uint8)


def _warm() -> None:
    from backend.face.landmarks import warm_up
    from backend.mesh_to_video import video

    warm_up()
    prepare = getattr(video, "warm_up", None)
    if prepare is not None:
        prepare()


JOB_KINDS = (JobKind("render", _check, _render, warm=_warm),)
