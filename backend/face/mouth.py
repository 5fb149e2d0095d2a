# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside of the mouth: the inner lips and the bag behind them, teeth, gums and tongue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .parts import Part, grid_triangles, still, strip_triangles
from .topology import INNER_LIP_LOWER, INNER_LIP_UPPER, LANDMARK_COUNT

Floats = NDArray[np.float64]

# All lengths in metres on the template.
TEETH_BEHIND_LIPS = 0.0068
ARCH_HALF_WIDTH = 0.0235
ARCH_DEPTH = 0.033
ARCH_ANGLE = 76.0
ARCH_COLUMNS = 21
UPPER_EDGE = -0.0022  # the cutting edges against the line of the lips
LOWER_EDGE = -0.0024
TOOTH_HEIGHT = 0.0095
GUM_HEIGHT = 0.0060
TONGUE_REACH = 0.030  # how far tongueOut brings the tip forward


def mouth_ring() -> list[int]:
    """The landmarks of the lips' inner edge, once round, from the right corner over the top."""
    return [*INNER_LIP_UPPER, *INNER_LIP_LOWER[-2:0:-1]]


def mouth_parts(landmarks: Floats, scale: float) -> list[Part]:
    """Everything behind the lips of a face with closed lips."""
    return [
        *_bag(landmarks, scale),
        _teeth(landmarks, scale, upper=True),
        _teeth(landmarks, scale, upper=False),
        _tongue(landmarks, scale),
    ]


def _middle(landmarks: Floats) -> Floats:
    return np.asarray((landmarks[13] + landmarks[14]) / 2)


def _bag(landmarks: Floats, scale: float) -> list[Part]:
    """The inside of the lips in their own colour, then a dark bag that closes at the throat."""
    ring = mouth_ring()
    count = len(ring)
    edge = landmarks[ring]
    middle = _middle(landmarks)
    is_upper = np.zeros(count)
    is_upper[1 : len(INNER_LIP_UPPER) - 1] = 1.0
    is_lower = np.zeros(count)
    is_lower[len(INNER_LIP_UPPER) :] = 1.0
    up = (is_upper - is_lower)[:, None] * np.array((0.0, 0.0, 1.0))
    # 0 at the corners, 1 in the middle of the lips: corners have no room behind them.
    inner = 1.0 - (np.abs(edge[:, 0] - middle[0]) / np.abs(edge[:, 0] - middle[0]).max()) ** 2
    follow = still(count)
    follow[np.arange(count), ring] = 1.0

    def row(back: float, rise: float, narrow: float) -> Floats:
        points = edge + np.array((0.0, back, 0.0)) * scale
        points = points + up * (rise * scale) * (0.35 + 0.65 * inner[:, None])
        points[:, 0] = middle[0] + (points[:, 0] - middle[0]) * narrow
        return np.asarray(points)

    lip_rows = [row(0.0018, 0.0007, 0.99), row(0.0045, 0.0030, 0.97)]
    own = [list(range(LANDMARK_COUNT + k * count, LANDMARK_COUNT + (k + 1) * count))
           for k in range(2)]  # fmt: skip
    lip_triangles = np.concatenate(
        [strip_triangles(ring, own[0], True), strip_triangles(own[0], own[1], True)]
    )
    lips = Part(
        np.concatenate(lip_rows),
        np.zeros((2 * count, 2)),
        np.ascontiguousarray(lip_triangles[:, ::-1]),
        "skin",
        np.concatenate([follow, follow]),
        np.zeros(2 * count),
        name="inner_lips",
    )
    bag_rows = [
        row(0.0045, 0.0030, 0.97),
        row(0.016, 0.015, 1.05),
        row(0.032, 0.021, 1.02),
        row(0.055, 0.017, 0.80),
    ]
    throat = bag_rows[-1].mean(axis=0) + np.array((0.0, 0.008, 0.0)) * scale
    vertices = np.concatenate([*bag_rows, [throat]])
    rings = len(bag_rows)
    triangles = grid_triangles(rings, count, closed=True)
    last = LANDMARK_COUNT + (rings - 1) * count
    tip = LANDMARK_COUNT + rings * count
    cap = np.array([(last + k, tip, last + (k + 1) % count) for k in range(count)], np.int32)
    share = np.array([1.0, 0.45, 0.15, 0.0])
    bag_follow = np.concatenate([follow * s for s in share] + [still(1)])
    # The lower half of the bag is the floor of the mouth and goes with the jaw.
    jaw = np.concatenate([is_lower * (1.0 - s) * 0.9 for s in share] + [[0.4]])
    jaw += np.concatenate([(1.0 - is_lower - is_upper) * (1.0 - s) * 0.45 for s in share] + [[0.0]])
    depth = np.concatenate([np.full(count, d) for d in (0.95, 0.55, 0.25, 0.05)] + [[0.0]])
    bag = Part(
        vertices,
        np.stack([np.full(len(vertices), 0.5), depth], axis=-1),
        np.ascontiguousarray(np.concatenate([triangles, cap])[:, ::-1]),
        "mouth_and_tongue",
        bag_follow,
        jaw,
        name="mouth_bag",
        tile="mouth",
    )
    return [lips, bag]


def _arch(landmarks: Floats, scale: float, inset: float) -> tuple[Floats, Floats]:
    """Points along a dental arch [C,2] (x, y) from right to left and their place 0..1."""
    middle = _middle(landmarks)
    angle = np.radians(np.linspace(-ARCH_ANGLE, ARCH_ANGLE, ARCH_COLUMNS))
    x = (ARCH_HALF_WIDTH - inset) * np.sin(angle)
    y = TEETH_BEHIND_LIPS + inset + ARCH_DEPTH * (1.0 - np.cos(angle))
    points = np.stack([middle[0] + x * scale, middle[1] + y * scale], axis=-1)
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)])
    return points, along / along[-1]


def _teeth(landmarks: Floats, scale: float, upper: bool) -> Part:
    """A bent band: gum, neck of the teeth, cutting edge, and a row behind for thickness."""
    sign = 1.0 if upper else -1.0
    line = _middle(landmarks)[2]
    edge = UPPER_EDGE if upper else LOWER_EDGE
    # The lower teeth bite behind the upper ones.
    shift = 0.0 if upper else 0.0024
    rows = (
        (GUM_HEIGHT + TOOTH_HEIGHT, 0.0012, 0.0),
        (TOOTH_HEIGHT, 0.0, 0.35),
        (TOOTH_HEIGHT * 0.45, -0.0004, 0.68),
        (0.0006, 0.0002, 0.95),
        (0.0, 0.0012, 1.0),
        (0.0012, 0.0030, 0.97),
        (TOOTH_HEIGHT, 0.0062, 0.5),
    )
    vertices, uvs = [], []
    name = "upper_teeth" if upper else "lower_teeth"
    for height, inset, down in rows:
        points, along = _arch(landmarks, scale, inset + shift)
        z = np.full(len(points), line + (edge + sign * height) * scale)
        vertices.append(np.column_stack([points, z]))
        uvs.append(np.stack([along, np.full(len(along), 1.0 - down)], axis=-1))
    triangles = grid_triangles(len(rows), ARCH_COLUMNS, closed=False)
    if not upper:
        triangles = np.ascontiguousarray(triangles[:, ::-1])
    count = len(rows) * ARCH_COLUMNS
    jaw = np.zeros(count) if upper else np.ones(count)
    return Part(
        np.concatenate(vertices),
        np.concatenate(uvs),
        triangles,
        "teeth_and_gums",
        still(count),
        jaw,
        name=name,
        tile=name,
    )


def _tongue(landmarks: Floats, scale: float) -> Part:
    """A lump on the floor of the mouth; tongueOut pushes it forward over the lower teeth."""
    middle = _middle(landmarks)
    rows, around = 9, 12
    t = np.linspace(0.0, 1.0, rows)  # tip to root
    y = TEETH_BEHIND_LIPS + 0.0085 + 0.040 * t
    half_width = 0.0165 * np.sqrt(np.clip(t * 1.9 + 0.10, 0, 1)) * (1.0 - 0.1 * t)
    half_height = 0.0058 * np.sqrt(np.clip(t * 2.2 + 0.08, 0, 1)) * (1.0 + 0.5 * t)
    centre = -0.0100 + 0.0035 * np.sin(np.pi * np.clip(t, 0, 1))
    angle = np.arange(around) * 2 * np.pi / around
    x = half_width[:, None] * np.cos(angle)
    # A shallow furrow along the middle of the back of the tongue.
    furrow = 0.16 * np.exp(-((np.cos(angle) / 0.35) ** 2)) * (np.sin(angle) > 0)
    z = centre[:, None] + half_height[:, None] * (np.sin(angle) - furrow)
    body = np.stack([x, np.broadcast_to(y[:, None], x.shape), z], axis=-1).reshape(-1, 3)
    tip = np.array([[0.0, y[0] - 0.0022, centre[0]]])
    vertices = middle + np.concatenate([body, tip]) * scale
    count = len(vertices)
    triangles = grid_triangles(rows, around, closed=True)
    end = LANDMARK_COUNT + count - 1
    cap = np.array(
        [(LANDMARK_COUNT + (k + 1) % around, end, LANDMARK_COUNT + k) for k in range(around)],
        np.int32,
    )
    along = np.concatenate([np.repeat(t, around), [0.0]])
    across = np.concatenate([np.tile(0.5 + 0.5 * np.cos(angle), rows), [0.5]])
    out = np.zeros((count, 3))
    forward = (1.0 - along) ** 1.3
    out[:, 1] = -TONGUE_REACH * forward
    out[:, 2] = 0.0065 * np.sin(np.pi * np.clip(forward, 0, 1)) - 0.0015 * forward
    return Part(
        vertices,
        np.stack([across, 1.0 - along], axis=-1),
        np.concatenate([triangles, cap]),
        "mouth_and_tongue",
        still(count),
        np.full(count, 0.92),
        {"tongueOut": out * scale},
        name="tongue",
        tile="tongue",
    )
