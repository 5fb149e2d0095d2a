# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit weights that explain how the landmarks moved, solved for all frames at once.

Bounded least squares: weights in 0..1; lips and lids count more, and the gaps between their edges
are terms of their own; depth counts less (one camera hardly sees it); a small ridge per shape and a
weak coupling of neighbouring frames. Exact coordinate descent over the 43 shapes, vectorised over
frames; even and odd frames alternate, so that each step stays exact in spite of the coupling.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from backend.face.template import load_template
from shared.arkit import ARKIT_NAMES, INDEX
from shared.landmarks import (
    CHIN,
    EARS,
    FACE_OVAL,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LANDMARK_COUNT,
    LIP_LANDMARKS,
)

from .measure import LIDS

_LIPS, _LIDS, _RIM, _DEPTH = 2.0, 2.0, 0.4, 0.15
# Weights of the gaps between a pair of edges, in addition to the edges themselves.
_LIP_GAP, _LID_GAP = 5.0, 3.0
# Ridge penalty, as a share of a typical shape's squared size, and its factor per shape. A shape
# that one camera cannot tell from another, or hardly sees at all, needs stronger evidence: lips
# part mostly because the jaw drops.
_RIDGE = 0.015
_RELUCTANCE = {
    "jawOpen": 0.3,
    "mouthPucker": 0.5,
    "mouthLowerDownLeft": 4.0,
    "mouthLowerDownRight": 4.0,
    "mouthFrownLeft": 4.0,
    "mouthFrownRight": 4.0,
    "jawForward": 6.0,
    "cheekPuff": 8.0,
    "mouthRollLower": 2.0,
    "mouthRollUpper": 2.0,
    "mouthShrugLower": 3.0,
    "mouthShrugUpper": 3.0,
    "noseSneerLeft": 3.0,
    "noseSneerRight": 3.0,
    "cheekSquintLeft": 3.0,
    "cheekSquintRight": 3.0,
    "mouthClose": 1.5,
}
# Shapes that are not solved for: gaze comes from the irises, and the tongue has no landmarks.
_LOOKS = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
_UNSEEN = ("tongueOut",)
SOLVED = tuple(name for name in ARKIT_NAMES if name not in (*_LOOKS, *_UNSEEN))
# Coupling of neighbouring frames at 60 fps, in the unit of the ridge; lips move faster.
_TIE, _TIE_LIPS = 0.012, 0.002
_SWEEPS, _SETTLED = 120, 2e-4


# The part of the face oval that moves with the jaw and is clearly visible.
_CHIN = (CHIN, 148, 377, 176, 400, 149, 378, 150, 379)


@lru_cache(maxsize=1)
def _landmark_weights() -> Float64[np.ndarray, "468 3"]:
    """The weight of each landmark and axis."""
    template = load_template()
    count = np.ones(LANDMARK_COUNT)
    lips = list(LIP_LANDMARKS)
    lids = [point for upper, lower, _ in LIDS.values() for point in (*upper, *lower)]
    for points, weight, reach in ((lips, _LIPS, 0.012), (lids, _LIDS, 0.006)):
        near = np.clip(1.0 - template.distances[points].min(axis=0) / reach, 0.0, 1.0)
        count += (weight - 1.0) * near
    count[[point for point in (*FACE_OVAL, *EARS) if point not in _CHIN]] *= _RIM
    return np.stack([count, _DEPTH * count, count], axis=1)


def _features(fields: Float64[np.ndarray, "N 468 3"]) -> Float64[np.ndarray, "N features"]:
    """What is compared: weighted displacements and gaps."""
    parts = [(fields * _landmark_weights()).reshape(len(fields), -1)]
    lids = [(upper, lower, _LID_GAP) for upper, lower, _ in LIDS.values()]
    for upper, lower, weight in ((INNER_LIP_UPPER, INNER_LIP_LOWER, _LIP_GAP), *lids):
        gap = fields[:, list(upper[1:-1]), 2] - fields[:, list(lower[1:-1]), 2]
        parts.append(weight * gap)
    return np.concatenate(parts, axis=1)


def solve_weights(
    basis: Float64[np.ndarray, "52 468 3"],
    displacements: Float64[np.ndarray, "T 468 3"],
    looks: Float64[np.ndarray, "T 52"],
    fps: float,
) -> Float64[np.ndarray, "T 52"]:
    """ARKit weights with mouthClose <= jawOpen.

    `basis` holds the shapes of this face and `displacements` are from its rest shape, both in
    metres; `looks` are the weights of the look shapes, already known.
    """
    columns = np.array([INDEX[name] for name in SOLVED])
    fields = basis[columns].copy()
    jaw, close = SOLVED.index("jawOpen"), SOLVED.index("mouthClose")
    # mouthClose is replaced by a jaw that opens behind closed lips: no solution can then close the
    # lips further than the jaw opened them.
    fields[close] += fields[jaw]
    shapes = _features(fields)
    size = len(basis)
    target = displacements - (looks @ basis.reshape(size, -1)).reshape(displacements.shape)
    gram = shapes @ shapes.T
    evidence = _features(target) @ shapes.T
    typical = float(np.median(np.diag(gram)))
    reluctance = np.array([_RELUCTANCE.get(name, 1.0) for name in SOLVED])
    ridge = _RIDGE * typical * reluctance
    lips = np.array([name.startswith(("mouth", "jaw")) for name in SOLVED])
    tie = typical * np.where(lips, _TIE_LIPS, _TIE) * (fps / 60.0) ** 2
    found = bounded_least_squares(gram, evidence, ridge, tie, (jaw, close))
    weights = looks.copy()
    weights[:, columns] = found
    weights[:, INDEX["jawOpen"]] = np.minimum(found[:, jaw] + found[:, close], 1.0)
    return np.asarray(np.clip(weights, 0.0, 1.0))


def bounded_least_squares(
    gram: Float64[np.ndarray, "N N"],
    evidence: Float64[np.ndarray, "T N"],
    ridge: Float64[np.ndarray, " N"],
    tie: Float64[np.ndarray, " N"],
    shared: tuple[int, int] | None = None,
) -> Float64[np.ndarray, "T N"]:
    """The x in 0..1 that minimises a quadratic cost with coupled frames.

    The cost, summed over t, is
    x_t' gram x_t / 2 - evidence_t x_t + ridge x_t^2 / 2 + tie (x_t - x_t-1)^2 / 2.
    The two columns of `shared` sum to at most 1.
    """
    frames, count = evidence.shape
    x = np.zeros((frames, count))
    explained = np.zeros((frames, count))
    neighbours = np.full(frames, 2.0)
    neighbours[0] -= 1.0
    neighbours[-1] -= 1.0
    for _ in range(_SWEEPS):
        largest = 0.0
        for turn in (slice(0, None, 2), slice(1, None, 2)):
            for j in range(count):
                here = x[turn, j]
                around = np.zeros(frames)
                around[1:] += x[:-1, j]
                around[:-1] += x[1:, j]
                pull = evidence[turn, j] - explained[turn, j] + gram[j, j] * here
                stiffness = gram[j, j] + ridge[j] + tie[j] * neighbours[turn]
                wanted = (pull + tie[j] * around[turn]) / np.maximum(stiffness, 1e-30)
                most: float | NDArray[np.float64] = 1.0
                if shared is not None and j in shared:
                    other = shared[1] if j == shared[0] else shared[0]
                    most = 1.0 - x[turn, other]
                wanted = np.clip(wanted, 0.0, most)
                change = wanted - here
                if change.size and (step := float(np.abs(change).max())) > 1e-9:
                    largest = max(largest, step)
                    x[turn, j] = wanted
                    explained[turn] += change[:, None] * gram[j]
        if largest < _SETTLED:
            break
    return x
