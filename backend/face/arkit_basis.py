# SPDX-License-Identifier: GPL-3.0-or-later
"""The muscle table applied to a face: 52 shapes for any set of 468 landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy.typing import NDArray

from shared.arkit import ARKIT_NAMES
from shared.landmarks import (
    EARS,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LANDMARK_COUNT,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

from .muscles import JawMotion, Muscle, MuscleTable, jaw_share, load_table, pull_field
from .surface import laplacian, spread_operator
from .template import Template, face_size, load_template

# Where the lids of a closed eye meet, as a share of the opening above the lower lid.
LIDS_MEET = 0.12
# A correction at the lips or the lids fades out within this distance along the skin, metres.
LIP_SPREAD = 0.016
# A lip counts as behind the other from this depth on, as a share of the face's size.
UNDER_DEPTH = 0.03
LID_SPREAD = 0.017
# Number of smoothing passes along the mouth for the lines of sealed lips.
SEAL_SMOOTHING = 12


@dataclass(frozen=True, eq=False)
class Contact:
    """Two edges that meet, and the operator that spreads their corrections over the skin around.

    upper, lower  landmark indices, paired
    held          their union
    """

    upper: Int64[np.ndarray, " P"]
    lower: Int64[np.ndarray, " P"]
    held: Int64[np.ndarray, " held"]
    operator: Float64[np.ndarray, "468 held"]

    def gap(self, field: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "P 3"]:
        """Upper minus lower edge of each pair; `field` has the landmarks first."""
        return np.asarray(field[self.upper] - field[self.lower])

    def corrected(
        self,
        field: Float64[np.ndarray, "468 3"],
        upper: Float64[np.ndarray, "P 3"],
        lower: Float64[np.ndarray, "P 3"],
    ) -> Float64[np.ndarray, "468 3"]:
        """Change `field` so that its edges are exactly at `upper` and `lower`, spread smoothly."""
        wanted = np.zeros((LANDMARK_COUNT, 3))
        wanted[self.upper] = upper - field[self.upper]
        wanted[self.lower] = lower - field[self.lower]
        return np.asarray(field + self.operator @ wanted[self.held])


def _contact(template: Template, upper: tuple[int, ...], lower: tuple[int, ...],
             spread: float) -> Contact:  # fmt: skip
    held = np.array(sorted(set(upper) | set(lower)))
    far = np.flatnonzero(template.distances[held].min(axis=0) > spread)
    smoothness = laplacian(template.vertices, template.triangles)
    return Contact(np.array(upper), np.array(lower), held, spread_operator(smoothness, held, far))


@lru_cache(maxsize=1)
def contacts() -> dict[str, Contact]:
    """The contacts of the face by name.

    "lips", the lids of the "left" and "right" eye, and "lip_rings": the lips together with the
    borders of their red, which do not meet.
    """
    template = load_template()
    upper_rings, lower_rings = INNER_LIP_UPPER + OUTER_LIP_UPPER, INNER_LIP_LOWER + OUTER_LIP_LOWER
    return {
        "lips": _contact(template, INNER_LIP_UPPER, INNER_LIP_LOWER, LIP_SPREAD),
        "lip_rings": _contact(template, upper_rings, lower_rings, LIP_SPREAD),
        "left": _contact(template, LEFT_LID_UPPER, LEFT_LID_LOWER, LID_SPREAD),
        "right": _contact(template, RIGHT_LID_UPPER, RIGHT_LID_LOWER, LID_SPREAD),
    }


@lru_cache(maxsize=4)
def _pull_fields(table: MuscleTable) -> dict[str, NDArray[np.float64]]:
    template = load_template()
    return {name: pull_field(muscle, template) for name, muscle in table.muscles.items()}


def hinge_point(
    vertices: Float64[np.ndarray, "468 3"], table: MuscleTable | None = None
) -> Float64[np.ndarray, " 3"]:
    """The jaw's hinge on a face: the midpoint of its axis, metres."""
    table = table or load_table()
    scale = face_size(vertices) / face_size(load_template().vertices)
    ears = vertices[list(EARS)].mean(axis=0)
    return np.asarray((0.0, ears[1], ears[2]) + np.array(table.hinge) * scale / 1000.0)


def jaw_motion(
    jaw: JawMotion,
    points: Float64[np.ndarray, "N 3"],
    hinge: Float64[np.ndarray, " 3"],
    scale: float,
) -> Float64[np.ndarray, "N 3"]:
    """Displacement of `points` that follow the jaw fully, metres."""
    angle = np.radians(jaw.degrees)
    # Opening turns the chin down and back: about +X, by the right-hand rule.
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    from_hinge = points - hinge
    return np.asarray(from_hinge @ turn.T - from_hinge + np.array(jaw.slide) * scale / 1000.0)


def landmark_basis(
    vertices: Float64[np.ndarray, "468 3"], table: MuscleTable | None = None
) -> Float64[np.ndarray, "52 468 3"]:
    """The 52 shapes of a neutral, frontal face as offsets in metres.

    `vertices` are in metres in our axes, with closed lips. The table's motions are scaled to the
    face; then lips and lids are corrected so that on *this* face blinks close exactly, sealed
    shapes stay sealed, mouthClose cancels all of jawOpen's gap, and nothing crosses.
    """
    table = table or load_table()
    template = load_template()
    scale = face_size(vertices) / face_size(template.vertices)
    hinge = hinge_point(vertices, table)
    pulls = _pull_fields(table)
    fields: dict[str, NDArray[np.float64]] = {}
    for name, muscle in table.muscles.items():
        field = pulls[name] * scale / 1000.0
        if muscle.jaw is not None:
            share = jaw_share(muscle.jaw, template)[:, None]
            field = field + share * jaw_motion(muscle.jaw, vertices, hinge, scale)
        fields[name] = field
    rules = {name: muscle.lips for name, muscle in table.muscles.items()}
    return with_contacts(fields, vertices, table, rules)


def with_contacts(
    fields: dict[str, Float64[np.ndarray, "468 3"]],
    vertices: Float64[np.ndarray, "468 3"],
    table: MuscleTable | None = None,
    rules: dict[str, str] | None = None,
) -> Float64[np.ndarray, "52 468 3"]:
    """Correct any 52 motions of a face at lips and lids.

    Blinks close by the table's share and no shape makes lids cross. `rules` gives each shape's
    rule for the lips (see `LIP_RULES`); without it lips do not cross, and mouthClose seals.
    """
    table = table or load_table()
    if rules is None:
        rules = {name: "sealing" if name == "mouthClose" else "apart" for name in fields}
    kept = {
        name: _lids(name, table.muscles[name], field, vertices) for name, field in fields.items()
    }
    # mouthClose refers to the corrected jawOpen, so the others come first.
    for name, rule in rules.items():
        if rule and rule != "sealing":
            kept[name] = _lips(rule, kept[name], vertices)
    for name, rule in rules.items():
        if rule == "sealing":
            both = _sealed(kept[name] + kept["jawOpen"])
            kept[name] = both - kept["jawOpen"]
    return np.stack([kept[name] for name in ARKIT_NAMES])


def _lips(
    rule: str, field: NDArray[np.float64], vertices: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correct a shape at the lips' edges so that it follows its rule."""
    lips = contacts()["lips"]
    upper, lower = field[lips.upper].copy(), field[lips.lower].copy()
    middle = (upper + lower) / 2
    if rule == "together":
        upper = lower = middle
    elif rule == "under":
        gap = upper[:, 2] - lower[:, 2]
        # Where one lip is well behind the other it may overlap it; elsewhere they just meet.
        behind = np.abs(upper[:, 1] - lower[:, 1]) > UNDER_DEPTH * face_size(vertices)
        change = np.where(behind & (gap < 0), 0.0, gap)
        lower_rolls = lower[:, 1].mean() > upper[:, 1].mean()
        if lower_rolls:
            lower[:, 2] += change
        else:
            upper[:, 2] -= change
    else:
        crossing = np.minimum(upper[:, 2] - lower[:, 2], 0.0)
        upper[:, 2] -= crossing / 2
        lower[:, 2] += crossing / 2
    return lips.corrected(field, upper, lower)


def _sealed(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Close the lips over an open jaw.

    The line between them and the borders of their red stay smooth, without a kink near the corners.
    """
    rings = contacts()["lip_rings"]
    upper, lower = field[rings.upper].copy(), field[rings.lower].copy()
    count = len(INNER_LIP_UPPER)
    upper[:count] = lower[:count] = (upper[:count] + lower[:count]) / 2
    for ring in (upper[:count], lower[:count], upper[count:], lower[count:]):
        for _ in range(SEAL_SMOOTHING):
            ring[1:-1] = (ring[:-2] + 2 * ring[1:-1] + ring[2:]) / 4
    return rings.corrected(field, upper, lower)


def _lids(
    name: str, muscle: Muscle, field: NDArray[np.float64], vertices: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Close the eye by the table's share; keep lids from crossing in other shapes."""
    for side in ("left", "right"):
        lids = contacts()[side]
        rest = lids.gap(vertices)
        upper, lower = field[lids.upper].copy(), field[lids.lower].copy()
        if muscle.closes_lid is not None and name.lower().endswith(side):
            meeting = vertices[lids.lower] + LIDS_MEET * rest
            to_upper = muscle.closes_lid * (meeting - vertices[lids.upper])
            to_lower = muscle.closes_lid * (meeting - vertices[lids.lower])
            field = lids.corrected(field, to_upper, to_lower)
            continue
        after = rest[:, 2] + upper[:, 2] - lower[:, 2]
        crossing = np.minimum(after, 0.0) * (rest[:, 2] > 0)
        if crossing.min() < -1e-6:
            upper[:, 2] -= crossing
            field = lids.corrected(field, upper, lower)
    return field
