# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain back of the head and a neck, so that the face does not end like a mask."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .parts import Part, grid_triangles, still, strip_triangles
from .texture import PhotoCrop
from .topology import FACE_OVAL, LANDMARK_COUNT

Floats = NDArray[np.float64]

# The skull as an ellipsoid on the template, metres: middle and half axes.
SKULL_MIDDLE = np.array((0.0, 0.006, 0.050))
SKULL_AXES = np.array((0.076, 0.094, 0.098))
# Steps from the rim of the face (0) to the back pole (1).
STEPS = (0.06, 0.13, 0.21, 0.30, 0.42, 0.56, 0.72, 0.88)
# How much of the rim's motion each step still has.
FOLLOW = (0.75, 0.5, 0.28, 0.12, 0.04, 0.0, 0.0, 0.0)
# The outline of the hair against the bare skull.
HAIR_RANGE = (0.94, 1.30)

NECK_SEGMENTS = 28
# Height, half width, half depth, middle depth and forward slope of the neck's rings, metres on
# the template. The top lies inside the head; its front is low, or it would fill the mouth.
NECK_RINGS = (
    (-0.022, 0.0440, 0.040, 0.018, 0.50),
    (-0.048, 0.0470, 0.044, 0.018, 0.50),
    (-0.078, 0.0490, 0.047, 0.019, 0.42),
    (-0.104, 0.0515, 0.050, 0.021, 0.32),
    (-0.130, 0.0580, 0.055, 0.024, 0.22),
)


def shell_parts(landmarks: Floats, crop: PhotoCrop | None, scale: float) -> list[Part]:
    """Skull and neck around a face [468,3]."""
    return [_skull(landmarks, crop, scale), _neck(landmarks, scale)]


def _skull(landmarks: Floats, crop: PhotoCrop | None, scale: float) -> Part:
    rim = list(FACE_OVAL)
    count = len(rim)
    middle = SKULL_MIDDLE * scale
    axes = SKULL_AXES * scale
    start = (landmarks[rim] - middle) / axes
    size = np.linalg.norm(start, axis=1)
    # Angle from straight ahead and around the line of sight, on the unit sphere.
    ahead = np.arccos(np.clip(-start[:, 1] / size, -1, 1))
    around = np.arctan2(start[:, 2], start[:, 0])
    reach = None if crop is None else _reach_of_person(crop, rim)
    hair = np.ones(count)
    if crop is not None and reach is not None:
        hair = _hair_volume(landmarks[rim], crop.points[rim], reach, middle, axes)
    rows = []
    for step in STEPS:
        angle = ahead + (np.pi - ahead) * step
        # The rim keeps its own distance at first and reaches the skull's by a third of the way.
        ease = 1.0 - (1.0 - min(step / 0.34, 1.0)) ** 2
        # At the pole all ways meet, so the hair is as thick as on average there.
        own = hair + (hair.mean() - hair) * step**2
        far = size + (own - size) * ease
        unit = np.stack(
            [np.sin(angle) * np.cos(around), -np.cos(angle), np.sin(angle) * np.sin(around)],
            axis=-1,
        )
        rows.append(middle + axes * unit * far[:, None])
    pole = middle + axes * (0, 1, 0) * hair.mean()
    vertices = np.concatenate([*rows, [pole]])
    own_rows = [
        list(range(LANDMARK_COUNT + k * count, LANDMARK_COUNT + (k + 1) * count))
        for k in range(len(STEPS))
    ]
    faces = [strip_triangles(rim, own_rows[0], True)]
    faces += [strip_triangles(a, b, True) for a, b in pairwise(own_rows)]
    end = LANDMARK_COUNT + len(STEPS) * count
    last = own_rows[-1]
    faces.append(np.array([(last[k], end, last[(k + 1) % count]) for k in range(count)], np.int32))
    follow = still(len(vertices))
    for k, share in enumerate(FOLLOW):
        follow[k * count + np.arange(count), rim] = share
    return Part(
        vertices,
        np.zeros((len(vertices), 2)),
        np.ascontiguousarray(np.concatenate(faces)[:, ::-1]),
        "skin",
        follow,
        np.zeros(len(vertices)),
        name="skull",
    )


def _outward(points: Floats) -> Floats:
    """Unit directions [N,2] from the middle of the rim in the photo."""
    away = points - points.mean(axis=0)
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


def _reach_of_person(crop: PhotoCrop, rim: list[int]) -> Floats:
    """How far the person goes on beyond the rim of the face in the photo, pixels [N]."""
    points = crop.points[rim]
    away = _outward(points)
    face_height = float(np.ptp(points[:, 1]))
    reach = np.empty(len(rim))
    height, width = crop.person.shape
    steps = np.arange(0.004, 0.62, 0.004) * face_height
    for k, (point, way) in enumerate(zip(points, away, strict=True)):
        path = point + steps[:, None] * way
        column = np.clip(path[:, 0].astype(int), 0, width - 1)
        row = np.clip(path[:, 1].astype(int), 0, height - 1)
        outside = np.flatnonzero(
            (crop.person[row, column] < 0.6)
            | (path[:, 0] < 4) | (path[:, 0] > width - 5)
            | (path[:, 1] < 4) | (path[:, 1] > height - 5)
        )  # fmt: skip
        reach[k] = steps[outside[0]] if len(outside) else steps[-1]
    # Downward there is the neck, not the head; and neighbours should not jump.
    down = np.clip(away[:, 1], 0, 1)
    reach = np.minimum(reach, face_height * (0.62 - 0.42 * down))
    for _ in range(3):
        reach = (np.roll(reach, 1) + 2 * reach + np.roll(reach, -1)) / 4
    return reach


def _hair_volume(
    rim: Floats, points: Floats, reach: Floats, middle: Floats, axes: Floats
) -> Floats:
    """How much larger than the bare skull the head's outline is in the photo, per direction [N].

    Only above the ears: below, long hair, neck and collar hide the head's own outline.
    """
    metres_per_pixel = float(np.ptp(rim[:, 0]) / max(np.ptp(points[:, 0]), 1e-6))
    out = _outward(points) * (1, -1) * reach[:, None] * metres_per_pixel
    border = (rim[:, [0, 2]] + out - middle[[0, 2]]) / axes[[0, 2]]
    wanted = np.linalg.norm(border, axis=1)
    above = np.clip((rim[:, 2] - middle[2] + 0.3 * axes[2]) / (0.5 * axes[2]), 0, 1)
    volume = 1.0 + (np.clip(wanted, *HAIR_RANGE) - 1.0) * above
    for _ in range(4):
        volume = (np.roll(volume, 1) + 2 * volume + np.roll(volume, -1)) / 4
    return np.asarray(volume)


def _neck(landmarks: Floats, scale: float) -> Part:
    angle = np.arange(NECK_SEGMENTS) * 2 * np.pi / NECK_SEGMENTS
    rows = []
    for height, width, depth, back, slope in NECK_RINGS:
        y = depth * np.sin(angle)
        rows.append(np.stack([width * np.cos(angle), back + y, height + slope * y], axis=-1))
    vertices = np.concatenate(rows) * scale
    vertices[:, 2] += (landmarks[152, 2] - scale * -0.0693) * 0.5
    triangles = grid_triangles(len(NECK_RINGS), NECK_SEGMENTS, closed=True)
    follow = still(len(vertices))
    return Part(vertices, np.zeros((len(vertices), 2)), np.ascontiguousarray(triangles), "skin",
                follow, np.zeros(len(vertices)), name="neck")  # fmt: skip
