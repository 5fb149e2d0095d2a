# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of the mouth: the inner lips and the bag behind them, teeth, gums and tongue."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from shared.landmarks import (
    INNER_LIP_RING,
    INNER_LIP_UPPER,
    LANDMARK_COUNT,
    LIP_EDGES,
)

from .parts import Part, grid_triangles, still, strip_triangles
from .teeth import TEETH_BEHIND_LIPS, teeth_parts

# All lengths in metres on the template.
# The front of the dental arch, for contact between lips and teeth.
ARCH_HALF_WIDTH = 0.0235
ARCH_DEPTH = 0.033
TONGUE_REACH = 0.030  # how far tongueOut brings the tip forward


def mouth_ring() -> list[int]:
    """The landmarks of the lips' inner edge, in order from the right corner over the top."""
    return list(INNER_LIP_RING)


def mouth_parts(landmarks: Float64[np.ndarray, "468 3"], scale: float) -> list[Part]:
    """Build everything behind the lips of a face with closed lips."""
    return [
        *_bag(landmarks, scale),
        *teeth_parts(_middle(landmarks), scale),
        _tongue(landmarks, scale),
    ]


def _middle(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(landmarks[list(LIP_EDGES)].mean(axis=0))


def _bag(landmarks: NDArray[np.float64], scale: float) -> list[Part]:
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

    def row(back: float, rise: float, narrow: float) -> NDArray[np.float64]:
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
        lip_triangles,
        "skin",
        np.concatenate([follow, follow]),
        np.zeros(2 * count),
        name="inner_lips",
    )
    bag_rows = [
        row(0.0045, 0.0030, 0.97),
        row(0.016, 0.018, 1.14),
        row(0.034, 0.023, 1.18),
        row(0.056, 0.017, 0.85),
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
        np.concatenate([triangles, cap]),
        "mouth_and_tongue",
        bag_follow,
        jaw,
        name="mouth_bag",
        tile="mouth",
    )
    return [lips, bag]


def _tongue(landmarks: NDArray[np.float64], scale: float) -> Part:
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
