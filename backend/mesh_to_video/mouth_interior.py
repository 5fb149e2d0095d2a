# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen between the lips: teeth and tongue that belong to skull and jaw.

The photo's own where it shows them, else painted ones, in the photo's light; deeper is darker.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.face.head.parts import PART_NAMES
from backend.face.topology import INNER_LIP_LOWER, INNER_LIP_UPPER
from backend.rasterize import rasterize_attributes

from .motion_field import MotionField, MotionImage
from .painted_tiles import packed_tiles
from .portrait import Portrait

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]

INSIDE = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue", "mouth_bag")
RING = [*INNER_LIP_UPPER, *INNER_LIP_LOWER[-2:0:-1]]
# How far behind the lips half of the light is lost: at a closed mouth, and more per metre of its
# opening; metres.
DIM_DEPTH, DIM_PER_OPENING = 0.008, 0.6
# How far below the upper lip its shadow reaches, metres, and how much light is in it.
SHADOW_LENGTH, IN_SHADOW = 0.0065, 0.4
# What is seen where no light comes, levels: flesh is never black.
FLESH = np.array((40.0, 15.0, 14.0), np.float32)
# The least opening that shows anything, pixels.
LEAST_OPENING = 0.35
# Painted teeth are made brighter or darker by at most this factor.
LARGEST_GAIN = 1.6
# Teeth are about as bright as the whites of the eyes, which the photo shows: where these lie in
# the eye's tile (from its middle, in half sides), and their brightness where teeth are as painted.
WHITE_NEAR, WHITE_FAR, USUAL_WHITE = 0.36, 0.56, 160.0


@dataclass(frozen=True, eq=False)
class MouthImage:
    """The inside of the mouth in a box of the view: `left`, `top` and pixels.

    colour  float32 [h,w,3] 0..255; cover [h,w] 0..1 where it is in front
    """

    left: int
    top: int
    colour: Singles
    cover: Singles


class MouthInterior:
    """Draws what is behind the lips of a portrait, in the view of its motion field."""

    def __init__(self, portrait: Portrait, motion: MotionField, photo: Pixels) -> None:
        rig, self._view = portrait.rig, motion.view
        self._triangles = rig.triangles_of(*INSIDE)
        self._photo = photo
        self._metre = portrait.axes.scale * motion.view.scale
        self._tiles, place = packed_tiles(portrait.rig)
        self._is_tooth = np.isin(
            rig.vertex_part, [PART_NAMES.index(f"{row}_teeth") for row in ("upper", "lower")]
        )
        seen = np.where(motion.seen > 0.5, 1.0, 0.0)
        if _opening(motion.view.points(portrait.source)) < 4 * LEAST_OPENING:
            seen[:] = 0.0
        self._attributes = np.column_stack([motion.places, seen, place, self._is_tooth]).astype(
            np.float32
        )
        self._gain = np.full(3, _light_of_eyes(portrait), np.float32)
        self._gain = self._gain * self._photo_gain(portrait, motion)

    def driven(self, vertices: Singles, motion: MotionImage) -> MouthImage | None:
        """The inside for the driven head [V,3] in the photo's pixels; None for closed lips."""
        points = self._view.points(vertices)
        opening = _opening(points)
        if opening < LEAST_OPENING:
            return None
        box = box_around(points[RING], self._view.width, self._view.height)
        if box is None:
            return None
        left, top, right, bottom = box
        moved = points - np.array((left, top, 0), np.float32)
        face_id, depth, values = rasterize_attributes(
            moved, self._triangles, self._attributes, (right - left, bottom - top)
        )
        skin_depth = motion.depth[top:bottom, left:right]
        cover = (face_id >= 0) & (depth < skin_depth)
        cover &= _within_lips(moved[RING, :2], cover.shape)
        soft = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), max(0.55, 0.002 * self._metre))
        colour = self._colour(depth, values, moved, opening)
        return MouthImage(left, top, colour, np.asarray(soft, np.float32))

    def _colour(self, depth: Singles, values: Singles, points: Singles, opening: float) -> Singles:
        """The shaded colours [h,w,3]; beyond the drawn parts they are carried on."""
        known = np.isfinite(depth)
        # An edge of the lips is soft, so some colour is needed a little beyond it.
        flat = _carried_on(np.where(known[..., None], values, 0.0), known)
        painted = _sampled(self._tiles, flat[..., 3], flat[..., 4])
        tooth = np.clip(flat[..., 5:6], 0, 1)
        painted = painted * (1 + tooth * (self._gain - 1))
        lips = float(points[RING, 2].mean())
        far = _carried_on(np.where(known, depth, 0.0)[..., None], known)[..., 0]
        behind = np.maximum(far - lips, 0) / np.float32(self._metre)
        half = DIM_DEPTH + DIM_PER_OPENING * opening / self._metre
        light = 1.0 / (1.0 + (behind / np.float32(half)) ** 2)
        light = light * self._lip_shadow(points, light.shape)
        colour = painted * light[..., None] + FLESH * (self._gain * (1 - light[..., None]))
        seen = flat[..., 2:3]
        if (seen > 0).any():
            shown = _sampled(self._photo, flat[..., 0], flat[..., 1])
            colour = colour + np.clip(seen, 0, 1) * (shown - colour)
        return np.asarray(colour, np.float32)

    def _lip_shadow(self, points: Singles, shape: tuple[int, ...]) -> Singles:
        """How much light passes under the upper lip, [h,w]: light comes from above, so teeth lie
        in the lip's shadow unless the lip is drawn up far."""
        edge = points[list(INNER_LIP_UPPER), :2]
        edge = edge[np.argsort(edge[:, 0])]
        line = np.interp(np.arange(shape[1]) + 0.5, edge[:, 0], edge[:, 1])
        below = (np.arange(shape[0])[:, None] + 0.5 - line[None]) / (SHADOW_LENGTH * self._metre)
        share = np.clip(below, 0, 1)
        share = share * share * (3 - 2 * share)
        return np.asarray(IN_SHADOW + (1 - IN_SHADOW) * share, np.float32)

    def _photo_gain(self, portrait: Portrait, motion: MotionField) -> Singles:
        """By how much the photo's own teeth are brighter than the painted ones, [3]."""
        image = motion.driven(portrait.source)
        own, kept = None, self._attributes
        painted = kept.copy()
        painted[:, 2] = 0.0
        self._attributes = painted
        own = self.driven(portrait.source, image)
        self._attributes = kept
        if own is None:
            return np.ones(3, np.float32)
        shown = self.driven(portrait.source, image)
        assert shown is not None
        height, width = own.cover.shape
        moved = self._view.points(portrait.source) - np.array((own.left, own.top, 0), np.float32)
        _, _, values = rasterize_attributes(moved, self._triangles, kept, (width, height))
        teeth = (own.cover > 0.95) & (values[..., 5] > 0.9) & (values[..., 2] > 0.9)
        if teeth.sum() < 12:
            return np.ones(3, np.float32)
        ratio = np.median(shown.colour[teeth], axis=0) / np.maximum(
            np.median(own.colour[teeth], axis=0), 1.0
        )
        return np.clip(ratio, 1 / LARGEST_GAIN, LARGEST_GAIN).astype(np.float32)


def _light_of_eyes(portrait: Portrait) -> float:
    """How bright teeth are in this photo against the painted ones, by the whites of the eyes."""
    levels = []
    for side in ("left", "right"):
        tile = portrait.rig.tiles[f"{side}_eye"].astype(np.float32)
        place = (np.arange(len(tile)) + 0.5) / len(tile) * 2 - 1
        x, y = np.meshgrid(place, place)
        away = np.hypot(x, y)
        white = (away > WHITE_NEAR) & (away < WHITE_FAR) & (np.abs(y) < 0.35 * np.abs(x))
        levels.append(np.percentile(tile[white] @ np.array((0.3, 0.6, 0.1)), 75))
    painted = portrait.rig.tiles["upper_teeth"].astype(np.float32).max(axis=(0, 1)).mean()
    ratio = float(np.mean(levels)) / USUAL_WHITE * 222.0 / float(painted)
    return float(np.clip(ratio, 1 / LARGEST_GAIN, LARGEST_GAIN))


def _opening(points: Singles) -> float:
    """The largest gap between the lips' edges, pixels of `points` [V,3]."""
    upper, lower = points[list(INNER_LIP_UPPER)], points[list(INNER_LIP_LOWER)]
    return float((lower[:, 1] - upper[:, 1]).max())


def box_around(
    ring: Singles, width: int, height: int, margin: float = 0.0
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in pixels around points [N,>=2], within the picture and wider by
    `margin` of its width; None where nothing of it lies within."""
    low, high = ring[:, :2].min(axis=0), ring[:, :2].max(axis=0)
    wider = 3 + margin * float(high[0] - low[0])
    left, top = (max(0, int(value - wider)) for value in low)
    right, bottom = min(width, int(high[0] + wider + 1)), min(height, int(high[1] + wider + 1))
    return (left, top, right, bottom) if right - left > 2 and bottom - top > 2 else None


def _within_lips(ring: Singles, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((ring - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0


def _carried_on(values: Singles, known: NDArray[np.bool_], reach: int = 2) -> Singles:
    """Values [h,w,C] where known, and the mean of their known neighbours a little beyond."""
    weight = known.astype(np.float32)
    for _ in range(reach):
        total = cv2.blur(values * weight[..., None], (3, 3)).reshape(values.shape)
        share = cv2.blur(weight, (3, 3))
        new = (weight == 0) & (share > 0)
        values = np.where(
            new[..., None], total / np.maximum(share, 1e-6)[..., None], values
        ).astype(np.float32)
        weight = np.maximum(weight, new)
    return values


def _sampled(picture: Pixels, x: Singles, y: Singles) -> Singles:
    """Colours [h,w,3] at places whose pixel centres lie at +0.5."""
    found = cv2.remap(picture, x - 0.5, y - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.astype(np.float32)
