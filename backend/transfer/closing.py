# SPDX-License-Identifier: GPL-3.0-or-later
"""Blinks that close and lips that seal on the mesh itself, not only on its landmarks.

What is still open when a pose is looked at from the front is measured and given to the rows of
landmarks; then the shape is spread again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.face.arkit_basis import contacts

from .landmark_surface import OPENINGS
from .loose_parts import Eye
from .mesh_graph import MeshGraph
from .sides import Sides
from .visible_edges import CONTACT_OF, OpeningPicture

Floats = NDArray[np.float64]

# The upper lid goes this much too far, so that nothing is left to see, metres on the template.
_OVERLAP = 0.00025
# A gap larger than this was not made by the mesh's fineness.
_MOST = 0.006
# Lids stay this far in front of the ball, as a share of its radius.
_LID_THICKNESS = 1.015


def edges_seen(
    graph: MeshGraph,
    triangles: NDArray[np.int64],
    sides: Sides,
    opening: str,
    landmarks: Floats,
    scale: float,
) -> tuple[Floats, NDArray[np.bool_]]:
    """Height of the gap at each pair of an opening [P] in metres, and where it was seen [P]."""
    upper, lower = OPENINGS[opening]
    number = list(OPENINGS).index(opening)
    picture = OpeningPicture(
        graph, triangles, sides, number, landmarks[[*upper, *lower]], scale
    )
    gap, seen = np.zeros(len(upper)), np.zeros(len(upper), np.bool_)
    for pair in range(1, len(upper) - 1):
        middle = (landmarks[upper[pair]] + landmarks[lower[pair]]) / 2
        above, below = picture.edge(middle, +1), picture.edge(middle, -1)
        if above is not None and below is not None:
            gap[pair], seen[pair] = above[2] - below[2], True
    return gap, seen


def closed_field(
    graph: MeshGraph,
    motion: Floats,
    triangles: NDArray[np.int64],
    sides: Sides,
    opening: str,
    landmarks: Floats,
    fields: tuple[Floats, Floats],
    at_rest: Floats | None,
    scale: float,
) -> Floats | None:
    """`fields[0]` [468,3] changed so that the opening closes in the pose `motion` [P,3].

    `fields[1]` [468,3] are the landmarks' motions in that pose. With `at_rest` [P] the gap at rest
    remains; without it nothing does and the upper edge gives way alone. None where all is closed.
    """
    field, pose = fields
    posed = replace(graph, points=graph.points + motion)
    gap, seen = edges_seen(posed, triangles, sides, opening, landmarks + pose, scale)
    wanted = -_OVERLAP * scale if at_rest is None else np.maximum(at_rest, 0.0)
    too_much = np.where(seen & (np.abs(gap) < _MOST * scale), gap - wanted, 0.0)
    too_much = np.maximum(too_much, 0.0)
    if too_much.max() <= 0.0002 * scale:
        return None
    # Neighbours of a pair that was not seen stand in for it; the corners stay.
    index = np.arange(len(gap))
    known = seen.copy()
    known[[0, -1]] = True
    too_much = np.interp(index, index[known], too_much[known])
    contact = contacts()[CONTACT_OF[opening]]
    upper, lower = field[contact.upper].copy(), field[contact.lower].copy()
    share = 1.0 if at_rest is None else 0.5
    upper[:, 2] -= share * too_much
    lower[:, 2] += (1.0 - share) * too_much
    return contact.corrected(field, upper, lower)


def around_ball(points: Floats, motion: Floats, eye: Eye) -> Floats:
    """`motion` [N,3] with no point of the lids [N,3] inside the ball, nor deeper than at rest."""
    moved = points + motion
    before = np.linalg.norm(points - eye.centre, axis=1)
    away = moved - eye.centre
    distance = np.linalg.norm(away, axis=1)
    wanted = np.minimum(_LID_THICKNESS * eye.radius, before)
    # Only the front half: behind the middle of the ball lies the socket.
    inside = (distance < wanted) & (away[:, 1] < 0.2 * eye.radius)
    push = np.where(inside, wanted / np.maximum(distance, 1e-9) - 1.0, 0.0)
    return np.asarray(motion + push[:, None] * away)
