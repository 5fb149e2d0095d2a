# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyeballs of installed heads: their centres, how they turn, where the iris lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from backend.face.head.eyes import EDGE, LOOK, RADIUS


@dataclass(frozen=True, eq=False)
class Ball:
    """An eyeball of a head: its vertices' rows, its centre and its radius in metres."""

    side: str
    rows: Int64[np.ndarray, " N"]
    centre: Float64[np.ndarray, " 3"]
    radius: float


def find_ball(
    side: str, vertices: Float64[np.ndarray, "V 3"], rows: Int64[np.ndarray, " N"]
) -> Ball:
    """The sphere on which the vertices of an eyeball lie, the cornea left out."""
    points = vertices[rows]
    for _ in range(2):
        # A sphere is linear in these unknowns: x² = 2 c·x + (r² - c²).
        matrix = np.column_stack([2 * points, np.ones(len(points))])
        solution, *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
        centre = solution[:3]
        away = np.linalg.norm(points - centre, axis=1)
        # The cornea bulges out and would pull the ball forward.
        points = points[away <= np.quantile(away, 0.7)]
    return Ball(side, rows, centre, float(np.median(away)))


def turns(
    ball: Ball, vertices: Float64[np.ndarray, "V 3"]
) -> dict[str, Float64[np.ndarray, "N 3"]]:
    """Offsets of the ball's vertices for its four look shapes."""
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


def tile_places(
    ball: Ball, vertices: Float64[np.ndarray, "V 3"], size: float
) -> Float64[np.ndarray, "N 2"]:
    """Where the vertices lie in a painted eye's tile, from -1 to 1 (right and up).

    A tile is painted for a ball of RADIUS × `size`; on a larger ball the iris keeps its width.
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


def _turn(axis: int, degrees: float) -> Float64[np.ndarray, "3 3"]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[one, one] = matrix[two, two] = cosine
    matrix[one, two], matrix[two, one] = -sine, sine
    return matrix
