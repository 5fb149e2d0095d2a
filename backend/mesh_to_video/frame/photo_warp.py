# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame from the photo and the motion alone: warped, with eyes and mouth composited in.

The person is a premultiplied layer over the filled-in background, so that the background does not
move. The layer is the photo minus the background's share; composited back unmoved it gives exactly
the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from backend.face.head.eyes import lid_ring
from backend.face.head.parts import PART_NAMES
from backend.rasterize import rasterize_attributes

from ..settings import Parts
from .motion_field import EYES, LIP_ROWS, MotionField, MotionImage
from .mouth_interior import MouthImage, MouthInterior, box_around
from .painted_tiles import packed_tiles
from .portrait import Portrait
from .surroundings import Surroundings
from .view import View

# Supersampling of the eyes per axis, and the margin of their box in widths of the lids.
FINER, EYE_MARGIN = 2, 0.25
# Lids that are open by less than this share of the eye's width shade the eyeball, which keeps the
# second share of its light in a closed eye.
SLIT, IN_SLIT = 0.14, 0.3


@dataclass(frozen=True, eq=False)
class Layers:
    """The person of one frame in a view, before they are composited over the background.

    colour  premultiplied, 0..255
    alpha   how much of the background the person covers, 0..1
    """

    colour: Float32[np.ndarray, "H W 3"]
    alpha: Float32[np.ndarray, "H W"]
    motion: MotionImage
    mouth: MouthImage | None


class StillPhoto(NamedTuple):
    """What is the same in every frame.

    layer   the person in the photo: premultiplied colour 0..255 and alpha 0..1
    tiles   the painted tiles, with the eyes
    is_eye  which triangles belong to an eye, and False for number -1, no triangle
    mouth   what is behind the lips, or None where that is switched off
    """

    layer: Float32[np.ndarray, "H W 4"]
    tiles: UInt8[np.ndarray, "h w 3"]
    is_eye: Bool[np.ndarray, " F+1"]
    mouth: MouthInterior | None


class PhotoWarp:
    """Draws driven frames of a portrait in one view of its photo."""

    def __init__(
        self, portrait: Portrait, view: View, surroundings: Surroundings, parts: Parts
    ) -> None:
        self.view = view
        self.photo: UInt8[np.ndarray, "H W 3"] = np.asarray(view.cut(portrait.pixels), np.uint8)
        self.plate: UInt8[np.ndarray, "H W 3"] = np.asarray(view.cut(portrait.plate), np.uint8)
        self.person: Float32[np.ndarray, "H W"] = np.clip(view.cut(portrait.person), 0, 1).astype(
            np.float32
        )
        behind = (1 - self.person[..., None]) * self.plate
        self._layer = np.dstack([self.photo - behind, self.person]).astype(np.float32)
        self.motion = MotionField(portrait, view, surroundings, inner_lips=parts.mouth)
        self._mouth = MouthInterior(portrait, self.motion, self.photo) if parts.mouth else None
        self._tiles, _ = packed_tiles(portrait.rig)
        eyes = [PART_NAMES.index(name) for name in EYES]
        part = portrait.rig.vertex_part
        self._rings = (lid_ring("left"), lid_ring("right"))
        # The sheet between the lips has vertices of its own, which belong to no eye.
        part = np.append(part, np.full(len(LIP_ROWS), -1))
        self._is_eye = np.append(np.isin(part[self.motion.triangles], eyes).all(axis=1), False)

    @property
    def still(self) -> StillPhoto:
        return StillPhoto(self._layer, self._tiles, self._is_eye, self._mouth)

    def draw(self, vertices: Float32[np.ndarray, "V 3"]) -> Layers:
        """The person moved to the driven head `vertices`, in the photo's pixels."""
        return self.paint(vertices, self.motion.driven(vertices))

    def paint(
        self,
        vertices: Float32[np.ndarray, "V 3"],
        motion: MotionImage,
        residual: Float32[np.ndarray, "H W 2"] | None = None,
    ) -> Layers:
        """The same for a given motion, to which `residual` is added, pixels of the view."""
        from_x, from_y = motion.from_x - 0.5, motion.from_y - 0.5
        if residual is not None:
            from_x, from_y = from_x + residual[..., 0], from_y + residual[..., 1]
        warped = np.asarray(
            cv2.remap(
                self._layer, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            ),
            np.float32,
        )
        colour, alpha = warped[..., :3], np.clip(warped[..., 3], 0, 1)
        self._lay_in_eyes(vertices, colour, residual)
        mouth = self.mouth(vertices, motion)
        if mouth is not None:
            height, width = mouth.cover.shape
            box = (slice(mouth.top, mouth.top + height), slice(mouth.left, mouth.left + width))
            cover = mouth.cover[..., None]
            colour[box] += cover * (mouth.colour - colour[box])
            alpha[box] = np.maximum(alpha[box], mouth.cover)
        return Layers(colour, alpha, motion, mouth)

    def mouth(self, vertices: Float32[np.ndarray, "V 3"], motion: MotionImage) -> MouthImage | None:
        """The inside of the mouth; None for closed lips, or where it is switched off."""
        return self._mouth.driven(vertices, motion) if self._mouth is not None else None

    def _lay_in_eyes(
        self,
        vertices: Float32[np.ndarray, "V 3"],
        colour: Float32[np.ndarray, "H W 3"],
        residual: Float32[np.ndarray, "H W 2"] | None,
    ) -> None:
        """Draw both eyes supersampled, for the sake of the lids' edges; changes `colour`.

        The parts of the eyeballs that the lids cover in the photo come from the painted eyes.
        """
        points = self.view.points(vertices)
        for ring in self._rings:
            box = box_around(points[ring], self.view.width, self.view.height, EYE_MARGIN)
            if box is None:
                continue
            left, top, right, bottom = box
            size = (FINER * (right - left), FINER * (bottom - top))
            fine = (points - np.array((left, top, 0), np.float32)) * np.float32(FINER)
            fine = self.motion.with_sheet(fine)
            face_id, _, values = rasterize_attributes(
                fine, self.motion.triangles, self.motion.attributes, size
            )
            moved = values[..., :2] - 0.5
            if residual is not None:
                moved = moved + cv2.resize(residual[top:bottom, left:right], size)
            drawn = cv2.remap(self.photo, moved[..., 0], moved[..., 1], cv2.INTER_CUBIC,
                              borderMode=cv2.BORDER_REPLICATE).astype(np.float32)  # fmt: skip
            rows, columns = np.nonzero(self._is_eye[face_id])
            if len(rows):
                place = values[rows, columns][:, None, 3:] - 0.5
                painted = cv2.remap(self._tiles, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
                known = values[rows, columns, 2:3]
                ball = known * drawn[rows, columns] + (1 - known) * painted[:, 0]
                drawn[rows, columns] = ball * light_between_lids(points[ring])
            small = cv2.resize(drawn, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
            shown = (face_id >= 0).astype(np.float32)
            share = cv2.resize(shown, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
            inner = share[..., None] * _towards_middle(share.shape)[..., None]
            part = colour[top:bottom, left:right]
            part += inner * (small - part)


def light_between_lids(ring: Float32[np.ndarray, "N 3"]) -> float:
    """How much light the eyeball gets, 0..1: a narrow slit lies in the shadow of the lashes.

    `ring` runs from one corner along the upper lid to the other, and back along the lower lid.
    """
    half = len(ring) // 2
    width = float(np.linalg.norm(ring[0, :2] - ring[half, :2]))
    upper, lower = ring[1:half], ring[half + 1 :][::-1]
    opening = float(np.linalg.norm(upper[:, :2] - lower[:, :2], axis=1).max()) / max(width, 1.0)
    share = np.clip(opening / SLIT, 0, 1)
    return float(IN_SLIT + (1 - IN_SLIT) * share * share * (3 - 2 * share))


def _towards_middle(shape: tuple[int, ...]) -> Float32[np.ndarray, "h w"]:
    """1 inside a piece, fading to 0 over the few pixels at its border."""
    lines = []
    for length in shape[:2]:
        place = np.arange(length, dtype=np.float32) + 0.5
        lines.append(np.clip(np.minimum(place, length - place) / 3.0, 0, 1))
    return np.asarray(np.outer(lines[0], lines[1]), np.float32)
