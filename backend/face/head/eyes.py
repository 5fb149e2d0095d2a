# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyeballs behind the lids: round caps that turn with the look shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from shared.landmarks import (
    LANDMARK_COUNT,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

from .parts import Part, still, strip_triangles

RADIUS = 0.0125  # metres on the template; an adult's eyeball has 12 mm
IRIS_RADIUS = 0.0059
# Angles from the front at which the cap has rings, degrees; the iris ends at about 28.
RINGS = (6.0, 11.0, 17.0, 23.0, 28.0, 32.0, 39.0, 48.0, 58.0, 70.0, 84.0, 100.0)
SEGMENTS = 24
EDGE = 102.0  # degrees; where the texture tile ends
# The cornea bulges over the iris: up to this angle, by this much in its middle, metres.
CORNEA, BULGE = 33.0, 0.0006
# The ball retracts while the lids close over it, as in life, metres.
RETREAT = 0.0030
# The ball stays this far behind the edges of the lids, metres.
CLEARANCE = 0.0004
# Rotation of the full look shapes, degrees.
LOOK = {"Up": 26.0, "Down": 28.0, "In": 34.0, "Out": 34.0}


@dataclass(frozen=True, eq=False)
class Eyeball:
    """Centre and radius in metres."""

    centre: Float64[np.ndarray, " 3"]
    radius: float


def lid_ring(side: str) -> list[int]:
    """The landmarks around one eye, in order around its opening."""
    upper, lower = (
        (LEFT_LID_UPPER, LEFT_LID_LOWER) if side == "left" else (RIGHT_LID_UPPER, RIGHT_LID_LOWER)
    )
    return [*upper, *lower[-2:0:-1]]


def place_eyeball(
    landmarks: Float64[np.ndarray, "468 3"],
    iris: Float64[np.ndarray, " 3"],
    side: str,
    scale: float,
) -> Eyeball:
    """Fit the ball that fills an eye's opening from behind; all in metres.

    `iris` is the tracked centre of the iris; it moves the ball slightly off the middle of the
    opening, so that an eye at rest looks straight ahead and sits as it does in the photo.
    """
    upper, lower = (
        (LEFT_LID_UPPER, LEFT_LID_LOWER) if side == "left" else (RIGHT_LID_UPPER, RIGHT_LID_LOWER)
    )
    radius = RADIUS * scale
    ring = landmarks[[*upper[1:-1], *lower[1:-1]]]
    middle = (landmarks[upper[0]] + landmarks[upper[-1]]) / 2
    height = (landmarks[list(upper[3:6])].mean(axis=0) + landmarks[list(lower[3:6])].mean(axis=0))[
        2
    ] / 2
    near = 0.0016 * scale
    x = middle[0] + np.clip(iris[0] - middle[0], -near, near)
    z = height + np.clip(iris[2] - height, -near / 2, near)
    away = np.clip(radius**2 - (ring[:, 0] - x) ** 2 - (ring[:, 2] - z) ** 2, 0, None)
    # Points beside the ball do not limit how far forward it can be.
    beside = away < (0.35 * radius) ** 2
    depth = np.where(beside, -np.inf, ring[:, 1] + np.sqrt(away))
    return Eyeball(np.array([x, depth.max() + CLEARANCE * scale, z]), radius)


def eye_parts(
    landmarks: Float64[np.ndarray, "468 3"], ball: Eyeball, side: str, scale: float
) -> list[Part]:
    """Build the ball of one eye and the inner edge of its lids."""
    return [_ball(ball, side, scale), _lid_edge(landmarks, ball, side)]


def _ball(ball: Eyeball, side: str, scale: float) -> Part:
    angles = np.radians(RINGS)
    around = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    theta, phi = np.meshgrid(angles, around, indexing="ij")
    away = np.stack(
        [np.sin(theta) * np.cos(phi), -np.cos(theta), np.sin(theta) * np.sin(phi)], axis=-1
    ).reshape(-1, 3)
    away = np.concatenate([[(0.0, -1.0, 0.0)], away])
    share = np.clip(1.0 - (np.append(0.0, np.repeat(RINGS, SEGMENTS)) / CORNEA) ** 2, 0, 1) ** 2
    vertices = ball.centre + (ball.radius + BULGE * scale * share)[:, None] * away
    flat = np.concatenate([[(0.0, 0.0)], np.stack(
        [np.degrees(theta) / EDGE * np.cos(phi), np.degrees(theta) / EDGE * np.sin(phi)], axis=-1
    ).reshape(-1, 2)])  # fmt: skip
    uvs = 0.5 + 0.5 * flat
    first = LANDMARK_COUNT
    faces = []
    for k in range(SEGMENTS):
        faces.append((first, first + 1 + k, first + 1 + (k + 1) % SEGMENTS))
    for ring in range(len(RINGS) - 1):
        row = first + 1 + ring * SEGMENTS
        for k in range(SEGMENTS):
            a, b = row + k, row + (k + 1) % SEGMENTS
            faces += [(a, a + SEGMENTS, b), (b, a + SEGMENTS, b + SEGMENTS)]
    triangles = np.array(faces, np.int32)
    name = side.capitalize()
    outward = 1.0 if side == "left" else -1.0
    from_centre = vertices - ball.centre
    turns = {
        "Up": _turn_x(LOOK["Up"]),
        "Down": _turn_x(-LOOK["Down"]),
        "Out": _turn_z(outward * LOOK["Out"]),
        "In": _turn_z(-outward * LOOK["In"]),
    }
    extra = {
        f"eyeLook{look}{name}": from_centre @ turn.T - from_centre for look, turn in turns.items()
    }
    extra[f"eyeBlink{name}"] = np.tile((0.0, RETREAT * scale, 0.0), (len(vertices), 1))
    return Part(vertices, uvs, triangles, "eye", still(len(vertices)), np.zeros(len(vertices)),
                extra, name=f"{side}_eye", tile=f"{side}_eye")  # fmt: skip


def _lid_edge(landmarks: NDArray[np.float64], ball: Eyeball, side: str) -> Part:
    """A rim from the lids back to the ball, so that no gap shows between them."""
    ring = lid_ring(side)
    edge = landmarks[ring]
    # Back around the ball; at the corners, which lie beside it, this is the tissue that closes
    # the gap.
    away = edge - ball.centre + np.array((0.0, 0.42, 0.0)) * ball.radius
    back = ball.centre + 0.97 * ball.radius * away / np.linalg.norm(away, axis=1, keepdims=True)
    own = list(range(LANDMARK_COUNT, LANDMARK_COUNT + len(ring)))
    triangles = strip_triangles(ring, own, closed=True)
    if side == "left":
        triangles = triangles[:, ::-1]
    follow = still(len(ring))
    follow[np.arange(len(ring)), ring] = 1.0
    return Part(back, np.zeros((len(ring), 2)), np.ascontiguousarray(triangles), "skin", follow,
                np.zeros(len(ring)), name=f"{side}_lid_edge")  # fmt: skip


def _turn_x(degrees: float) -> NDArray[np.float64]:
    """Rotation about +X; a positive angle raises a gaze along -Y."""
    a = np.radians(-degrees)
    return np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])


def _turn_z(degrees: float) -> NDArray[np.float64]:
    """Rotation about +Z; a positive angle turns a gaze along -Y towards +X."""
    a = np.radians(degrees)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
