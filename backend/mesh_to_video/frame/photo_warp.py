# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame from the photo and the motion alone: warped, with eyes and mouth laid in.

The person is a layer over the background that was guessed behind them, so that nothing of the
background moves. The layer is what is left of the photo when the background's share is taken
away; laid back where it was it gives the photo exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

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

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]


# Eyes are drawn this many times finer than the rest, in a box this much wider than their lids.
FINER, EYE_MARGIN = 2, 0.25
# Lids that are open by less than this share of the eye's width shade the ball; in a closed eye it
# keeps this share of its light.
SLIT, IN_SLIT = 0.14, 0.3


@dataclass(frozen=True, eq=False)
class Layers:
    """The person of one frame in a view, before the background is put behind.

    colour  float32 [H,W,3] 0..255, what the person adds to each pixel
    alpha   [H,W] 0..1: how much of the background they cover
    """

    colour: Singles
    alpha: Singles
    motion: MotionImage
    mouth: MouthImage | None


class StillPhoto(NamedTuple):
    """What is the same in every frame.

    layer   float32 [H,W,4]: what the person adds to each pixel, and how much they cover
    tiles   uint8: the painted eyes; is_eye [F+1]: which triangles show them (the last: none)
    mouth   what is behind the lips, or None when that is left out
    """

    layer: Singles
    tiles: Pixels
    is_eye: NDArray[np.bool_]
    mouth: MouthInterior | None


class PhotoWarp:
    """Draws driven frames of a portrait in one view of its photo."""

    def __init__(
        self, portrait: Portrait, view: View, surroundings: Surroundings, parts: Parts
    ) -> None:
        self.view = view
        self.photo: Pixels = np.asarray(view.cut(portrait.pixels), np.uint8)
        self.plate: Pixels = np.asarray(view.cut(portrait.plate), np.uint8)
        self.person: Singles = np.clip(view.cut(portrait.person), 0, 1).astype(np.float32)
        behind = (1 - self.person[..., None]) * self.plate
        self._layer = np.dstack([self.photo - behind, self.person]).astype(np.float32)
        self.motion = MotionField(portrait, view, surroundings, inner_lips=parts.mouth)
        self._mouth = MouthInterior(portrait, self.motion, self.photo) if parts.mouth else None
        self._tiles, _ = packed_tiles(portrait.rig)
        eyes = [PART_NAMES.index(name) for name in EYES]
        part = portrait.rig.vertex_part
        self._rings = (lid_ring("left"), lid_ring("right"))
        # The sheet between the lips has corners of its own, which are no eye's.
        part = np.append(part, np.full(len(LIP_ROWS), -1))
        self._is_eye = np.append(np.isin(part[self.motion.triangles], eyes).all(axis=1), False)

    @property
    def still(self) -> StillPhoto:
        return StillPhoto(self._layer, self._tiles, self._is_eye, self._mouth)

    def draw(self, vertices: Singles) -> Layers:
        """The person as the driven head [V,3] says, in the photo's pixels."""
        return self.paint(vertices, self.motion.driven(vertices))

    def paint(
        self, vertices: Singles, motion: MotionImage, residual: Singles | None = None
    ) -> Layers:
        """The same with the motion given; `residual` [H,W,2] pixels of the view is added to it."""
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

    def mouth(self, vertices: Singles, motion: MotionImage) -> MouthImage | None:
        """The inside of the mouth; None for closed lips, and where it is left out."""
        return self._mouth.driven(vertices, motion) if self._mouth is not None else None

    def _lay_in_eyes(self, vertices: Singles, colour: Singles, residual: Singles | None) -> None:
        """Both eyes drawn finer, for the sake of the lids' edges; what of their balls lay behind
        the lids in the photo comes from the painted eyes.
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


def light_between_lids(ring: Singles) -> float:
    """How much light the ball gets, 0..1: in a slit there is only the shadow of the lashes."""
    half = len(ring) // 2
    width = float(np.linalg.norm(ring[0, :2] - ring[half, :2]))
    upper, lower = ring[1:half], ring[half + 1 :][::-1]
    opening = float(np.linalg.norm(upper[:, :2] - lower[:, :2], axis=1).max()) / max(width, 1.0)
    share = np.clip(opening / SLIT, 0, 1)
    return float(IN_SLIT + (1 - IN_SLIT) * share * share * (3 - 2 * share))


def _towards_middle(shape: tuple[int, ...]) -> Singles:
    """1, but 0 at the border of a piece [h,w] and going over within a few pixels."""
    lines = []
    for length in shape[:2]:
        place = np.arange(length, dtype=np.float32) + 0.5
        lines.append(np.clip(np.minimum(place, length - place) / 3.0, 0, 1))
    return np.asarray(np.outer(lines[0], lines[1]), np.float32)
