# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio to motion: piece by piece while it is made, or as a finished Take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.audio.load import Audio
from backend.audio_to_mesh.blinks import blink_weights, eyes_note
from backend.audio_to_mesh.decoder import RATE, REACH, at_frame_rate, decode
from backend.audio_to_mesh.frames import ClipFrames
from backend.audio_to_mesh.head_motion import head_motion
from backend.audio_to_mesh.loudness import phrase_ends
from backend.audio_to_mesh.motion_model import MotionModel
from backend.face.template import load_template
from shared.errors import ErrorKind, VividKeysError
from shared.face import LANDMARK_COUNT, FaceMesh
from shared.style import StyleDials, restyle_take
from shared.take import Take

# A short first piece is there quickly; longer ones afterwards cost less.
FIRST_PIECE, PIECE = 8.0, 20.0


@dataclass(frozen=True)
class AnimateSettings:
    """What the user may turn. A dial at 0 removes that motion completely.

    `style` is applied to the finished curves, after everything else.
    """

    seed: int = 0
    fps: float = 60.0
    articulation: float = 1.0
    blinks: float = 1.0
    gaze: float = 1.0
    head_motion: float = 1.0
    style: StyleDials = field(default_factory=StyleDials)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and 1.0 <= self.fps <= 240.0):
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"A frame rate of {self.fps} is not between 1 and 240.",
                "Choose the scene's frame rate, or 60.",
            )
        for name in ("articulation", "blinks", "gaze", "head_motion"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= 3.0):
                raise VividKeysError(
                    ErrorKind.BAD_REQUEST,
                    f"The setting '{name}' is {value}, which is not between 0 and 3.",
                    "Choose 1 for the usual motion, 0 for none.",
                )


@dataclass(frozen=True, eq=False)
class MotionChunk:
    """Frames start_frame .. start_frame + n - 1: weights [n, 52], head rotation [n, 3] (Euler XYZ,
    radians) and translation [n, 3] (metres); `fraction` of the clip that is done, 0..1."""

    start_frame: int
    weights: NDArray[np.float32]
    head_rotation: NDArray[np.float32]
    head_translation: NDArray[np.float32]
    fraction: float


def _never() -> bool:
    return False


def _silent(fraction: float, sentence: str) -> None:
    """Report to nobody."""


def take_length(audio: Audio, fps: float) -> int:
    """Frames of the animation of a clip: the last begins before the clip ends."""
    return max(math.ceil(len(audio.samples) / audio.sample_rate * fps - 1e-6), 1)


def _pieces(frames: int, fps: float) -> Iterator[tuple[int, int]]:
    start, end = 0, FIRST_PIECE
    while start < frames:
        stop = min(round(end * fps), frames)
        yield start, stop
        start, end = stop, end + PIECE


def animate_chunks(
    audio: Audio,
    model: MotionModel,
    settings: AnimateSettings,
    cancelled: Callable[[], bool] = _never,
) -> Iterator[MotionChunk]:
    """Yield the animation piece by piece, in order, the first after about 8 s of audio.

    Where the pieces are cut changes nothing: every frame is what it would be in one go.
    They come without `settings.style`, which looks at the whole performance.
    Raises VividKeysError(cancelled) soon after `cancelled()` becomes True.
    """

    def check() -> None:
        if cancelled():
            raise VividKeysError(ErrorKind.CANCELLED, "The animation was cancelled.")

    check()
    fps = settings.fps
    total = take_length(audio, fps)
    ends = phrase_ends(audio.samples)
    eyes = blink_weights(total, fps, settings.seed, settings.blinks, ends, settings.gaze)
    check()
    rotation, translation = head_motion(
        audio.samples, fps, total, settings.seed, settings.head_motion
    )
    frames = ClipFrames(audio.samples, model, check)
    for start, stop in _pieces(total, fps):
        check()
        first = max(int(start * RATE / fps) - REACH, 0)
        last = min(math.ceil(stop * RATE / fps) + 1 + REACH, frames.total)
        heard = frames.heard(first, last)
        weights = decode(heard.curves, heard.events, model.decoder, settings.articulation)
        weights = at_frame_rate(weights, first, start, stop, fps)
        weights = np.clip(weights + eyes[start:stop], 0.0, 1.0)
        yield MotionChunk(
            start,
            weights,
            rotation[start:stop],
            translation[start:stop],
            stop / total,
        )


def _carrier(face: FaceMesh | None) -> tuple[NDArray[np.float32], NDArray[np.int32], list[str]]:
    """The 468 landmarks a Take is made for, their triangles, and what to tell the user.

    A face's own triangles may run between finer vertices; the landmarks have theirs.
    """
    template = load_template()
    if face is None:
        return template.vertices.astype(np.float32), template.triangles, []
    warnings = [str(sentence) for sentence in face.meta.get("warnings", [])]
    return face.vertices[:LANDMARK_COUNT], template.triangles, warnings


def animate(
    audio: Audio,
    model: MotionModel,
    settings: AnimateSettings,
    face: FaceMesh | None = None,
    cancelled: Callable[[], bool] = _never,
    progress: Callable[[float, str], None] = _silent,
) -> Take:
    """The whole animation as a Take for `face`, or for the neutral template without one.

    `progress(fraction, sentence)` is called as it goes. Raises VividKeysError(cancelled).
    """
    chunks = []
    for chunk in animate_chunks(audio, model, settings, cancelled):
        chunks.append(chunk)
        progress(chunk.fraction, "Animating the voice")
    return take_of_chunks(chunks, audio, model, settings, face)


def take_of_chunks(
    chunks: Sequence[MotionChunk],
    audio: Audio,
    model: MotionModel,
    settings: AnimateSettings,
    face: FaceMesh | None,
) -> Take:
    """The whole performance, styled, out of all the pieces that `animate_chunks` gave."""
    neutral, triangles, warnings = _carrier(face)
    noted = asdict(settings)
    # What the style turned stands in `meta["style"]`, also when it is turned later.
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
