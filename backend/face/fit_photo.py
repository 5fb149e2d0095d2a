# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit a head pose, a neutral face and a mild expression to the landmarks of one photo.

All three are estimated together, as the most probable ones under the prior of `photo_model.py`,
by a few Gauss-Newton steps. Landmarks that face away, that the tracker sees badly or that do not
fit the model (a hand, the frame of glasses, the edge of a beard) are weighted down; the rest of
the face and the prior make up for them. The camera is the long lens of `pose.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from shared.arkit import ARKIT_NAMES, INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT, TRACKED_COUNT

from .arkit_basis import contacts, landmark_basis
from .close_mouth import CLOSED, close_mouth
from .photo_model import LEAST_NOISE, TURN, PhotoModel, load_photo_model
from .pose import Similarity, fit_similarity, image_to_axes
from .surface import vertex_normals
from .template import load_template

# After three, ordinary photos change by less than 0.002 mm; a face turned by 40 degrees needs four.
ROUNDS = 4
# A landmark that is this many standard deviations off counts half.
DOUBTFUL = 2.5
# Cosine between the skin's normal and the line of sight: at the first a landmark counts in full,
# at the second hardly at all.
SEEN_WELL, SEEN_BADLY, LEAST_TRUST = 0.35, -0.15, 0.03
# Eyes move: the irises say little about whose face it is.
IRIS_TRUST = 0.05
# How far the tracker's error on a turned head deviates from its usual value: a share of it, plus
# a constant.
TURN_SHARE, TURN_LEAST = 0.7, 0.1
# Standard deviation of smiles in photos, in mean smiles.
SMILE_SPREAD = 1.0
# Expressions beyond smiles that change a face strongly, and the usual size of each. A small
# deviation is more likely the person's own face, so even a small weight has a cost.
MUSCLES = {
    "jawOpen": 0.4, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3, "mouthSmile": 0.3,
    "mouthPucker": 0.3, "mouthFunnel": 0.2, "eyeBlink": 0.4, "eyeSquint": 0.3, "eyeWide": 0.15,
    "browInnerUp": 0.2, "browOuterUp": 0.2, "browDown": 0.2, "cheekSquint": 0.3,
    "mouthFrown": 0.2, "mouthLeft": 0.2, "mouthRight": 0.2, "jawLeft": 0.1, "jawRight": 0.1,
}  # fmt: skip
MUSCLE_THRESHOLD = 3.0
# The final expression: the shapes that a still photo can show, their regularisation (metres of
# misfit on every landmark that a weight of 1 costs), and the weight that counts as none.
EXPRESSION_SHAPES = tuple(
    name
    for name in ARKIT_NAMES
    if not name.startswith(("eyeLook", "tongue", "cheekPuff", "mouthClose"))
)
RELUCTANCE = 0.001
NO_WEIGHT = 0.02
GAP_WEIGHT = 4.0


@dataclass(frozen=True, eq=False)
class PhotoFit:
    """What was fitted to a photo's landmarks.

    vertices    metres: the face at rest, frontal, lips exactly closed
    irises      metres
    aligned     the tracked points in the head's frame, with the expression
    expression  ARKit weights that bring `vertices` closest to `aligned`
    to_head     from tracked points (our axes, pixels) to `aligned`
    identity    coefficients of the model's modes, in standard deviations
    smile       the photo's smile, in mean photo smiles
    trust       0..1, how much weight each landmark was given
    """

    vertices: Float64[np.ndarray, "468 3"]
    irises: Float64[np.ndarray, "10 3"]
    aligned: Float64[np.ndarray, "478 3"]
    expression: Float64[np.ndarray, " 52"]
    to_head: Similarity
    identity: Float64[np.ndarray, " K"]
    smile: float
    trust: Float64[np.ndarray, " 478"]


@dataclass(frozen=True, eq=False)
class _Solution:
    """Pose and coefficients between two rounds; the camera looks along +Y."""

    rotation: Float64[np.ndarray, "3 3"]
    shift: Float64[np.ndarray, " 3"]
    scale: float
    free: Float64[np.ndarray, " F"]
    pushed: Float64[np.ndarray, " P"]
    trust: Float64[np.ndarray, " 478"]


def fit_photo(landmarks: Float64[np.ndarray, "N C"], model: PhotoModel | None = None) -> PhotoFit:
    """Fit pose, neutral face and expression to tracked landmarks [478,3] in pixels.

    Raises VividKeysError(bad_image) if the landmarks cannot be a face.
    """
    model = model or load_photo_model()
    points = image_to_axes(_checked(landmarks))
    fields = _fields(model)
    now = _start(points, model)
    for _ in range(ROUNDS):
        now = _improved(now, points, model, fields)
    to_head = _to_head(now)
    aligned = to_head.apply(points)
    count = len(model.modes)
    at_rest = model.mean + np.tensordot(now.free[:count], model.modes, axes=1)
    shown = at_rest + _expressed(now, model, fields)
    rest = _kept_rest(aligned - shown, now.trust, model)
    vertices = close_mouth(at_rest[:LANDMARK_COUNT] + rest[:LANDMARK_COUNT])
    # The tracker's error on turned heads is not part of the expression.
    seen = aligned - np.tensordot(now.free[-2:], model.turned, axes=1)
    irises = seen[LANDMARK_COUNT:]
    expression = expression_weights(vertices, seen[:LANDMARK_COUNT], now.trust, now.rotation)
    return PhotoFit(
        vertices, irises, aligned, expression, to_head,
        now.free[:count], float(now.pushed[0]), now.trust,
    )  # fmt: skip


def _checked(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    points = np.asarray(landmarks, np.float64)
    wrong = ""
    if points.shape != (TRACKED_COUNT, 3):
        wrong = f"{TRACKED_COUNT} landmarks with 3 numbers were expected, not {points.shape}"
    elif not np.isfinite(points).all():
        wrong = "some landmarks are not numbers"
    elif min(np.ptp(points[:, 0]), np.ptp(points[:, 1])) < 1e-6 * np.abs(points).max() + 1e-12:
        wrong = "all landmarks lie on one line"
    if wrong:
        raise VividKeysError(
            ErrorKind.BAD_IMAGE,
            f"The face in the picture could not be measured: {wrong}.",
            "Choose a photo that shows one face from the front, well lit and not covered.",
        )
    return points


@dataclass(frozen=True, eq=False)
class _Fields:
    """Offset fields that may be added to the mean, and what the second kind costs.

    free       modes, habits and turns, with coefficients of either sign
    pushed     the mean smile and the muscles, whose weights are never negative
    spread     standard deviation of each weight of `pushed`
    threshold  linear cost of each weight of `pushed`, in its standard deviations
    """

    free: Float64[np.ndarray, "F 478 3"]
    pushed: Float64[np.ndarray, "P 478 3"]
    spread: Float64[np.ndarray, " P"]
    threshold: Float64[np.ndarray, " P"]


@lru_cache(maxsize=4)
def _fields(model: PhotoModel) -> _Fields:
    face = close_mouth(model.mean[:LANDMARK_COUNT])
    basis = landmark_basis(face)
    names = [n for stem in MUSCLES for n in (stem, stem + "Left", stem + "Right") if n in INDEX]
    sizes = [MUSCLES[n] if n in MUSCLES else MUSCLES[n.removesuffix("Left").removesuffix("Right")]
             for n in names]  # fmt: skip
    pushed = np.zeros((1 + len(names), TRACKED_COUNT, 3))
    pushed[0] = model.smile
    pushed[1:, :LANDMARK_COUNT] = basis[[INDEX[name] for name in names]]
    return _Fields(
        free=np.concatenate([model.modes, model.habits, model.turned]),
        pushed=pushed,
        spread=np.array([SMILE_SPREAD, *sizes]),
        threshold=np.array([0.0, *([MUSCLE_THRESHOLD] * len(names))]),
    )


def _start(points: NDArray[np.float64], model: PhotoModel) -> _Solution:
    """The mean face, posed by the bony landmarks alone."""
    bone = load_template().rigidity
    move = fit_similarity(points, model.mean, bone)
    fields = _fields(model)
    rotation = move.rotation.T
    return _Solution(
        rotation, -rotation @ move.shift, move.scale,
        np.zeros(len(fields.free)), np.zeros(len(fields.pushed)), np.ones(TRACKED_COUNT),
    )  # fmt: skip


def _to_head(now: _Solution) -> Similarity:
    """The inverse of the pose, for which scaled points are `head @ rotation.T + shift`."""
    return Similarity(now.scale, now.rotation.T, -now.rotation.T @ now.shift)


def _improved(
    now: _Solution, points: NDArray[np.float64], model: PhotoModel, fields: _Fields
) -> _Solution:
    """One step: all coefficients and a small rotation, shift and scaling together."""
    face = _shape(now, model, fields)
    turned = face @ now.rotation.T
    target = now.scale * points - now.shift
    noise = np.maximum(model.noise, LEAST_NOISE)
    facing = -vertex_normals(turned[:LANDMARK_COUNT], load_template().triangles)[:, 1]
    yaw = np.arctan2(now.rotation[1, 0], now.rotation[0, 0])
    deep = float(np.interp(abs(np.degrees(yaw)), model.depth_yaw, model.depth))
    spread = np.array([1.0, deep, 1.0]) * noise[:, None]
    trust = _trust(facing, (target - turned) / spread)
    weight = (np.sqrt(trust)[:, None] / spread).reshape(-1)

    def column(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Offsets [N,478,3] in the head's frame as weighted rows in camera axes, [N,1434]."""
        turned_offsets = offsets.reshape(-1, 3) @ now.rotation.T
        return np.asarray(turned_offsets.reshape(len(offsets), -1) * weight)

    small = np.zeros((7, TRACKED_COUNT, 3))
    for axis in range(3):
        small[axis] = np.cross(np.eye(3)[axis], turned)
        small[3 + axis, :, axis] = 1.0
    small[6] = turned
    free = column(fields.free)
    pushed = column(fields.pushed)
    pose = small.reshape(7, -1) * weight
    wanted = (target - model.mean @ now.rotation.T).reshape(-1) * weight
    rows = np.concatenate([free, pose, pushed])
    gram, right = rows @ rows.T, rows @ wanted
    turn = np.sin(yaw) / TURN
    usual = np.array([turn, turn**2])
    turn_cost = (TURN_LEAST + TURN_SHARE * np.abs(usual)) ** -2.0
    cost = np.concatenate(
        [np.ones(len(free) - 2), turn_cost, np.full(7, 1e-9), fields.spread**-2.0]
    )
    gram[np.diag_indices_from(gram)] += cost
    right[len(free) - 2 : len(free)] += turn_cost * usual
    count = len(free) + 7
    right[count:] -= fields.threshold / fields.spread
    found, weights = _with_pushed(gram, right, count)
    turning = Rotation.from_rotvec(found[-7:-4]).as_matrix()
    growth = 1.0 + found[-1]
    return _Solution(
        rotation=turning @ now.rotation,
        shift=(now.shift + found[-4:-1]) / growth,
        scale=now.scale / growth,
        free=found[:-7],
        pushed=weights,
        trust=trust,
    )


def _with_pushed(
    gram: NDArray[np.float64], right: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise x·gram·x / 2 - right·x subject to x >= 0 from index `count` on."""
    inverse = np.linalg.solve(
        gram[:count, :count], np.column_stack([gram[:count, count:], right[:count]])
    )
    reduced = gram[count:, count:] - gram[count:, :count] @ inverse[:, :-1]
    lower = np.linalg.cholesky((reduced + reduced.T) / 2)
    aim = np.linalg.solve(lower, right[count:] - gram[count:, :count] @ inverse[:, -1])
    pushed, _ = nnls(lower.T, aim)
    return inverse[:, -1] - inverse[:, :-1] @ pushed, pushed


def _trust(facing: NDArray[np.float64], misfit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each landmark, [478]: `facing` [468] cosines, `misfit` [478,3] in deviations."""
    seen = np.clip((facing - SEEN_BADLY) / (SEEN_WELL - SEEN_BADLY), LEAST_TRUST, 1.0)
    seen = np.concatenate([seen, np.full(TRACKED_COUNT - LANDMARK_COUNT, IRIS_TRUST)])
    return np.asarray(seen / (1.0 + (misfit**2).mean(axis=1) / DOUBTFUL**2))


def _shape(now: _Solution, model: PhotoModel, fields: _Fields) -> NDArray[np.float64]:
    """The face with its expression in the head's frame, [478,3]."""
    count = len(model.modes)
    at_rest = model.mean + np.tensordot(now.free[:count], model.modes, axes=1)
    return np.asarray(at_rest + _expressed(now, model, fields))


def _expressed(now: _Solution, model: PhotoModel, fields: _Fields) -> NDArray[np.float64]:
    """What belongs to this photo alone: expression and the tracker's errors, [478,3]."""
    count = len(model.modes)
    passing = np.tensordot(now.free[count:], fields.free[count:], axes=1)
    return np.asarray(passing + np.tensordot(now.pushed, fields.pushed, axes=1))


def _kept_rest(
    rest: NDArray[np.float64], trust: NDArray[np.float64], model: PhotoModel
) -> NDArray[np.float64]:
    """The part [478,3] of the unexplained residual that belongs to the person."""
    return np.asarray(rest * (model.kept * trust)[:, None])


def expression_weights(
    vertices: Float64[np.ndarray, "468 3"],
    aligned: Float64[np.ndarray, "468 3"],
    trust: Float64[np.ndarray, " 478"],
    rotation: Float64[np.ndarray, "3 3"],
) -> Float64[np.ndarray, " 52"]:
    """Find the ARKit weights that bring a face at rest closest to `aligned`.

    Closest as the camera sees it, to which the head is turned by `rotation`: depth counts little,
    and so do landmarks with little `trust`.
    """
    basis = landmark_basis(vertices)
    chosen = [INDEX[name] for name in EXPRESSION_SHAPES]
    weight = np.sqrt(trust[:LANDMARK_COUNT])[:, None] * (1.0, 0.25, 1.0)
    rows = (basis[chosen] @ rotation.T * weight).reshape(len(chosen), -1)
    away = ((aligned - vertices) @ rotation.T * weight).reshape(-1)
    # People notice whether teeth show more than where exactly the lips are: the gap counts extra.
    lips = contacts()["lips"]
    opening = lips.gap(aligned)[:, 2]
    opening = np.where(opening < CLOSED, 0.0, opening)
    gaps = np.stack([lips.gap(shape)[:, 2] for shape in basis[chosen]])
    rows = np.concatenate([rows, GAP_WEIGHT * gaps], axis=1)
    away = np.concatenate([away, GAP_WEIGHT * opening])
    gram = rows @ rows.T
    gram[np.diag_indices_from(gram)] += LANDMARK_COUNT * RELUCTANCE**2
    lower = np.linalg.cholesky(gram)
    found, _ = nnls(lower.T, np.linalg.solve(lower, rows @ away))
    weights = np.zeros(len(ARKIT_NAMES))
    weights[chosen] = np.where(found < NO_WEIGHT, 0.0, np.minimum(found, 1.0))
    return weights
