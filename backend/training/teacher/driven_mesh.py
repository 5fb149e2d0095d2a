# SPDX-License-Identifier: GPL-3.0-or-later
"""The teacher's lip motion on random faces: its lessons as meshes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from backend.audio_to_mesh.lip_motion import DrivenFace, driven_lips, face_of, linear_lips
from backend.audio_to_mesh.speaker import IDENTITY_LIMIT, IDENTITY_SIZE
from backend.face.lip_contact import LipShapes
from backend.training.teacher.articulation import Lesson, phone_names

# How hard lips are pressed; stops hold back more air than nasals.
_PRESS_OF = {"p": 1.0, "b": 0.85, "m": 0.45}
_PRESS_SMOOTHING = 7


@lru_cache(maxsize=4)
def face_pool(count: int = 24, seed: int = 0) -> tuple[DrivenFace, ...]:
    """The mean face, then random ones; the same for the same seed."""
    random = np.random.default_rng([seed, count])
    drawn = random.normal(0.0, 1.0, (count, IDENTITY_SIZE)).clip(-IDENTITY_LIMIT, IDENTITY_LIMIT)
    drawn[0] = 0.0
    return tuple(face_of(identity) for identity in drawn)


def press_of(lesson: Lesson) -> Float32[np.ndarray, " T"]:
    """How hard the lips are pressed, 0..1: more on p and b than on m."""
    table = np.array([_PRESS_OF.get(name, 0.0) for name in phone_names()], np.float32)
    raw = np.pad(table[lesson.phones], _PRESS_SMOOTHING // 2, mode="edge")
    window = np.hanning(_PRESS_SMOOTHING + 2)[1:-1]
    smooth = np.convolve(raw, window / window.sum(), "valid")
    return np.asarray(smooth * lesson.seal * (1.0 - lesson.rest), np.float32)


def lesson_lips(
    shapes: LipShapes, lesson: Lesson, fps: float = 100.0
) -> tuple[Float32[np.ndarray, "T L 3"], Float32[np.ndarray, "T L 3"]]:
    """Driven and linear displacements of the lips for a whole lesson, metres."""
    weights = lesson.weights()
    hold = 1.0 - lesson.rest
    seal = np.asarray(lesson.seal * hold, np.float32)
    tuck = np.asarray(lesson.tuck * hold, np.float32)
    driven = driven_lips(shapes, weights, seal, tuck, fps, press_of(lesson))
    return driven, linear_lips(shapes, weights)
