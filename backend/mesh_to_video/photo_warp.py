# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame from the photo and the motion alone: warped, with eyes and mouth laid in.

The person is a layer over the background that was guessed behind them, so that nothing of the
background moves. The layer is what is left of the photo when the background's share is taken
away; laid back where it was it gives the photo exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.face.head.parts import PART_NAMES

from .motion_field import EYES, MotionField, MotionImage
from .mouth_interior import MouthImage, MouthInterior
from .painted_tiles import packed_tiles
from .portrait import Portrait
from .settings import Parts
from .surroundings import Surroundings
from .view import View

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]


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
        self.motion = MotionField(portrait, view, surroundings, sheet=not parts.mouth)
        self._mouth = MouthInterior(portrait, self.motion, self.photo) if parts.mouth else None
        self._tiles, _ = packed_tiles(portrait.rig)
        eyes = [PART_NAMES.index(name) for name in EYES]
        part = portrait.rig.vertex_part
        self._is_eye = np.append(np.isin(part[self.motion.triangles], eyes).all(axis=1), False)

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
        self._lay_in_eyes(colour, motion)
        mouth = self._mouth.driven(vertices, motion) if self._mouth is not None else None
        if mouth is not None:
            height, width = mouth.cover.shape
            box = (slice(mouth.top, mouth.top + height), slice(mouth.left, mouth.left + width))
            cover = mouth.cover[..., None]
            colour[box] += cover * (mouth.colour - colour[box])
            alpha[box] = np.maximum(alpha[box], mouth.cover)
        return Layers(colour, alpha, motion, mouth)

    def _lay_in_eyes(self, colour: Singles, motion: MotionImage) -> None:
        """What of the eyes' balls lay behind the lids in the photo, from the painted eyes."""
        rows, columns = np.nonzero(self._is_eye[motion.face_id] & (motion.seen < 0.98))
        if not len(rows):
            return
        place = motion.tile[rows, columns]
        painted = cv2.remap(
            self._tiles, place[:, None, 0] - 0.5, place[:, None, 1] - 0.5, cv2.INTER_LINEAR
        )[:, 0].astype(np.float32)
        known = motion.seen[rows, columns][:, None]
        colour[rows, columns] = known * colour[rows, columns] + (1 - known) * painted
