# SPDX-License-Identifier: GPL-3.0-or-later
"""The lips as they really move, where a sum of shapes falls short.

The jaw turns along an arc where its shape follows the chord. Lips that meet stay together
whatever the jaw does, become thin and bulge forward while they are pressed, part in the middle
first, and never pass through each other. On f and v the lower lip goes under the edge of the
upper teeth. All of it is a pose for given strengths of contact; how these run in time is not
decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
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

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
_Real = TypeVar("_Real", np.float32, np.float64)

# Metres along the template's skin. Around the lips everything may move; of the chin what turns
# with the jaw.
_AROUND_LIPS = 0.0175
_CHIN, _CHIN_CORE, _CHIN_REACH = 199, 0.026, 0.050
# Lip pairs between the corners, and how near the corner each is: 0 in the middle, 1 at its end.
_UPPER, _LOWER = INNER_LIP_UPPER[1:-1], INNER_LIP_LOWER[1:-1]
PAIR_COUNT = len(_UPPER)
CORNER_NEARNESS: Singles = np.abs(np.linspace(-1.25, 1.25, PAIR_COUNT, dtype=np.float32)).clip(0, 1)
# Of the way to the meeting point the lower lip goes most.
_UPPER_GOES = 0.35
# Pressed lips: share of their height that is lost, and metres that they bulge forward.
_PRESS_THIN, _PRESS_BULGE, _PRESS_REACH = 0.32, 0.0016, 0.014
# A tucked lip reaches the teeth in the middle only; it stays this far under their edge.
_TUCK_OF_PAIR: Singles = np.array((0.05, 0.4, 0.85, 1, 1, 1, 0.85, 0.4, 0.05), np.float32)
_UNDER_EDGE = 0.0004
# The height of that edge against the line of the lips, metres, as the lip fields were fitted.
_TUCK_EDGE = -0.0022
# Squared errors of lip vertices, and of the gap of a pair, against those of the skin around.
_LIPS_COUNT, _GAPS_COUNT = 3.0, 6.0


@lru_cache(maxsize=1)
def _chin_share() -> Floats:
    """How far each landmark [468] takes part in the jaw's arc: the chin, fading upwards."""
    jaw = load_table().muscles["jawOpen"].jaw
    assert jaw is not None
    template = load_template()
    region = fade(template.distances[_CHIN], _CHIN_REACH, _CHIN_CORE)
    return np.asarray(jaw_share(jaw, template) * region)


@lru_cache(maxsize=1)
def lip_distance() -> Floats:
    """Metres along the template's skin to the nearest point of the lips' borders, [468]."""
    rings = set(LIP_LANDMARKS)
    return np.asarray(load_template().distances[sorted(rings)].min(axis=0))


@lru_cache(maxsize=1)
def lip_region() -> NDArray[np.int64]:
    """The landmarks [L] that offsets may move: lips, what is around them, chin."""
    moved = (lip_distance() < _AROUND_LIPS) | (_chin_share() > 0.02)
    return np.flatnonzero(moved)


@lru_cache(maxsize=1)
def lip_vertices() -> NDArray[np.int64]:
    """Places in `lip_region()` of the lips themselves, on which errors are counted."""
    return np.flatnonzero(lip_distance()[lip_region()] < 0.005)


@lru_cache(maxsize=1)
def _places() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in `lip_region()` of the upper and lower edges of the pairs [9] each."""
    place = {int(vertex): number for number, vertex in enumerate(lip_region())}
    upper = np.array([place[v] for v in _UPPER])
    lower = np.array([place[v] for v in _LOWER])
    return upper, lower


@lru_cache(maxsize=1)
def _spread() -> Singles:
    """From corrections of the edges, upper then lower [18], to the region: [L,18]."""
    lips = contacts()["lips"]
    held = {int(vertex): number for number, vertex in enumerate(lips.held)}
    order = [held[v] for v in (*_UPPER, *_LOWER)]
    return np.ascontiguousarray(lips.operator[lip_region()][:, order], np.float32)


@lru_cache(maxsize=1)
def lip_metric() -> Floats:
    """What an error of the region costs, [L*3,L*3]: at the lips more than around them, and most
    where it would open or cross lips that meet. Its square root is a length.
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
    """What contact needs to know of one face; arrays of the region are flat, [L*3] in metres.

    shapes    [52,L*3]; `arc_cos`, `arc_sin` and `press` [L*3]: extra motions
    edges     [18,3] the rest places of the lip edges, upper then lower
    under     [9,3] where the lower edges are when they are tucked
    """

    shapes: Singles
    arc_cos: Singles
    arc_sin: Singles
    press: Singles
    edges: Singles
    under: Singles
    angle: float


def lip_shapes(neutral: Floats, basis: Floats) -> LipShapes:
    """Prepare a face: neutral landmarks [468,3] with closed lips, its 52 shapes [52,468,3]."""
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


def _flat(field: Floats) -> Singles:
    """[...,L,3] to [...,L*3]."""
    return np.ascontiguousarray(field.reshape(*field.shape[:-2], -1), np.float32)


def _press_field(neutral: Floats, scale: float) -> Floats:
    """Thinner and further forward, as far as skin is red: [468,3]."""
    line = list(INNER_LIP_UPPER)
    near = fade(load_template().distances[[*line, *INNER_LIP_LOWER]].min(axis=0), _PRESS_REACH)
    order = np.argsort(neutral[line, 0])
    height = np.interp(neutral[:, 0], neutral[line, 0][order], neutral[line, 2][order])
    # Nothing is pressed at the corners, nor beyond them.
    half = abs(neutral[line[-1], 0] - neutral[line[0], 0]) / 2
    across = np.clip(1.0 - ((neutral[:, 0] - neutral[UPPER_LIP_EDGE, 0]) / half) ** 2, 0.0, 1.0)
    field = np.zeros_like(neutral)
    field[:, 1] = -_PRESS_BULGE * scale * near
    field[:, 2] = -_PRESS_THIN * (neutral[:, 2] - height) * near
    return np.asarray(field * across[:, None])


def _under_teeth(neutral: Floats, lower: Floats, scale: float) -> Floats:
    """Just below the cutting edge of the upper teeth at each lower lip point [9,3]."""
    middle = neutral[list(LIP_EDGES)].mean(axis=0)
    along = np.clip(np.abs(lower[:, 0] - middle[0]) / (ARCH_HALF_WIDTH * scale), 0.0, 0.95)
    behind = TEETH_BEHIND_LIPS + ARCH_DEPTH * (1.0 - np.sqrt(1.0 - along**2))
    places = lower.copy()
    places[:, 1] = middle[1] + behind * scale
    places[:, 2] = middle[2] + (_TUCK_EDGE - _UNDER_EDGE) * scale
    return places


def linear_pose(face: LipShapes, weights: NDArray[_Real]) -> NDArray[_Real]:
    """What the 52 weights [T,52] alone do to the region: displacement [T,L,3] in metres."""
    used = np.flatnonzero(weights.any(axis=0))
    moved = (weights[:, used] @ face.shapes[used]).reshape(len(weights), -1, 3)
    return np.asarray(moved, weights.dtype)


def contact_pose(
    face: LipShapes, weights: NDArray[_Real], closure: Singles, press: Singles, tuck: Singles
) -> NDArray[_Real]:
    """The region's displacement [T,L,3] in metres, in the precision of `weights`.

    `closure` [T,9] of each lip pair, `press` [T] and `tuck` [T] in 0..1. At closure 1 a pair
    meets exactly.
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


def _close(upper: Singles, lower: Singles, closure: Singles) -> None:
    """Bring the edges [T,9,3] together by `closure` [T,9]; in place."""
    gap = closure[:, :, None] * (upper - lower)
    upper -= np.float32(_UPPER_GOES) * gap
    lower += np.float32(1.0 - _UPPER_GOES) * gap


def _keep_apart(upper: Singles, lower: Singles, tucked: Singles) -> None:
    """Where an upper edge is below its lower one, both give way, or the upper one alone where
    the lower one lies under the teeth; in place.
    """
    crossing = np.minimum(upper[:, :, 2] - lower[:, :, 2], 0.0)
    upper_gives = 0.5 + 0.5 * tucked
    upper[:, :, 2] -= upper_gives * crossing
    lower[:, :, 2] += (1.0 - upper_gives) * crossing


def gaps(face: LipShapes, displacement: Singles) -> tuple[Singles, Singles]:
    """Distance of the edges of each pair [T,9] in metres, and how deep they cross [T,9] (0 or
    more) for a displacement [T,L,3] of the region.
    """
    upper_of, lower_of = _places()
    upper = displacement[:, upper_of] + face.edges[:PAIR_COUNT]
    lower = displacement[:, lower_of] + face.edges[PAIR_COUNT:]
    away = upper - lower
    return np.linalg.norm(away, axis=2), np.maximum(-away[:, :, 2], 0.0)
