# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks are told about a frame: everything in the square around the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.face.head.parts import PART_NAMES
from shared.landmarks import LANDMARK_COUNT

from ..frame.motion_field import MotionImage
from ..frame.photo_warp import PhotoWarp
from ..frame.portrait import Portrait
from ..frame.surroundings import Surroundings
from ..frame.view import View
from ..settings import GEOMETRY_ONLY, MOTION_SIDE, NETWORK_SIDE, PAINTED_CORNER, PAINTED_SIDE
from .projection_texture import coordinate_code, lip_maps

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class DrivenFrame:
    """One frame in the face crop, S = `NETWORK_SIDE`, all float32.

    flow   [S,S,2] where in the photo's crop a pixel comes from, minus its own place, pixels
    seen   [S,S] 0..1 how well the photo shows it
    face   [S,S] 0..1 the inner face
    code   [S,S,3] 0..1 normalised coordinate code of the driven mesh, 0 outside of the face
    inside [S,S,4] the drawn inside of the mouth: RGB 0..1 and its cover 0..1
    lips   [M,M,L] maps of the lips, driving minus photo

    M = `MOTION_SIDE`, L = `LIP_MAPS`.
    """

    flow: Singles
    seen: Singles
    face: Singles
    code: Singles
    inside: Singles
    lips: Singles


class FaceCrop:
    """The square around a portrait's face, as the networks see it.

    photo   uint8 [S,S,3]; person [S,S] 0..1
    code    [S,S,3] and face [S,S]: coordinate code and face of the photo itself
    view, motion_view: the square S and `MOTION_SIDE` pixels wide
    painted_view, large_view: what of it is painted in, and the same twice as large
    """

    def __init__(self, portrait: Portrait, surroundings: Surroundings | None = None) -> None:
        self._portrait = portrait
        around = surroundings or Surroundings(portrait)
        self.warp = PhotoWarp(portrait, portrait.crop, around, GEOMETRY_ONLY)
        self.photo: Pixels = self.warp.photo
        self.person: Singles = self.warp.person
        own = portrait.rig.vertex_part == PART_NAMES.index("face")
        self._face = np.flatnonzero(own)
        self._reference = self._landmarks(portrait.source)
        still = self.warp.motion.driven(portrait.source, self._colours(portrait.source))
        self.code, self.face = still.colours, _shown(still)
        self.view = portrait.crop
        self.motion_view = _resized(portrait.crop, MOTION_SIDE)
        self.painted_view = View(
            self.view.left + PAINTED_CORNER[0] / self.view.scale,
            self.view.top + PAINTED_CORNER[1] / self.view.scale,
            self.view.scale,
            PAINTED_SIDE,
            PAINTED_SIDE,
        )
        self.large_view = _resized(self.painted_view, 2 * PAINTED_SIDE)

    def frame(self, vertices: Singles) -> DrivenFrame:
        """What the networks see of the driven head [V,3], in the photo's pixels."""
        motion, side = self.warp.motion.driven(vertices, self._colours(vertices)), NETWORK_SIDE
        own = np.arange(side, dtype=np.float32) + 0.5
        flow = np.stack([motion.from_x - own, motion.from_y - own[:, None]], axis=-1)
        inside = np.zeros((side, side, 4), np.float32)
        if (mouth := self.warp.mouth(vertices, motion)) is not None:
            height, width = mouth.cover.shape
            box = (slice(mouth.top, mouth.top + height), slice(mouth.left, mouth.left + width))
            inside[box] = np.dstack([mouth.colour / 255, mouth.cover])
        lips = lip_maps(self._landmarks(vertices), self._reference, MOTION_SIDE)
        return DrivenFrame(flow, motion.seen, _shown(motion), motion.colours, inside, lips)

    @property
    def members(self) -> NDArray[np.intp]:
        """The vertices of the face, over which its code goes from 0 to 1."""
        return self._face

    @property
    def reference(self) -> Singles:
        """The photo's landmarks [468,2] in pixels of the lip maps."""
        return self._reference

    def _landmarks(self, vertices: Singles) -> Singles:
        """The landmarks [468,2] in pixels of the lip maps."""
        points = self._portrait.crop.points(vertices[:LANDMARK_COUNT])
        return points[:, :2] * np.float32(MOTION_SIDE / NETWORK_SIDE)

    def _colours(self, vertices: Singles) -> Singles:
        """The coordinate code of every vertex that is drawn, [V+22,3]."""
        points = self.warp.motion.with_sheet(self.warp.view.points(vertices))
        return coordinate_code(points, self._face)


def _shown(motion: MotionImage) -> Singles:
    """1 where the face is drawn, 0 beside it."""
    return (motion.face_id >= 0).astype(np.float32)


def _resized(view: View, side: int) -> View:
    return View(view.left, view.top, view.scale * side / view.width, side, side)
