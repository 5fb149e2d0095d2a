# SPDX-License-Identifier: GPL-3.0-or-later
"""How ears, hair, neck and shoulders follow a head that moves.

All that is known about them is where they are in the photo. Ears and hair turn with the head as a
rigid body whose depth continues the skull's; the neck follows less and less down to the collar,
which does not move; and at the rim of the face they move with the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from backend.face.head.parts import PART_NAMES
from backend.face.pose import fit_similarity
from backend.rasterize import rasterize
from shared.landmarks import CHIN, FACE_OVAL

from .portrait import Portrait

# The grid on which the motion is computed: cells per side, and how far it extends beside, above and
# below the centre of the face, in heights of the face.
CELLS = 56
BESIDE, ABOVE, BELOW = 1.25, 1.45, 1.25
# Distances below the chin (in heights of the face) at which the neck begins to lag and at which it
# stays still.
NECK, COLLAR = 0.02, 0.50
# Beside the head the motion fades between these distances, in heights of the face.
NEAR, FAR = 0.72, 1.2
# How far the motion of the face's rim relative to the head spreads: to the sides, and on the neck,
# in heights of the face.
RIM_REACH, RIM_REACH_BELOW = 0.30, 0.16
# Of the fixed-point iteration in `origin`.
ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Rigid:
    """The motion of the head as a rigid body, in pixels: `points @ turn.T + shift`."""

    turn: Float32[np.ndarray, "3 3"]
    shift: Float32[np.ndarray, " 3"]

    def apply(self, points: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        return np.asarray(points @ self.turn.T + self.shift, np.float32)


class StillSurroundings(NamedTuple):
    """What is the same in every frame, for the N = (CELLS+1)^2 points of the grid.

    points  in the photo's pixels, row by row
    follow  the share of the head's motion they take over
    of_rim  the share they take over of each rim point's motion relative to the head
    rim     the R points of the face's rim in the photo
    left, top, step  corner of the grid and size of a cell (right, down), photo's pixels
    """

    points: Float32[np.ndarray, "N 3"]
    follow: Float32[np.ndarray, " N"]
    of_rim: Float32[np.ndarray, "N R"]
    rim: Float32[np.ndarray, "R 3"]
    left: float
    top: float
    step: tuple[float, float]


class Surroundings:
    """The motion of everything except the face, on a grid over the photo."""

    def __init__(self, portrait: Portrait) -> None:
        box, tall = _box(portrait), portrait.face_height
        self._left, self._top = box[0], box[1]
        self._step = ((box[2] - box[0]) / CELLS, (box[3] - box[1]) / CELLS)
        self._source = portrait.source
        parts = portrait.rig.vertex_part
        # No muscle moves the skull: its motion is the head's.
        self._bone = np.flatnonzero(parts == PART_NAMES.index("skull"))[::7]
        nodes = np.arange(CELLS + 1, dtype=np.float32)
        x, y = np.meshgrid(box[0] + nodes * self._step[0], box[1] + nodes * self._step[1])
        depth = self._depth(portrait)
        self._points = np.stack([x, y, depth], axis=-1).reshape(-1, 3).astype(np.float32)
        self._follow = _following(portrait, self._points[:, :2], tall)
        rim = np.array(FACE_OVAL)
        away = np.linalg.norm(
            self._points[:, None, :2] - self._source[None, rim, :2], axis=2
        ) / np.float32(tall)
        near = 1.0 / (away + 0.02) ** 3
        reach = _rim_reach(portrait, self._points[:, :2], tall)
        felt = np.clip(1.0 - away.min(axis=1) / reach, 0, 1)
        felt = felt * felt * (3 - 2 * felt)
        self._of_rim = (near / near.sum(axis=1, keepdims=True) * felt[:, None]).astype(np.float32)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in the photo; outside it nothing moves."""
        return (
            self._left,
            self._top,
            self._left + CELLS * self._step[0],
            self._top + CELLS * self._step[1],
        )

    @property
    def still(self) -> StillSurroundings:
        rim = self._source[np.array(FACE_OVAL)]
        grid = (self._left, self._top, self._step)
        return StillSurroundings(self._points, self._follow, self._of_rim, rim, *grid)

    def head_motion(self, vertices: Float32[np.ndarray, "V 3"]) -> Rigid:
        """The motion of the head from the photo to `vertices`, photo's pixels."""
        before = self._source[self._bone].astype(np.float64)
        move = fit_similarity(before, vertices[self._bone].astype(np.float64), np.ones(len(before)))
        return Rigid((move.scale * move.rotation).astype(np.float32), move.shift.astype(np.float32))

    def displacement(self, vertices: Float32[np.ndarray, "V 3"]) -> Float32[np.ndarray, "R C 2"]:
        """How far the points of the grid move, by row and column, photo's pixels."""
        rigid = self.head_motion(vertices)
        moved = (rigid.apply(self._points) - self._points)[:, :2] * self._follow[:, None]
        rim = np.array(FACE_OVAL)
        beyond = (vertices[rim] - rigid.apply(self._source[rim]))[:, :2]
        moved = moved + self._of_rim @ beyond
        return np.asarray(moved.reshape(CELLS + 1, CELLS + 1, 2), np.float32)

    def origin(
        self,
        x: Float32[np.ndarray, "H W"],
        y: Float32[np.ndarray, "H W"],
        displacement: Float32[np.ndarray, "R C 2"],
    ) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
        """Where in the photo the points lie that move to (x, y), photo's pixels.

        Solves p + displacement(p) = (x, y) by fixed-point iteration.
        """
        from_x, from_y = x, y
        for _ in range(ROUNDS):
            column = (from_x - np.float32(self._left)) / np.float32(self._step[0])
            row = (from_y - np.float32(self._top)) / np.float32(self._step[1])
            moved = cv2.remap(displacement, column, row, cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
            from_x, from_y = x - moved[..., 0], y - moved[..., 1]
        return from_x, from_y

    def _depth(self, portrait: Portrait) -> Float32[np.ndarray, "R C"]:
        """Depth of the head at the points of the grid, extrapolated outside the head."""
        points = self._source.copy()
        points[:, 0] = (points[:, 0] - self._left) / self._step[0] + 0.5
        points[:, 1] = (points[:, 1] - self._top) / self._step[1] + 0.5
        found = rasterize(points, portrait.rig.triangles, (CELLS + 1, CELLS + 1))
        known = found.face_id >= 0
        depth = np.where(known, found.depth, 0.0).astype(np.float32)
        # The median depth of the skull: hair and everything beside the head is placed there.
        rim = float(np.quantile(self._source[self._bone, 2], 0.5))
        spread = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 2.0)
        smooth = cv2.GaussianBlur(depth, (0, 0), 2.0) + 0.02 * rim
        smooth = smooth / (spread + 0.02)
        return np.where(known, 0.5 * depth + 0.5 * smooth, smooth)


def _box(portrait: Portrait) -> tuple[float, float, float, float]:
    outline = portrait.landmarks[list(FACE_OVAL), :2]
    tall = portrait.face_height
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - BESIDE * tall, y - ABOVE * tall, x + BESIDE * tall, y + BELOW * tall


def _smooth(t: Float[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _upright(
    portrait: Portrait, points: Float32[np.ndarray, "N 2"], tall: float
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Points of the photo along the head's own axes, in heights of the face.

    Returns how far they are beside the centre of the face, and how far above the chin.
    """
    up = portrait.axes.rotation @ np.array((0.0, 0.0, 1.0))
    way = np.array((up[0], -up[2])) / np.hypot(up[0], up[2])
    side = np.array((-way[1], way[0]))
    chin = portrait.landmarks[CHIN, :2]
    away = (points - chin) / tall
    middle = (portrait.landmarks[list(FACE_OVAL), :2].mean(axis=0) - chin) @ side / tall
    return (away @ side - middle).astype(np.float32), (away @ way).astype(np.float32)


def _following(
    portrait: Portrait, points: Float32[np.ndarray, "N 2"], tall: float
) -> Float32[np.ndarray, " N"]:
    """The share of the head's motion that each point takes over."""
    beside, above = _upright(portrait, points, tall)
    neck = _smooth((above + COLLAR) / (COLLAR - NECK))
    near = _smooth((FAR - np.abs(beside)) / (FAR - NEAR))
    # Shoulders are broader than necks: points beside the neck follow less.
    shoulder = _smooth((0.75 - np.abs(beside)) / 0.45)
    low = _smooth((-above) / 0.25)
    top = _smooth((1.95 - above) / 0.35)
    return np.asarray(neck * near * top * (1 - low * (1 - shoulder)), np.float32)


def _rim_reach(
    portrait: Portrait, points: Float32[np.ndarray, "N 2"], tall: float
) -> Float32[np.ndarray, " N"]:
    _, above = _upright(portrait, points, tall)
    below = _smooth((0.15 - above) / 0.2)
    return np.asarray(RIM_REACH + (RIM_REACH_BELOW - RIM_REACH) * below, np.float32)
