# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `animate`: voice → Take.

The server imports this module to check requests, so networks are imported inside the functions
that run in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.server.job_kinds import JobContext, JobKind, Needs, Result, watch_of
from shared.arrays import Arrays
from shared.errors import ErrorKind, VividKeysError
from shared.face import face_from_arrays
from shared.requests import AnimateRequest, MotionSlice, face_of, from_params
from shared.take import take_to_arrays

if TYPE_CHECKING:
    from backend.audio_to_mesh.animate import MotionChunk
    from backend.audio_to_mesh.motion_model import MotionModel


def _check(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(AnimateRequest, params)
    face = face_of(arrays)
    if face is not None and request.face_job:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "A request names a face and also contains one.",
            "Leave out one of the two.",
        )
    return Needs((request.audio,), (request.face_job,) if request.face_job else ())


def _animate(context: JobContext) -> Result:
    from backend.audio.load import load_audio
    from backend.audio_to_mesh.animate import AnimateSettings, animate_chunks, take_of_chunks

    request = from_params(AnimateRequest, context.params)
    settings = AnimateSettings(
        seed=request.seed,
        fps=request.fps,
        style=request.style,
        **request.dial_values(AnimateSettings.DIALS),
    )
    context.progress("reading", 0.0, "Reading the voice")
    audio = load_audio(context.upload(request.audio), name=request.audio_name or "the voice")
    model = _motion_model()
    face = face_of(context.arrays)
    if request.face_job:
        face = face_from_arrays(context.result(request.face_job))
    chunks: list[MotionChunk] = []
    watch = watch_of(context, "animating")
    for chunk in animate_chunks(audio, model, settings, face, watch):
        chunks.append(chunk)
        if request.stream:
            piece = MotionSlice(
                chunk.start_frame,
                settings.fps,
                chunk.weights,
                chunk.head_rotation,
                chunk.head_translation,
                chunk.offset_weights,
            )
            context.chunk(piece.info(), piece.arrays())
        watch.progress(chunk.fraction, "Animating the voice")
    take = take_of_chunks(chunks, audio, model, settings, face)
    info = {"frames": take.frame_count, "fps": take.fps, "warnings": take.meta["warnings"]}
    return Result(info, take_to_arrays(take))


@cache
def _motion_model() -> MotionModel:
    from backend.audio_to_mesh.motion_model import MotionModel

    return MotionModel.load()


def _load() -> list[dict[str, Any]]:
    """Load the network and run it once, because the first run of a network is slow."""
    import torch

    # One core processes about 100 s of speech per second; Blender needs the others.
    torch.set_num_threads(1)
    from backend.audio.load import Audio
    from backend.audio_to_mesh.animate import AnimateSettings, animate_chunks

    model = _motion_model()
    noise = np.random.default_rng(0).normal(0.0, 0.05, 16_000).astype(np.float32)
    for _chunk in animate_chunks(Audio(noise), model, AnimateSettings()):
        pass
    return [{"name": model.name, "version": model.version, "task": "animate"}]


JOB_KINDS = (JobKind("animate", _check, _animate, _load),)
