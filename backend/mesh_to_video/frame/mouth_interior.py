# SPDX-License-Identifier: GPL-3.0-or-later
"""What is visible between the lips: teeth and tongue, attached to skull and jaw.

The photo's own where it shows them, otherwise painted ones in the photo's light; darker with depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt8

from backend.face.head.parts import PART_NAMES
from backend.rasterize import rasterize_attributes
from shared.landmarks import CHIN, FOREHEAD, INNER_LIP_LOWER, INNER_LIP_RING, INNER_LIP_UPPER

from .lip_passage import LITTLE_OPEN, passage_of
from .motion_field import MotionField, MotionImage
from .mouth_light import LARGEST_GAIN, light_of_eyes, lip_colour
from .painted_tiles import packed_tiles
from .portrait import Portrait

INSIDE = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue", "mouth_bag")
RING = list(INNER_LIP_RING)
# How far behind the lips half of the light is lost: for a closed mouth, in metres, and the increase
# per metre of its opening.
DIM_DEPTH, DIM_PER_OPENING = 0.012, 0.6
# Length of the upper lip's shadow per distance behind the lip, and its least length (metres); the
# share of light inside it; and the share lost in the corners of the mouth.
SHADOW_SLOPE, LEAST_SHADOW, IN_SHADOW, CORNER_DARK = 0.8, 0.001, 0.5, 0.5
# Teeth receive this much less of the light scattered by flesh than flesh does.
TOOTH_BARE = 0.6
# In speech the tongue does not lie on the floor of the mouth: it rises by this share of the
# opening, up to an opening of `WIDEST_RISE`, and comes forward by this much. Lips hide more of the
# upper teeth in speech than in a smile, which the head's teeth are modelled on: they sit this much
# higher. Metres.
TONGUE_RISES, WIDEST_RISE, TONGUE_FORWARD, TEETH_HIGHER = 0.4, 0.014, 0.004, 0.002
# Pixels of the photo this close to an edge of the lips are lip, not tooth; a share of the opening
# in the photo.
EDGE_OF_LIPS = 0.15
# Supersampling per axis.
FINER = 2
# The smallest opening through which anything is visible, pixels.
LEAST_OPENING = 0.35
# Fewer pixels of teeth in the photo are not a usable sample.
LEAST_TEETH = 12


@dataclass(frozen=True, eq=False)
class MouthImage:
    """The inside of the mouth in a box of the view with its corner at `left`, `top`, pixels.

    colour  0..255
    cover   opacity over what is drawn so far, 0..1
    """

    left: int
    top: int
    colour: Float32[np.ndarray, "h w 3"]
    cover: Float32[np.ndarray, "h w"]


class StillMouth(NamedTuple):
    """What is the same in every frame.

    triangles   of everything behind the lips
    attributes  of the vertices: position in the photo, whether the photo shows it, position in the
                tiles, whether it is a tooth
    tiles, photo  the painted tiles, and the photo in this view
    gain, tooth_gain  factors for all painted colours, and additionally for teeth
    flesh       the colour of the lips, 0..255
    metre       pixels of the view per metre
    rest_width  metres between the corners of the mouth at rest
    photo_gap   the gap between the lips in the photo, metres
    higher, rises, forward  how far a vertex is moved up (pixels), up per pixel of the opening, and
                forward (pixels): see `placed`
    """

    triangles: Int32[np.ndarray, "F 3"]
    attributes: Float32[np.ndarray, "V 6"]
    tiles: UInt8[np.ndarray, "h w 3"]
    photo: UInt8[np.ndarray, "H W 3"]
    gain: Float32[np.ndarray, " 3"]
    tooth_gain: Float32[np.ndarray, " 3"]
    flesh: Float32[np.ndarray, " 3"]
    metre: float
    rest_width: float
    photo_gap: float
    higher: Float32[np.ndarray, " V"]
    rises: Float32[np.ndarray, " V"]
    forward: Float32[np.ndarray, " V"]


class MouthInterior:
    """Draws what is behind the lips of a portrait, in the view of its motion field."""

    def __init__(
        self, portrait: Portrait, motion: MotionField, photo: UInt8[np.ndarray, "H W 3"]
    ) -> None:
        rig, self._view = portrait.rig, motion.view
        self._triangles = rig.triangles_of(*INSIDE)
        self._photo = photo
        self._metre = portrait.axes.scale * motion.view.scale
        self._tiles, place = packed_tiles(portrait.rig)
        self._is_tooth = np.isin(
            rig.vertex_part, [PART_NAMES.index(f"{row}_teeth") for row in ("upper", "lower")]
        )
        part, count = rig.vertex_part, len(rig.rest)
        self._higher, self._rises, self._forward = np.zeros((3, count), np.float32)
        upper = np.isin(part, [PART_NAMES.index(name) for name in ("upper_teeth", "upper_gum")])
        tongue = part == PART_NAMES.index("tongue")
        self._higher[upper] = TEETH_HIGHER * self._metre
        self._rises[tongue], self._forward[tongue] = TONGUE_RISES, TONGUE_FORWARD * self._metre
        source = motion.view.points(portrait.source)
        self._photo_gap = lip_opening(source) / self._metre
        source = self.placed(source)
        seen = np.zeros(count)
        if self._photo_gap > LITTLE_OPEN:
            seen = np.where((motion.seen > 0.5) & _well_within(source), 1.0, 0.0)
        self._attributes = np.column_stack([source[:, :2], seen, place, self._is_tooth]).astype(
            np.float32
        )
        self._gain = light_of_eyes(portrait)
        self._flesh = lip_colour(portrait)
        ends = rig.rest[[INNER_LIP_UPPER[0], INNER_LIP_UPPER[-1]]]
        self._rest_width = float(np.linalg.norm(ends[1] - ends[0]))
        self._tooth_gain = np.ones(3, np.float32)
        self._tooth_gain = self._photo_teeth(portrait, motion)

    @property
    def still(self) -> StillMouth:
        return StillMouth(
            self._triangles, self._attributes, self._tiles, self._photo, self._gain,
            self._tooth_gain, self._flesh, float(self._metre), self._rest_width,
            float(self._photo_gap), self._higher, self._rises, self._forward,
        )  # fmt: skip

    def placed(self, points: Float32[np.ndarray, "V 3"]) -> Float64[np.ndarray, "V 3"]:
        """A driven head in the view, with teeth and tongue moved to their position in speech."""
        up = up_of(points)
        widest = WIDEST_RISE * self._metre
        moved = self._higher + self._rises * np.clip(lip_opening(points), 0.0, widest)
        points = points + moved[:, None] * up
        points[:, 2] -= self._forward
        return points

    def driven(
        self, vertices: Float32[np.ndarray, "V 3"], motion: MotionImage
    ) -> MouthImage | None:
        """The inside of the mouth of a driven head, in the photo's pixels; None for closed lips."""
        points = self._view.points(vertices)
        opening = lip_opening(points)
        if opening < LEAST_OPENING:
            return None
        points = self.placed(points)
        box = box_around(points[RING], self._view.width, self._view.height)
        if box is None:
            return None
        left, top, right, bottom = box
        size = (right - left, bottom - top)
        # Supersampled: gaps between teeth are narrower than pixels.
        fine_size = (FINER * size[0], FINER * size[1])
        fine = (points - np.array((left, top, 0), np.float32)) * np.float32(FINER)
        face_id, depth, values = rasterize_attributes(
            fine, self._triangles, self._attributes, fine_size
        )
        skin = cv2.resize(
            motion.depth[top:bottom, left:right], fine_size, interpolation=cv2.INTER_NEAREST
        )
        known = face_id >= 0
        shown = known & (depth < FINER * skin) & _within_lips(fine[RING, :2], depth.shape)
        weight = shown.astype(np.float32)
        corners = points[[INNER_LIP_UPPER[0], INNER_LIP_UPPER[-1]]]
        passage = passage_of(corners, opening, self._metre, self._rest_width, self._photo_gap)
        light = self._light(np.where(known, depth, 0.0), fine, FINER * opening)
        colour = self._colour(values, light, passage.flesh)
        cover = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), np.float32)
        total = cv2.resize(colour * weight[..., None], size, interpolation=cv2.INTER_AREA)
        mean = np.asarray(total / np.maximum(cover, 1e-3)[..., None], np.float32)
        # The edge of the lips is soft, so some colour is needed slightly beyond it.
        mean = _carried_on(mean, cover > 0.02)
        # Towards the lips their colour blends into what is behind.
        blurred = cv2.GaussianBlur(cover, (0, 0), max(0.5, passage.edge * opening))
        soft = np.clip(2 * blurred - 1, 0, 1) * np.clip(cover, 0, 1)
        return MouthImage(left, top, mean, np.asarray(soft * passage.cover, np.float32))

    def _colour(
        self, values: Float32[np.ndarray, "h w 6"], light: Float32[np.ndarray, "h w"], flesh: float
    ) -> Float32[np.ndarray, "h w 3"]:
        """The colours of the rasterised attributes, in direct light and in light from flesh."""
        painted = _sampled(self._tiles, values[..., 3], values[..., 4]) * self._gain
        tooth = np.clip(values[..., 5:6], 0, 1)
        painted = painted * (1 + tooth * (self._tooth_gain - 1))
        lit = painted * light[..., None]
        deep = self._flesh * np.float32(flesh)
        dark = 1 - np.clip(lit.mean(axis=2, keepdims=True) / deep.mean(), 0, 1)
        colour = lit + deep * dark * (1 - TOOTH_BARE * tooth)
        seen = values[..., 2:3]
        if (seen > 0).any():
            photo = _sampled(self._photo, values[..., 0], values[..., 1])
            colour = colour + np.clip(seen, 0, 1) * (photo - colour)
        return np.asarray(colour, np.float32)

    def _light(
        self, depth: Float32[np.ndarray, "h w"], points: Float64[np.ndarray, "V 3"], opening: float
    ) -> Float32[np.ndarray, "h w"]:
        """How much light reaches a point at `depth`, 0..1.

        It falls off with the distance behind the lips and towards their corners. As light comes
        from above, the upper lip also casts a shadow, which grows longer with that distance.
        """
        metre = np.float32(FINER * self._metre)
        edge = points[list(INNER_LIP_UPPER)]
        edge = edge[np.argsort(edge[:, 0])]
        column = np.arange(depth.shape[1]) + 0.5
        row = np.arange(depth.shape[0])[:, None] + 0.5
        line, lip = (np.interp(column, edge[:, 0], edge[:, k])[None] for k in (1, 2))
        behind = np.maximum(depth - lip, 0) / metre
        half = DIM_DEPTH + DIM_PER_OPENING * opening / metre
        light = 1.0 / (1.0 + (behind / half) ** 2)
        below = (row - line) / metre / np.maximum(SHADOW_SLOPE * behind, LEAST_SHADOW)
        share = np.clip(below, 0, 1)
        light = light * (IN_SHADOW + (1 - IN_SHADOW) * share * share * (3 - 2 * share))
        middle, reach = (edge[0, 0] + edge[-1, 0]) / 2, (edge[-1, 0] - edge[0, 0]) / 2
        beside = np.clip(np.abs(column - middle) / max(float(reach), 1.0), 0, 1)[None]
        return np.asarray(light * (1 - CORNER_DARK * beside**3), np.float32)

    def _photo_teeth(self, portrait: Portrait, motion: MotionField) -> Float32[np.ndarray, " 3"]:
        """How many times brighter than the painted ones the photo's own teeth are, per channel."""
        image = motion.driven(portrait.source)
        kept = self._attributes
        self._attributes = kept * np.array((1, 1, 0, 1, 1, 1), np.float32)
        painted = self.driven(portrait.source, image)
        self._attributes = kept
        shown = self.driven(portrait.source, image)
        if painted is None or shown is None:
            return np.ones(3, np.float32)
        height, width = painted.cover.shape
        moved = self.placed(self._view.points(portrait.source))
        moved = moved - np.array((painted.left, painted.top, 0), np.float32)
        _, _, values = rasterize_attributes(moved, self._triangles, kept, (width, height))
        teeth = (painted.cover > 0.95) & (values[..., 5] > 0.9) & (values[..., 2] > 0.9)
        if teeth.sum() < LEAST_TEETH:
            return np.ones(3, np.float32)
        ratio = np.median(shown.colour[teeth], axis=0) / np.maximum(
            np.median(painted.colour[teeth], axis=0), 1.0
        )
        return np.asarray(np.clip(ratio, 1 / LARGEST_GAIN, LARGEST_GAIN), np.float32)


def up_of(points: Any) -> Any:
    """The unit vector from chin to forehead, [...,3] of points [...,V,3]; arrays or tensors."""
    up = points[..., FOREHEAD, :] - points[..., CHIN, :]
    return up / ((up * up).sum(-1) ** 0.5)[..., None]


def lip_opening(points: Float[np.ndarray, "V 3"]) -> float:
    """The largest gap between the lips' edges, in the pixels of `points`."""
    upper, lower = points[list(INNER_LIP_UPPER)], points[list(INNER_LIP_LOWER)]
    return float((lower[:, 1] - upper[:, 1]).max())


def box_around(
    ring: Float[np.ndarray, "N dims"], width: int, height: int, margin: float = 0.0
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of a box around points (x, y, ...), clipped to the picture.

    It is larger on every side by a few pixels and `margin` of its width. None where hardly any of
    it lies in the picture.
    """
    low, high = ring[:, :2].min(axis=0), ring[:, :2].max(axis=0)
    wider = 3 + margin * float(high[0] - low[0])
    left, top = (max(0, int(value - wider)) for value in low)
    right, bottom = min(width, int(high[0] + wider + 1)), min(height, int(high[1] + wider + 1))
    return (left, top, right, bottom) if right - left > 2 and bottom - top > 2 else None


def _well_within(points: Float64[np.ndarray, "V 3"]) -> Bool[np.ndarray, " V"]:
    """Which of a head's vertices lie between the edges of its lips, and not close to either."""
    ring = np.ascontiguousarray(points[RING, :2], np.float32)
    margin = max(1.0, EDGE_OF_LIPS * lip_opening(points))
    low, high = ring.min(axis=0), ring.max(axis=0)
    within = np.zeros(len(points), np.bool_)
    near = ((points[:, :2] > low) & (points[:, :2] < high)).all(axis=1)
    for index in np.flatnonzero(near):
        place = (float(points[index, 0]), float(points[index, 1]))
        within[index] = cv2.pointPolygonTest(ring, place, True) >= margin
    return within


def _within_lips(
    ring: Float64[np.ndarray, "N 2"], shape: tuple[int, ...]
) -> Bool[np.ndarray, "h w"]:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((ring - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0


def _carried_on(
    values: Float32[np.ndarray, "h w C"], known: Bool[np.ndarray, "h w"], reach: int = 2
) -> Float32[np.ndarray, "h w C"]:
    """Values where known, and up to `reach` pixels beyond the mean of their known neighbours."""
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


def _sampled(
    picture: UInt8[np.ndarray, "H W 3"],
    x: Float32[np.ndarray, "h w"],
    y: Float32[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w 3"]:
    """Colours at positions in a picture whose pixel centres lie at +0.5."""
    found = cv2.remap(picture, x - 0.5, y - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.astype(np.float32)
