# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyeballs of installed heads: where their middle is, how they turn, where the iris lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.face.head.eyes import EDGE, LOOK, RADIUS

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ball:
    """An eyeball of a head: its vertices' rows [N], its middle [3] and its radius in metres."""

    side: str
    rows: NDArray[np.int64]
    centre: Floats
    radius: float


def find_ball(side: str, vertices: Floats, rows: NDArray[np.int64]) -> Ball:
    """The ball that vertices [V,3] of an eyeball lie on, as far as they lie behind the cornea."""
    points = vertices[rows]
    for _ in range(2):
        # A sphere through points is a line of unknowns: x² = 2 c·x + (r² - c²).
        matrix = np.column_stack([2 * points, np.ones(len(points))])
        solution, *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
        centre = solution[:3]
        away = np.linalg.norm(points - centre, axis=1)
        # The cornea bulges out and would pull the ball forward.
        points = points[away <= np.quantile(away, 0.7)]
    return Ball(side, rows, centre, float(np.median(away)))


def turns(ball: Ball, vertices: Floats) -> dict[str, Floats]:
    """Offsets [N,3] of the ball's vertices for its four look shapes."""
    from_centre = vertices[ball.rows] - ball.centre
    outward = 1.0 if ball.side == "left" else -1.0
    name = ball.side.capitalize()
    about = {
        "Up": _turn(0, -LOOK["Up"]),
        "Down": _turn(0, LOOK["Down"]),
        "Out": _turn(2, outward * LOOK["Out"]),
        "In": _turn(2, -outward * LOOK["In"]),
    }
    return {
        f"eyeLook{look}{name}": from_centre @ turn.T - from_centre for look, turn in about.items()
    }


def tile_places(ball: Ball, vertices: Floats, size: float) -> Floats:
    """Where the vertices lie in a painted eye's tile, [N,2] from -1 to 1 (right and up).

    A tile is painted for a ball of RADIUS × `size`; on a larger one the iris stays as wide.
    """
    away = vertices[ball.rows] - ball.centre
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    angle = np.arccos(np.clip(-away[:, 1], -1, 1))
    reach = np.sin(np.minimum(angle, np.pi / 2)) * ball.radius / (RADIUS * size)
    edge = np.arcsin(min(1.0, RADIUS * size / ball.radius))
    inner = np.degrees(np.arcsin(np.minimum(reach, 1.0)))
    outer = 90.0 + (EDGE - 90.0) * (angle - edge) / max(np.pi - edge, 1e-6)
    degrees = np.where(angle < edge, inner, outer)
    flat = away[:, [0, 2]]
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return np.asarray(flat * degrees[:, None] / EDGE)


def _turn(axis: int, degrees: float) -> Floats:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[one, one] = matrix[two, two] = cosine
    matrix[one, two], matrix[two, one] = -sine, sine
    return matrix
