# SPDX-License-Identifier: GPL-3.0-or-later
"""The teacher's mesh: what ARKit curves and contacts stand for on a face, in time.

Lips that part are sticky: the middle opens with the release, the corners are peeled apart over
the next moments, so a frame depends on those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.audio_to_mesh.speaker import IDENTITY_LIMIT, IDENTITY_SIZE
from backend.face.arkit_basis import landmark_basis
from backend.face.identity import landmarks_of
from backend.face.lip_contact import (
    CORNER_NEARNESS,
    LipShapes,
    contact_pose,
    linear_pose,
    lip_shapes,
)
from backend.training.teacher import Lesson, phone_names

Singles = NDArray[np.float32]

# Seconds in which the hold of a pair on the other fades: middle, and more at the corners.
_LETS_GO, _STICKS = 0.006, 0.05
# A pair begins to meet at this hold and meets exactly from that one on.
_TOUCHES, _MEETS = 0.2, 0.7
# How hard lips are pressed; stops hold back more air than nasals.
_PRESS_OF = {"p": 1.0, "b": 0.85, "m": 0.45}
_USUAL_PRESS = 0.7
_PRESS_SMOOTHING = 7


@dataclass(frozen=True, eq=False)
class DrivenFace:
    """A face to be driven: identity [8] in standard deviations, neutral [468,3] metres."""

    identity: Singles
    neutral: NDArray[np.float64]
    lips: LipShapes


def face_of(identity: NDArray[np.floating]) -> DrivenFace:
    """A face with its shapes; takes some 20 ms, so keep it."""
    neutral = landmarks_of(identity)
    lips = lip_shapes(neutral, landmark_basis(neutral))
    return DrivenFace(np.asarray(identity, np.float32), neutral, lips)


@lru_cache(maxsize=4)
def face_pool(count: int = 24, seed: int = 0) -> tuple[DrivenFace, ...]:
    """The mean face, then random ones; the same for the same seed."""
    random = np.random.default_rng([seed, count])
    drawn = random.normal(0.0, 1.0, (count, IDENTITY_SIZE)).clip(-IDENTITY_LIMIT, IDENTITY_LIMIT)
    drawn[0] = 0.0
    return tuple(face_of(identity) for identity in drawn)


def zipped(seal: Singles, fps: float) -> Singles:
    """How far each of the nine lip pairs is closed, [T,9], for a seal [T] in 0..1.

    Follows the seal at once as it closes; as it opens, the nearer to the corner the later.
    """
    lasting = _LETS_GO + _STICKS * CORNER_NEARNESS.astype(np.float64)
    time = np.arange(len(seal), dtype=np.float64)[:, None] / (fps * lasting)
    with np.errstate(divide="ignore"):
        held = np.log(np.maximum(seal, 0.0).astype(np.float64))[:, None] + time
    hold = np.exp(np.maximum.accumulate(held, axis=0) - time)
    step = np.clip((hold - _TOUCHES) / (_MEETS - _TOUCHES), 0.0, 1.0)
    return np.asarray(step * step * (3.0 - 2.0 * step), np.float32)


def press_of(lesson: Lesson) -> Singles:
    """How hard the lips are pressed, [T] in 0..1: more on p and b than on m."""
    table = np.array([_PRESS_OF.get(name, 0.0) for name in phone_names()], np.float32)
    raw = np.pad(table[lesson.phones], _PRESS_SMOOTHING // 2, mode="edge")
    window = np.hanning(_PRESS_SMOOTHING + 2)[1:-1]
    smooth = np.convolve(raw, window / window.sum(), "valid")
    return np.asarray(smooth * lesson.seal * (1.0 - lesson.rest), np.float32)


def driven_lips(
    shapes: LipShapes,
    weights: Singles,
    seal: Singles,
    tuck: Singles,
    fps: float,
    press: Singles | None = None,
) -> Singles:
    """Displacement [T,L,3] in metres of `lip_contact.lip_region()`.

    `weights` [T,52]; `seal` and `tuck` [T] in 0..1; `press` [T] 0..1, by default that of a usual
    closure.
    """
    if press is None:
        press = np.float32(_USUAL_PRESS) * seal
    # Contact is complete from half strength on, as in `contact.apply_contacts`.
    tucked = np.minimum(2.0 * tuck, 1.0) ** 1.5 * (1.0 - seal)
    return contact_pose(shapes, weights, zipped(seal, fps), press, np.asarray(tucked, np.float32))


def linear_lips(shapes: LipShapes, weights: Singles) -> Singles:
    """Displacement [T,L,3] in metres that the weights [T,52] alone give."""
    return linear_pose(shapes, weights)


def lesson_lips(shapes: LipShapes, lesson: Lesson, fps: float = 100.0) -> tuple[Singles, Singles]:
    """Driven and linear displacement [T,L,3] of a whole lesson."""
    weights = lesson.weights()
    hold = 1.0 - lesson.rest
    seal = np.asarray(lesson.seal * hold, np.float32)
    tuck = np.asarray(lesson.tuck * hold, np.float32)
    driven = driven_lips(shapes, weights, seal, tuck, fps, press_of(lesson))
    return driven, linear_lips(shapes, weights)
