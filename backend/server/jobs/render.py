# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `render`: photo and Take → a film of the talking face, as the file of its result.

The server imports this module to check requests, so the renderer is imported inside the functions
that run in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from backend.server.job_kinds import JobContext, JobKind, Needs, Result, watch_of
from shared.arrays import Arrays
from shared.errors import ErrorKind, VividKeysError
from shared.requests import FirstPicture, RenderRequest, from_params, take_of
from shared.take import Take, take_from_arrays

# Long enough to judge the result, short enough to be finished soon.
PREVIEW_SECONDS = 10.0


def _check(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(RenderRequest, params)
    take = take_of(arrays)
    if (take is None) == (not request.take_job):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "A film needs exactly one Take: as arrays, or as the id of the job that made it.",
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
    from backend.mesh_to_video.settings import RenderSettings
    from backend.mesh_to_video.video import preview_settings, render_video

    request = from_params(RenderRequest, context.params)
    take = _take(request, context)
    settings = RenderSettings(
        size=request.size, fps=request.fps, background=request.background, mark=request.mark
    )

    def show(pixels: UInt8[np.ndarray, "H W channels"]) -> None:
        picture = FirstPicture(small_picture(pixels))
        context.chunk(picture.info(), picture.arrays())

    report = render_video(
        context.upload(request.image),
        take,
        context.new_file(f"film.{request.container}"),
        audio=context.upload(request.audio) if request.audio else None,
        settings=preview_settings(settings) if request.preview else settings,
        watch=watch_of(context, "rendering"),
        first_picture=show,
        duration=PREVIEW_SECONDS if request.preview else None,
    )
    warnings = list(report.warnings)
    if request.preview and take.duration > PREVIEW_SECONDS:
        warnings.append(f"The preview shows the first {PREVIEW_SECONDS:g} seconds.")
    info = {
        "width": report.width,
        "height": report.height,
        "fps": report.fps,
        "frames": report.frames,
        "seconds": report.seconds,
        "container": request.container,
        "warnings": warnings,
    }
    return Result(info, file=report.path)


def _take(request: RenderRequest, context: JobContext) -> Take:
    if request.take_job:
        return take_from_arrays(context.result(request.take_job))
    take = take_of(context.arrays)
    assert take is not None, "checked before the job was accepted"
    return take


def small_picture(pixels: UInt8[np.ndarray, "H W channels"]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture (RGB or RGBA) no larger than `FirstPicture.SIDE`, by averaging square blocks."""
    step = -(-max(pixels.shape[:2]) // FirstPicture.SIDE)
    height, width = max(pixels.shape[0] // step, 1), max(pixels.shape[1] // step, 1)
    colours = pixels[: height * step, : width * step, :3].astype(np.float32)
    if pixels.shape[2] == 4:
        colours *= pixels[: height * step, : width * step, 3:].astype(np.float32) / 255.0
    down, across = colours.shape[0] // height, colours.shape[1] // width
    squares = colours.reshape(height, down, width, across, 3).mean(axis=(1, 3))
    small: UInt8[np.ndarray, "h w 3"] = squares.round().astype(np.uint8)
    return small


def _warm() -> None:
    from backend.face.landmarks import warm_up as load_tracker
    from backend.mesh_to_video.video import warm_up

    load_tracker()
    warm_up()


JOB_KINDS = (JobKind("render", _check, _render, warm=_warm),)
