# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of this version: `animate` (voice → Take) and `reconstruct` (photo → FaceMesh).

The server imports this module to check requests, so networks and image libraries are imported
inside the functions that run in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.server.job_kinds import JobContext, JobKind, Needs, Result, watch_of
from shared.arrays import Arrays
from shared.checks import printable
from shared.errors import ErrorKind, VividKeysError
from shared.face import face_from_arrays, face_to_arrays
from shared.requests import (
    AnimateRequest,
    MotionSlice,
    ReconstructRequest,
    face_of,
    from_params,
)
from shared.take import take_to_arrays

if TYPE_CHECKING:
    from backend.audio_to_mesh.animate import MotionChunk
    from backend.audio_to_mesh.motion_model import MotionModel

MOST_HEADS_LISTED = 40

# --- animate ---------------------------------------------------------------------------------


def _check_animate(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(AnimateRequest, params)
    face = face_of(arrays)
    if face is not None and request.face_job:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "A request names a face and brings another one.",
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


def _load_animate() -> list[dict[str, Any]]:
    """Load the network and let it run once: the first run of a network is slow."""
    import torch

    # One core does about a hundred seconds of speech per second; Blender needs the others.
    torch.set_num_threads(1)
    from backend.audio.load import Audio
    from backend.audio_to_mesh.animate import AnimateSettings, animate_chunks

    model = _motion_model()
    noise = np.random.default_rng(0).normal(0.0, 0.05, 16_000).astype(np.float32)
    for _chunk in animate_chunks(Audio(noise), model, AnimateSettings()):
        pass
    return [{"name": model.name, "version": model.version, "task": "animate"}]


# --- reconstruct -----------------------------------------------------------------------------


def _check_reconstruct(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(ReconstructRequest, params)
    if arrays:
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, "The job 'reconstruct' takes no arrays.", "Upload the photo."
        )
    from backend.heads import check_head

    check_head(request.head)
    return Needs((request.image,))


def _reconstruct(context: JobContext) -> Result:
    from backend.heads import head_from_photo

    request = from_params(ReconstructRequest, context.params)
    watch = watch_of(context, "reconstructing")
    watch.progress(0.0, "Reading the photo")
    face = head_from_photo(request.head, context.upload(request.image), watch)
    info = {"vertices": len(face.vertices), "warnings": face.meta.get("warnings", [])}
    return Result(info, face_to_arrays(face))


def _describe_heads() -> list[dict[str, Any]]:
    from backend.heads import installed_heads

    return [
        {
            "name": head.name,
            "version": "1",
            "task": "reconstruct",
            "title": printable(head.title, 80),
            "licence": printable(head.licence, 80),
            "vertices": head.vertices,
        }
        for head in installed_heads()[:MOST_HEADS_LISTED]
    ]


def _warm_reconstruct() -> None:
    from backend.face.build_head import template_layout
    from backend.face.landmarks import warm_up

    warm_up()
    template_layout()


JOB_KINDS = (
    JobKind("animate", _check_animate, _animate, _load_animate),
    JobKind(
        "reconstruct",
        _check_reconstruct,
        _reconstruct,
        warm=_warm_reconstruct,
        describe=_describe_heads,
    ),
)
