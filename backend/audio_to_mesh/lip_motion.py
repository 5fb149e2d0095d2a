# SPDX-License-Identifier: GPL-3.0-or-later
"""How lips move for ARKit curves and contacts on a given face: they meet, press and peel apart.

Lips that part are sticky: the middle opens with the release, the corners are peeled apart over
the next moments, so a frame depends on those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64

from backend.audio_to_mesh.lip_offsets import offset_targets
from backend.audio_to_mesh.speaker import IDENTITY_SIZE
from backend.face.arkit_basis import landmark_basis
from backend.face.identity import identity_coefficients, landmarks_of
from backend.face.lip_contact import (
    CORNER_NEARNESS,
    LipShapes,
    contact_pose,
    linear_pose,
    lip_shapes,
)

# Time constants in seconds with which a lip pair's hold fades: in the middle, and how much more
# at the corners.
_LETS_GO, _STICKS = 0.006, 0.05
# A pair begins to meet at the first hold and meets exactly from the second on.
_TOUCHES, _MEETS = 0.2, 0.7
_USUAL_PRESS = 0.7


@dataclass(frozen=True, eq=False)
class DrivenFace:
    """A face to be driven: identity in standard deviations, neutral landmarks in metres."""

    identity: Float32[np.ndarray, " 8"]
    neutral: Float64[np.ndarray, "468 3"]
    lips: LipShapes


def face_of(identity: Float[np.ndarray, " 8"]) -> DrivenFace:
    """The face with these identity coefficients; takes about 20 ms, so keep it."""
    neutral = landmarks_of(identity)
    lips = lip_shapes(neutral, landmark_basis(neutral))
    return DrivenFace(np.asarray(identity, np.float32), neutral, lips)


def face_with(neutral: Float[np.ndarray, "468 3"]) -> DrivenFace:
    """The face with these neutral landmarks in metres; takes about 20 ms, so keep it."""
    landmarks = np.asarray(neutral, np.float64)
    lips = lip_shapes(landmarks, landmark_basis(landmarks))
    return DrivenFace(identity_coefficients(landmarks), landmarks, lips)


@lru_cache(maxsize=1)
def mean_face() -> DrivenFace:
    """The face that is animated when there is no photo."""
    return face_of(np.zeros(IDENTITY_SIZE, np.float32))


def zipped(seal: Float32[np.ndarray, " T"], fps: float) -> Float32[np.ndarray, "T 9"]:
    """How far each of the nine lip pairs is closed, for a seal in 0..1.

    It follows the seal at once as that closes; as it opens, the pairs near the corners are last.
    """
    lasting = _LETS_GO + _STICKS * CORNER_NEARNESS.astype(np.float64)
    time = np.arange(len(seal), dtype=np.float64)[:, None] / (fps * lasting)
    with np.errstate(divide="ignore"):
        held = np.log(np.maximum(seal, 0.0).astype(np.float64))[:, None] + time
    hold = np.exp(np.maximum.accumulate(held, axis=0) - time)
    step = np.clip((hold - _TOUCHES) / (_MEETS - _TOUCHES), 0.0, 1.0)
    return np.asarray(step * step * (3.0 - 2.0 * step), np.float32)


def driven_lips(
    shapes: LipShapes,
    weights: Float32[np.ndarray, "T 52"],
    seal: Float32[np.ndarray, " T"],
    tuck: Float32[np.ndarray, " T"],
    fps: float,
    press: Float32[np.ndarray, " T"] | None = None,
) -> Float32[np.ndarray, "T L 3"]:
    """Displacement in metres of `lip_contact.lip_region()`.

    `seal`, `tuck` and `press` are in 0..1; `press` is by default that of a usual closure.
    """
    if press is None:
        press = np.float32(_USUAL_PRESS) * seal
    # Contact is complete from half strength on, as in `contact.apply_contacts`.
    tucked = np.minimum(2.0 * tuck, 1.0) ** 1.5 * (1.0 - seal)
    return contact_pose(shapes, weights, zipped(seal, fps), press, np.asarray(tucked, np.float32))


def linear_lips(
    shapes: LipShapes, weights: Float32[np.ndarray, "T 52"]
) -> Float32[np.ndarray, "T L 3"]:
    """Displacement in metres of the lip region by the weights alone."""
    return linear_pose(shapes, weights)


def hold_contact(
    offsets: Float32[np.ndarray, "T K"],
    weights: Float32[np.ndarray, "T 52"],
    seal: Float32[np.ndarray, " T"],
    tuck: Float32[np.ndarray, " T"],
    face: DrivenFace,
    fps: float,
) -> Float32[np.ndarray, "T K"]:
    """Offset weights corrected so that contact is exact while the lips touch.

    A network predicts averages, which never quite close a mouth: where lips meet, press and peel
    apart, the offsets are computed from the weights and contacts themselves.
    """
    closure = zipped(seal, fps)
    held = closure.max(axis=1)
    touching = np.flatnonzero(held > 0.0)
    if not len(touching):
        return offsets
    tucked = np.minimum(2.0 * tuck, 1.0) ** 1.5 * (1.0 - seal)
    press = np.float32(_USUAL_PRESS) * seal
    # Small fields take large weights: single precision would let rounding grow.
    chosen = weights[touching].astype(np.float64)
    driven = contact_pose(
        face.lips,
        chosen,
        closure[touching],
        press[touching],
        np.asarray(tucked[touching], np.float32),
    )
    linear = linear_pose(face.lips, chosen)
    exact = offset_targets(driven, linear, face.neutral)
    result = offsets.copy()
    result[touching] += held[touching, None] * (exact - offsets[touching])
    return result
