# SPDX-License-Identifier: GPL-3.0-or-later
"""Lip motion that a sum of shapes cannot express.

The jaw moves along an arc, while its shape follows the chord. Lips that meet stay together
whatever the jaw does, become thin and bulge forward while they are pressed, part in the middle
first, and never pass through each other. On f and v the lower lip goes under the edge of the
upper teeth. This module poses lips for given strengths of contact; their timing is decided
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from numpy.typing import NDArray

from shared.arkit import INDEX
from shared.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LIP_EDGES,
    LIP_LANDMARKS,
    UPPER_LIP_EDGE,
)

from .arkit_basis import contacts, hinge_point
from .head.mouth import ARCH_DEPTH, ARCH_HALF_WIDTH
from .head.teeth import TEETH_BEHIND_LIPS
from .muscles import jaw_share, load_table
from .surface import fade
from .template import face_size, load_template

# Metres along the template's skin. Around the lips everything may move; on the chin, what follows
# the jaw.
_AROUND_LIPS = 0.0175
_CHIN, _CHIN_CORE, _CHIN_REACH = 199, 0.026, 0.050
# Lip pairs between the corners, and how near the corner each is: 0 in the middle, 1 at its end.
_UPPER, _LOWER = INNER_LIP_UPPER[1:-1], INNER_LIP_LOWER[1:-1]
PAIR_COUNT = len(_UPPER)
CORNER_NEARNESS: Float32[np.ndarray, " 9"] = np.abs(
    np.linspace(-1.25, 1.25, PAIR_COUNT, dtype=np.float32)
).clip(0, 1)
# The lower lip moves most of the way to the meeting point.
_UPPER_GOES = 0.35
# Pressed lips: share of their height that is lost, and bulge and reach in metres.
_PRESS_THIN, _PRESS_BULGE, _PRESS_REACH = 0.32, 0.0016, 0.014
# A tucked lip reaches the teeth in the middle only; it stays this far under their edge.
_TUCK_OF_PAIR: NDArray[np.float32] = np.array(
    (0.05, 0.4, 0.85, 1, 1, 1, 0.85, 0.4, 0.05), np.float32
)
_UNDER_EDGE = 0.0004
# Height of that edge relative to the line of the lips, metres, as the lip fields were fitted.
_TUCK_EDGE = -0.0022
# Weight of squared errors of lip vertices, and of a pair's gap, relative to the skin around them.
_LIPS_COUNT, _GAPS_COUNT = 3.0, 6.0


@lru_cache(maxsize=1)
def _chin_share() -> NDArray[np.float64]:
    """How much each landmark [468] follows the jaw's arc: the chin, fading upwards."""
    jaw = load_table().muscles["jawOpen"].jaw
    assert jaw is not None
    template = load_template()
    region = fade(template.distances[_CHIN], _CHIN_REACH, _CHIN_CORE)
    return np.asarray(jaw_share(jaw, template) * region)


@lru_cache(maxsize=1)
def lip_distance() -> Float64[np.ndarray, " 468"]:
    """Metres along the template's skin to the nearest point of the lips' borders."""
    rings = set(LIP_LANDMARKS)
    return np.asarray(load_template().distances[sorted(rings)].min(axis=0))


@lru_cache(maxsize=1)
def lip_region() -> Int64[np.ndarray, " L"]:
    """Indices of the landmarks that offsets may move: the lips, the skin around them, the chin."""
    moved = (lip_distance() < _AROUND_LIPS) | (_chin_share() > 0.02)
    return np.flatnonzero(moved)


@lru_cache(maxsize=1)
def lip_vertices() -> Int64[np.ndarray, " lips"]:
    """Places in `lip_region()` of the lips themselves, on which errors are measured."""
    return np.flatnonzero(lip_distance()[lip_region()] < 0.005)


@lru_cache(maxsize=1)
def _places() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in `lip_region()` of the pairs' upper and lower edges, [9] each."""
    place = {int(vertex): number for number, vertex in enumerate(lip_region())}
    upper = np.array([place[v] for v in _UPPER])
    lower = np.array([place[v] for v in _LOWER])
    return upper, lower


@lru_cache(maxsize=1)
def _spread() -> NDArray[np.float32]:
    """The matrix [L,18] from corrections of the edges (upper, then lower) to the region."""
    lips = contacts()["lips"]
    held = {int(vertex): number for number, vertex in enumerate(lips.held)}
    order = [held[v] for v in (*_UPPER, *_LOWER)]
    return np.ascontiguousarray(lips.operator[lip_region()][:, order], np.float32)


@lru_cache(maxsize=1)
def lip_metric() -> Float64[np.ndarray, "L3 L3"]:
    """The quadratic cost of an error of the region, whose square root is a length.

    It is higher at the lips than around them, and highest where lips that meet would part or cross.
    """
    region = lip_region()
    weights = np.full(len(region), 1.0)
    weights[lip_vertices()] = _LIPS_COUNT
    metric = np.diag(np.repeat(weights, 3))
    for upper, lower in zip(*_places(), strict=True):
        for axis in range(3):
            here, there = 3 * upper + axis, 3 * lower + axis
            metric[here, here] += _GAPS_COUNT
            metric[there, there] += _GAPS_COUNT
            metric[here, there] -= _GAPS_COUNT
            metric[there, here] -= _GAPS_COUNT
    return np.asarray(metric)


@dataclass(frozen=True, eq=False)
class LipShapes:
    """One face's data for contact, in metres; fields of the region are flattened, L*3 numbers.

    shapes   the 52 shapes on the region
    arc_cos  extra motion of the jaw's arc, with the cosine of its angle
    arc_sin  the same with the sine
    press    motion of pressed lips
    edges    rest positions of the lip edges, upper then lower
    under    positions of the lower edges when they are tucked under the teeth
    angle    of the fully open jaw, radians
    """

    shapes: Float32[np.ndarray, "52 L3"]
    arc_cos: Float32[np.ndarray, " L3"]
    arc_sin: Float32[np.ndarray, " L3"]
    press: Float32[np.ndarray, " L3"]
    edges: Float32[np.ndarray, "18 3"]
    under: Float32[np.ndarray, "9 3"]
    angle: float


def lip_shapes(
    neutral: Float64[np.ndarray, "468 3"], basis: Float64[np.ndarray, "52 468 3"]
) -> LipShapes:
    """Prepare a face from its neutral landmarks with closed lips and its 52 shapes, metres."""
    region = lip_region()
    scale = face_size(neutral) / face_size(load_template().vertices)
    jaw = load_table().muscles["jawOpen"].jaw
    assert jaw is not None
    from_hinge = neutral[region] - hinge_point(neutral)
    share = _chin_share()[region][:, None]
    edges = neutral[[*_UPPER, *_LOWER]]
    return LipShapes(
        shapes=_flat(basis[:, region]),
        arc_cos=_flat(share * from_hinge * (0, 1, 1)),
        arc_sin=_flat(share * from_hinge[:, [0, 2, 1]] * (0, -1, 1)),
        press=_flat(_press_field(neutral, scale)[region]),
        edges=edges.astype(np.float32),
        under=_under_teeth(neutral, edges[PAIR_COUNT:], scale).astype(np.float32),
        angle=float(np.radians(jaw.degrees)),
    )


def _flat(field: NDArray[np.float64]) -> NDArray[np.float32]:
    """[...,L,3] to [...,L*3]."""
    return np.ascontiguousarray(field.reshape(*field.shape[:-2], -1), np.float32)


def _press_field(neutral: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Thinner and further forward, over the red of the lips: [468,3]."""
    line = list(INNER_LIP_UPPER)
    near = fade(load_template().distances[[*line, *INNER_LIP_LOWER]].min(axis=0), _PRESS_REACH)
    order = np.argsort(neutral[line, 0])
    height = np.interp(neutral[:, 0], neutral[line, 0][order], neutral[line, 2][order])
    # The corners and the skin beyond them are not pressed.
    half = abs(neutral[line[-1], 0] - neutral[line[0], 0]) / 2
    across = np.clip(1.0 - ((neutral[:, 0] - neutral[UPPER_LIP_EDGE, 0]) / half) ** 2, 0.0, 1.0)
    field = np.zeros_like(neutral)
    field[:, 1] = -_PRESS_BULGE * scale * near
    field[:, 2] = -_PRESS_THIN * (neutral[:, 2] - height) * near
    return np.asarray(field * across[:, None])


def _under_teeth(
    neutral: NDArray[np.float64], lower: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Just below the cutting edge of the upper teeth at each lower lip point [9,3]."""
    middle = neutral[list(LIP_EDGES)].mean(axis=0)
    along = np.clip(np.abs(lower[:, 0] - middle[0]) / (ARCH_HALF_WIDTH * scale), 0.0, 0.95)
    behind = TEETH_BEHIND_LIPS + ARCH_DEPTH * (1.0 - np.sqrt(1.0 - along**2))
    places = lower.copy()
    places[:, 1] = middle[1] + behind * scale
    places[:, 2] = middle[2] + (_TUCK_EDGE - _UNDER_EDGE) * scale
    return places


def linear_pose(face: LipShapes, weights: Float[np.ndarray, "T 52"]) -> Float[np.ndarray, "T L 3"]:
    """Displace the region by the 52 weights alone; metres, in the precision of `weights`."""
    used = np.flatnonzero(weights.any(axis=0))
    moved = (weights[:, used] @ face.shapes[used]).reshape(len(weights), -1, 3)
    return np.asarray(moved, weights.dtype)


def contact_pose(
    face: LipShapes,
    weights: Float[np.ndarray, "T 52"],
    closure: Float32[np.ndarray, "T 9"],
    press: Float32[np.ndarray, " T"],
    tuck: Float32[np.ndarray, " T"],
) -> Float[np.ndarray, "T L 3"]:
    """Displace the region by weights and contact; metres, in the precision of `weights`.

    `closure` of each lip pair, `press` and `tuck` are in 0..1. At closure 1 a pair meets exactly.
    """
    frames = len(weights)
    used = np.flatnonzero(weights.any(axis=0))
    opened = np.minimum(weights[:, INDEX["jawOpen"]], 1.0)
    angle = np.float32(face.angle)
    extra = np.stack(
        [
            np.cos(opened * angle) - 1.0 - opened * (np.cos(angle) - 1.0),
            np.sin(opened * angle) - opened * np.sin(angle),
            press,
        ],
        axis=1,
    )
    factors = np.concatenate([weights[:, used], extra], axis=1).astype(weights.dtype)
    fields = np.concatenate(
        [face.shapes[used], face.arc_cos[None], face.arc_sin[None], face.press[None]]
    )
    moved = (factors @ fields).reshape(frames, -1, 3)
    edges_of = np.concatenate(_places())
    before = moved[:, edges_of] + face.edges
    upper, lower = before[:, :PAIR_COUNT].copy(), before[:, PAIR_COUNT:].copy()
    _close(upper, lower, closure)
    tucked = tuck[:, None] * _TUCK_OF_PAIR
    lower += tucked[:, :, None] * (face.under - lower)
    _keep_apart(upper, lower, tucked)
    change = np.concatenate([upper, lower], axis=1) - before
    spread = np.matmul(_spread(), change)
    moved += spread
    return np.asarray(moved, weights.dtype)


def _close(
    upper: Float[np.ndarray, "T 9 3"],
    lower: Float[np.ndarray, "T 9 3"],
    closure: Float32[np.ndarray, "T 9"],
) -> None:
    """Bring the edges [T,9,3] together by `closure` [T,9], in place."""
    gap = closure[:, :, None] * (upper - lower)
    upper -= np.float32(_UPPER_GOES) * gap
    lower += np.float32(1.0 - _UPPER_GOES) * gap


def _keep_apart(
    upper: Float[np.ndarray, "T 9 3"],
    lower: Float[np.ndarray, "T 9 3"],
    tucked: Float32[np.ndarray, "T 9"],
) -> None:
    """Undo crossings of the edges, in place.

    Where an upper edge is below its lower one, both move apart, or only the upper one where the
    lower one lies under the teeth.
    """
    crossing = np.minimum(upper[:, :, 2] - lower[:, :, 2], 0.0)
    upper_gives = 0.5 + 0.5 * tucked
    upper[:, :, 2] -= upper_gives * crossing
    lower[:, :, 2] += (1.0 - upper_gives) * crossing


def gaps(
    face: LipShapes, displacement: Float[np.ndarray, "T L 3"]
) -> tuple[Float[np.ndarray, "T 9"], Float[np.ndarray, "T 9"]]:
    """Distance between the edges of each pair and the depth of their crossing (0 or more), metres.

    `displacement` is that of the region.
    """
    upper_of, lower_of = _places()
    upper = displacement[:, upper_of] + face.edges[:PAIR_COUNT]
    lower = displacement[:, lower_of] + face.edges[PAIR_COUNT:]
    away = upper - lower
    return np.linalg.norm(away, axis=2), np.maximum(-away[:, :, 2], 0.0)
