# SPDX-License-Identifier: GPL-3.0-or-later
"""From a recording to motion: chunk by chunk as it is computed, or as a finished Take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
from jaxtyping import Float32, Int32

from backend.audio.load import SAMPLE_RATE, Audio
from backend.audio_to_mesh.blinks import eyes_note, phrase_ends
from backend.audio_to_mesh.lip_offsets import offset_basis
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import AnimateSettings
from backend.audio_to_mesh.speaking_face import speaking_landmarks
from backend.audio_to_mesh.streaming import MotionChunk, StreamingAnimator, take_length
from backend.face.template import load_template
from backend.watch import UNWATCHED, Watch
from shared.face import FaceMesh
from shared.performance.style import restyle_take
from shared.take import Take

__all__ = [
    "AnimateSettings",
    "MotionChunk",
    "StreamingAnimator",
    "animate",
    "animate_chunks",
    "take_of_chunks",
]

# Sound is processed in pieces of these lengths, in seconds: a short one first, so that the first
# result comes quickly, then longer ones, which cost less.
_FIRST_PIECE, _PIECE = 4.0, 20.0


def _pieces(samples: Float32[np.ndarray, " S"]) -> Iterator[Float32[np.ndarray, " P"]]:
    start, stop = 0, round(_FIRST_PIECE * SAMPLE_RATE)
    while start < len(samples):
        yield samples[start:stop]
        start, stop = stop, stop + round(_PIECE * SAMPLE_RATE)


def animate_chunks(
    audio: Audio,
    model: MotionModel,
    settings: AnimateSettings,
    face: FaceMesh | None = None,
    watch: Watch = UNWATCHED,
) -> Iterator[MotionChunk]:
    """Yield the animation piece by piece, in order, the first after about 4 s of audio.

    Where the sound is cut does not affect the motion (see `StreamingAnimator`). `settings.style`
    is not applied, because it needs the whole performance.
    Raises VividKeysError(cancelled) soon after `watch` is cancelled.
    """
    watch.check()
    neutral = None if face is None else speaking_landmarks(face)
    stream = StreamingAnimator(model, settings, neutral)
    total = take_length(len(audio.samples), settings.fps)
    for piece in _pieces(audio.samples):
        watch.check()
        if chunk := stream.push(piece):
            yield replace(chunk, fraction=(chunk.start_frame + len(chunk)) / total)
    watch.check()
    if chunk := stream.finish():
        yield chunk


def _carrier(
    face: FaceMesh | None,
) -> tuple[Float32[np.ndarray, "468 3"], Int32[np.ndarray, "F 3"], list[str]]:
    """The landmarks that a Take is made for, their triangles, and warnings for the user.

    A face's own triangles may connect finer vertices, so the landmarks' triangles are the
    template's.
    """
    template = load_template()
    if face is None:
        return template.vertices.astype(np.float32), template.triangles, []
    warnings = [str(sentence) for sentence in face.meta.get("warnings", [])]
    return speaking_landmarks(face), template.triangles, warnings


def animate(
    audio: Audio,
    model: MotionModel,
    settings: AnimateSettings,
    face: FaceMesh | None = None,
    watch: Watch = UNWATCHED,
) -> Take:
    """The whole animation as a Take for `face`, or for the neutral template without one.

    Raises VividKeysError(cancelled).
    """
    chunks = []
    for chunk in animate_chunks(audio, model, settings, face, watch):
        chunks.append(chunk)
        watch.progress(chunk.fraction, "Animating the voice")
    return take_of_chunks(chunks, audio, model, settings, face)


def take_of_chunks(
    chunks: Sequence[MotionChunk],
    audio: Audio,
    model: MotionModel,
    settings: AnimateSettings,
    face: FaceMesh | None,
) -> Take:
    """Join all chunks that `animate_chunks` gave into the whole performance, and style it."""
    neutral, triangles, warnings = _carrier(face)
    noted = asdict(settings)
    # The style has an entry of its own, `meta["style"]`, which later changes keep up to date.
    del noted["style"]
    frames = sum(len(chunk.weights) for chunk in chunks)
    ends = phrase_ends(audio.samples).tolist()
    raw = Take(
        fps=settings.fps,
        weights=np.concatenate([chunk.weights for chunk in chunks]),
        head_rotation=np.concatenate([chunk.head_rotation for chunk in chunks]),
        head_translation=np.concatenate([chunk.head_translation for chunk in chunks]),
        neutral=neutral,
        triangles=triangles,
        offset_basis=offset_basis(neutral),
        offset_weights=np.concatenate([chunk.offset_weights for chunk in chunks]),
        meta={
            "audio_sha256": audio.sha256,
            "audio_name": audio.name,
            "seed": settings.seed,
            "settings": noted,
            "eyes": eyes_note(
                frames, settings.fps, settings.seed, settings.blinks, settings.gaze, ends
            ),
            "models": {model.name: model.version},
            "warnings": [*audio.warnings, *warnings],
        },
    )
    return restyle_take(raw, settings.style)
