# SPDX-License-Identifier: GPL-3.0-or-later
"""One photo's landmarks to a head's pose, a person's face at rest and a mild expression.

All three are sought together: the most probable ones under what is known about faces
(`photo_model.py`), by a few steps of Gauss and Newton. Landmarks that face away, that the tracker
sees badly or that fit nothing (a hand, a frame of glasses, a beard's edge) lose their say, and
what they would have told comes from the rest of the face and from people in general. The camera
is the long lens of `pose.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
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

Floats = NDArray[np.float64]

# After three, ordinary photos change by less than 0.002 mm; a face turned by 40 degrees needs four.
ROUNDS = 4
# A landmark that is this many deviations off counts half.
DOUBTFUL = 2.5
# Cosine of skin and line of sight: from here on a landmark counts in full, from there on hardly.
SEEN_WELL, SEEN_BADLY, LEAST_TRUST = 0.35, -0.15, 0.03
# Eyes look about: the irises say little about whose face it is.
IRIS_TRUST = 0.05
# The tracker's error about a turned head is what it usually is, give or take this share and this.
TURN_SHARE, TURN_LEAST = 0.7, 0.1
# A photo smile of this many mean smiles is nothing special.
SMILE_SPREAD = 1.0
# Expressions beyond smiles that change a face strongly, and how much of each is nothing special.
# What is small is rather the person: a weight costs at once, not only when it is large.
MUSCLES = {
    "jawOpen": 0.4, "mouthLowerDown": 0.3, "mouthUpperUp": 0.3, "mouthSmile": 0.3,
    "mouthPucker": 0.3, "mouthFunnel": 0.2, "eyeBlink": 0.4, "eyeSquint": 0.3, "eyeWide": 0.15,
    "browInnerUp": 0.2, "browOuterUp": 0.2, "browDown": 0.2, "cheekSquint": 0.3,
    "mouthFrown": 0.2, "mouthLeft": 0.2, "mouthRight": 0.2, "jawLeft": 0.1, "jawRight": 0.1,
}  # fmt: skip
MUSCLE_THRESHOLD = 3.0
# The person's expression in the end: shapes that a still photo can tell, how reluctantly they are
# believed (metres of misfit that a weight of 1 costs on every landmark), and what is nothing.
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
    """What a photo's landmarks say.

    vertices    [468,3] metres: the face at rest, frontal, lips exactly closed
    irises      [10,3] metres
    aligned     [478,3] the tracked points in the head's frame, with the expression
    expression  [52] ARKit weights: `vertices` with them come closest to `aligned`
    to_head     from tracked points (our axes, pixels) to `aligned`
    identity    [K] coefficients of the model's modes, standard deviations
    smile       how many mean photo smiles
    trust       [478] 0..1 how much each landmark was believed
    """

    vertices: Floats
    irises: Floats
    aligned: Floats
    expression: Floats
    to_head: Similarity
    identity: Floats
    smile: float
    trust: Floats


@dataclass(frozen=True, eq=False)
class _Solution:
    """Pose and coefficients between two rounds; the camera looks along +Y."""

    rotation: Floats
    shift: Floats
    scale: float
    free: Floats
    pushed: Floats
    trust: Floats


def fit_photo(landmarks: Floats, model: PhotoModel | None = None) -> PhotoFit:
    """Pose, neutral face and expression of tracked landmarks [478,3] in pixels.

    Raises VividKeysError(bad_image) where the landmarks are no face.
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
    # What the tracker gets wrong about turned heads is no expression.
    seen = aligned - np.tensordot(now.free[-2:], model.turned, axes=1)
    irises = seen[LANDMARK_COUNT:]
    expression = expression_weights(vertices, seen[:LANDMARK_COUNT], now.trust, now.rotation)
    return PhotoFit(
        vertices, irises, aligned, expression, to_head,
        now.free[:count], float(now.pushed[0]), now.trust,
    )  # fmt: skip


def _checked(landmarks: Floats) -> Floats:
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
    """Offsets that may be added to the mean: `free` [F,478,3] modes, habits and turns, `pushed`
    [P,478,3] the mean smile and muscles, which never pull; with what each costs.
    """

    free: Floats
    pushed: Floats
    spread: Floats
    threshold: Floats


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


def _start(points: Floats, model: PhotoModel) -> _Solution:
    """The pose by bony landmarks alone, the mean face."""
    bone = load_template().rigidity
    move = fit_similarity(points, model.mean, bone)
    fields = _fields(model)
    rotation = move.rotation.T
    return _Solution(
        rotation, -rotation @ move.shift, move.scale,
        np.zeros(len(fields.free)), np.zeros(len(fields.pushed)), np.ones(TRACKED_COUNT),
    )  # fmt: skip


def _to_head(now: _Solution) -> Similarity:
    """Scaled camera points are `head @ rotation.T + shift`; the way back."""
    return Similarity(now.scale, now.rotation.T, -now.rotation.T @ now.shift)


def _improved(now: _Solution, points: Floats, model: PhotoModel, fields: _Fields) -> _Solution:
    """One step: all coefficients and a small turn, shift and scale together."""
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

    def column(offsets: Floats) -> Floats:
        """Offsets [N,478,3] in the head as weighted rows before the camera, [N,1434]."""
        return (offsets.reshape(-1, 3) @ now.rotation.T).reshape(len(offsets), -1) * weight

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


def _with_pushed(gram: Floats, right: Floats, count: int) -> tuple[Floats, Floats]:
    """Minimum of x·gram·x / 2 - right·x whose parts from `count` on are not negative."""
    inverse = np.linalg.solve(
        gram[:count, :count], np.column_stack([gram[:count, count:], right[:count]])
    )
    reduced = gram[count:, count:] - gram[count:, :count] @ inverse[:, :-1]
    lower = np.linalg.cholesky((reduced + reduced.T) / 2)
    aim = np.linalg.solve(lower, right[count:] - gram[count:, :count] @ inverse[:, -1])
    pushed, _ = nnls(lower.T, aim)
    return inverse[:, -1] - inverse[:, :-1] @ pushed, pushed


def _trust(facing: Floats, misfit: Floats) -> Floats:
    """How much every landmark says, [478]: `facing` [468] cosines, `misfit` [478,3] deviations."""
    seen = np.clip((facing - SEEN_BADLY) / (SEEN_WELL - SEEN_BADLY), LEAST_TRUST, 1.0)
    seen = np.concatenate([seen, np.full(TRACKED_COUNT - LANDMARK_COUNT, IRIS_TRUST)])
    return np.asarray(seen / (1.0 + (misfit**2).mean(axis=1) / DOUBTFUL**2))


def _shape(now: _Solution, model: PhotoModel, fields: _Fields) -> Floats:
    """The face with its expression in the head's frame, [478,3]."""
    count = len(model.modes)
    at_rest = model.mean + np.tensordot(now.free[:count], model.modes, axes=1)
    return np.asarray(at_rest + _expressed(now, model, fields))


def _expressed(now: _Solution, model: PhotoModel, fields: _Fields) -> Floats:
    """All that is in this photo only: expression and the tracker's errors, [478,3]."""
    count = len(model.modes)
    passing = np.tensordot(now.free[count:], fields.free[count:], axes=1)
    return np.asarray(passing + np.tensordot(now.pushed, fields.pushed, axes=1))


def _kept_rest(rest: Floats, trust: Floats, model: PhotoModel) -> Floats:
    """The part [478,3] of what nothing explains that is the person's own."""
    return np.asarray(rest * (model.kept * trust)[:, None])


def expression_weights(
    vertices: Floats, aligned: Floats, trust: Floats, rotation: Floats
) -> Floats:
    """ARKit weights [52] with which a face at rest [468,3] comes closest to `aligned` [468,3].

    Closest as the camera sees it, before which the head has the `rotation` [3,3]: depth and
    badly seen landmarks (`trust` [478]) hardly count.
    """
    basis = landmark_basis(vertices)
    chosen = [INDEX[name] for name in EXPRESSION_SHAPES]
    weight = np.sqrt(trust[:LANDMARK_COUNT])[:, None] * (1.0, 0.25, 1.0)
    rows = (basis[chosen] @ rotation.T * weight).reshape(len(chosen), -1)
    away = ((aligned - vertices) @ rotation.T * weight).reshape(-1)
    # Whether teeth show is seen more easily than where the lips are: their gap counts extra.
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
