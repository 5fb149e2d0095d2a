# SPDX-License-Identifier: GPL-3.0-or-later
"""What ARKit curves and contacts stand for on a face, in time: lips that meet, press and peel.

Lips that part are sticky: the middle opens with the release, the corners are peeled apart over
the next moments, so a frame depends on those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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

Singles = NDArray[np.float32]

# Seconds in which the hold of a pair on the other fades: middle, and more at the corners.
_LETS_GO, _STICKS = 0.006, 0.05
# A pair begins to meet at this hold and meets exactly from that one on.
_TOUCHES, _MEETS = 0.2, 0.7
_USUAL_PRESS = 0.7


@dataclass(frozen=True, eq=False)
class DrivenFace:
    """A face to be driven: identity [8] in standard deviations, neutral [468,3] metres."""

    identity: Singles
    neutral: NDArray[np.float64]
    lips: LipShapes


def face_of(identity: NDArray[np.floating]) -> DrivenFace:
    """A face of these coefficients; takes some 20 ms, so keep it."""
    neutral = landmarks_of(identity)
    lips = lip_shapes(neutral, landmark_basis(neutral))
    return DrivenFace(np.asarray(identity, np.float32), neutral, lips)


def face_with(neutral: NDArray[np.floating]) -> DrivenFace:
    """The face that has these neutral landmarks [468,3]; takes some 20 ms, so keep it."""
    landmarks = np.asarray(neutral, np.float64)
    lips = lip_shapes(landmarks, landmark_basis(landmarks))
    return DrivenFace(identity_coefficients(landmarks), landmarks, lips)


@lru_cache(maxsize=1)
def mean_face() -> DrivenFace:
    """The face that is animated when there is no photo."""
    return face_of(np.zeros(IDENTITY_SIZE, np.float32))


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


def hold_contact(
    offsets: Singles, weights: Singles, seal: Singles, tuck: Singles, face: DrivenFace, fps: float
) -> Singles:
    """Offset weights [T,K] with what contact asks for, exactly, while lips touch.

    A network answers with averages, which never quite close a mouth: where lips meet, press and
    peel apart the offsets follow from the weights [T,52] and contacts [T] themselves.
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
