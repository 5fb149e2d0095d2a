# SPDX-License-Identifier: GPL-3.0-or-later
"""Blinks that close on the mesh itself, not only on its landmarks, and clear the eyeball.

The gap that a blink leaves, seen from the front, is measured and added to the motion of the
landmarks along the upper lid; then the shape is spread again.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.spatial import cKDTree

from backend.face.arkit_basis import contacts

from .landmark_surface import OPENINGS
from .loose_parts import Eye
from .mesh_graph import MeshGraph
from .sides import Sides
from .visible_edges import CONTACT_OF, OpeningPicture

# The upper lid overshoots by this much, so that no gap stays visible; metres on the template.
_OVERLAP = 0.00025
# A larger gap than this does not come from the mesh's resolution.
_MOST = 0.006
# Lids stay this far from the centre of the ball, as a multiple of its radius.
_LID_THICKNESS = 1.02
# Skin at least this far out at rest, as a share of the radius, lies on the ball.
_ON_BALL = 0.93
# How many points of the eye around a direction give its extent there.
_NEIGHBOURS = 8


def closed_field(
    posed: MeshGraph,
    triangles: Int64[np.ndarray, "F 3"],
    sides: Sides,
    opening: str,
    landmarks: Float64[np.ndarray, "468 3"],
    field: Float64[np.ndarray, "468 3"],
    scale: float,
) -> Float64[np.ndarray, "468 3"] | None:
    """A blink's `field` whose upper lid comes down to the lower one.

    `posed` is the blinking mesh; `landmarks` are at rest. None if the eye is already closed.
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
    # A pair that was not seen is interpolated from its neighbours; the corners stay.
    index = np.arange(len(gap))
    known = seen.copy()
    known[[0, -1]] = True
    open_by = np.interp(index, index[known], open_by[known])
    contact = contacts()[CONTACT_OF[opening]]
    to_upper, to_lower = field[contact.upper].copy(), field[contact.lower].copy()
    to_upper[:, 2] -= open_by
    return contact.corrected(field, to_upper, to_lower)


def around_ball(
    points: Float64[np.ndarray, "N 3"],
    motion: Float[np.ndarray, "N 3"],
    eye: Eye,
    ball: Float64[np.ndarray, "K 3"],
) -> Float64[np.ndarray, "N 3"]:
    """`motion` changed so that no point of the lids enters the eye, or goes deeper than at rest.

    `ball` holds the eye's own points, because a cornea bulges out of the sphere.
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
    # Points well inside at rest, e.g. the pocket behind the lids, may stay there.
    wanted = np.where(before > _ON_BALL * eye.radius, outside, np.minimum(outside, before))
    # Only the front half: behind the middle of the ball lies the socket.
    inside = (distance < wanted) & (away[:, 1] < -0.2 * eye.radius)
    push = np.where(inside, wanted / np.maximum(distance, 1e-9) - 1.0, 0.0)
    return np.asarray(motion + push[:, None] * away)
