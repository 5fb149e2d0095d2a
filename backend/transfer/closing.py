# SPDX-License-Identifier: GPL-3.0-or-later
"""Blinks that close on the mesh itself, not only on its landmarks, and go around the eyeball.

What is still open when a blink is looked at from the front is measured and given to the row of
landmarks along the upper lid; then the shape is spread again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

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
_LID_THICKNESS = 1.02
# Skin that is this far out at rest, as a share of the radius, lies on the ball.
_ON_BALL = 0.93
# How many points of the eye around a direction say how far out it is there.
_NEIGHBOURS = 8


def closed_field(
    posed: MeshGraph,
    triangles: NDArray[np.int64],
    sides: Sides,
    opening: str,
    landmarks: Floats,
    field: Floats,
    scale: float,
) -> Floats | None:
    """A blink's `field` [468,3] with an upper lid that comes down to the lower one.

    `posed` is the mesh blinking, `landmarks` [468,3] are at rest. None where nothing is open.
    """
    upper, lower = OPENINGS[opening]
    number = list(OPENINGS).index(opening)
    blinking = landmarks + field
    ring = blinking[[*upper, *lower]]
    picture = OpeningPicture(posed, triangles, sides, number, ring, scale)
    gap, seen = np.zeros(len(upper)), np.zeros(len(upper), np.bool_)
    for pair in range(1, len(upper) - 1):
        middle = (blinking[upper[pair]] + blinking[lower[pair]]) / 2
        above, below = picture.edge(middle, +1), picture.edge(middle, -1)
        if above is not None and below is not None:
            gap[pair], seen[pair] = above[2] - below[2], True
    open_by = np.where(seen & (np.abs(gap) < _MOST * scale), gap + _OVERLAP * scale, 0.0)
    open_by = np.maximum(open_by, 0.0)
    if open_by.max() <= 2.0 * _OVERLAP * scale:
        return None
    # Neighbours of a pair that was not seen stand in for it; the corners stay.
    index = np.arange(len(gap))
    known = seen.copy()
    known[[0, -1]] = True
    open_by = np.interp(index, index[known], open_by[known])
    contact = contacts()[CONTACT_OF[opening]]
    to_upper, to_lower = field[contact.upper].copy(), field[contact.lower].copy()
    to_upper[:, 2] -= open_by
    return contact.corrected(field, to_upper, to_lower)


def around_ball(points: Floats, motion: Floats, eye: Eye, ball: Floats) -> Floats:
    """`motion` [N,3] with no point of the lids [N,3] inside the eye, nor deeper than at rest.

    `ball` [K,3] are the eye's own points: a cornea stands out of the sphere.
    """
    to_ball = ball - eye.centre
    size = np.linalg.norm(to_ball, axis=1)
    directions = to_ball / np.maximum(size, 1e-9)[:, None]
    away = points + motion - eye.centre
    distance = np.linalg.norm(away, axis=1)
    _, near = cKDTree(directions).query(
        away / np.maximum(distance, 1e-9)[:, None], k=min(_NEIGHBOURS, len(ball))
    )
    outside = _LID_THICKNESS * size[near.reshape(len(points), -1)].max(axis=1)
    before = np.linalg.norm(points - eye.centre, axis=1)
    # What lies well inside at rest, e.g. the pocket behind the lids, may stay there.
    wanted = np.where(before > _ON_BALL * eye.radius, outside, np.minimum(outside, before))
    # Only the front half: behind the middle of the ball lies the socket.
    inside = (distance < wanted) & (away[:, 1] < -0.2 * eye.radius)
    push = np.where(inside, wanted / np.maximum(distance, 1e-9) - 1.0, 0.0)
    return np.asarray(motion + push[:, None] * away)
