# SPDX-License-Identifier: GPL-3.0-or-later
"""The input of the networks for a frame: everything in the square around the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from backend.face.head.parts import PART_NAMES
from shared.landmarks import LANDMARK_COUNT

from ..frame.motion_field import MotionImage
from ..frame.photo_warp import PhotoWarp
from ..frame.portrait import Portrait
from ..frame.surroundings import Surroundings
from ..frame.view import View
from ..settings import GEOMETRY_ONLY, MOTION_SIDE, NETWORK_SIDE, PAINTED_CORNER, PAINTED_SIDE
from .projection_texture import coordinate_code, lip_maps


@dataclass(frozen=True, eq=False)
class DrivenFrame:
    """One frame in the face crop; S = `NETWORK_SIDE`, M = `MOTION_SIDE`, L = `LIP_MAPS`.

    flow   where in the photo's crop a pixel comes from, minus its own position, pixels
    seen   how well the photo shows it, 0..1
    face   mask of the inner face, 0..1
    code   normalised coordinate code of the driven mesh, 0..1, 0 outside the face
    inside the rendered inside of the mouth: RGB 0..1 and opacity 0..1
    lips   maps of the lips, driving minus photo
    """

    flow: Float32[np.ndarray, "S S 2"]
    seen: Float32[np.ndarray, "S S"]
    face: Float32[np.ndarray, "S S"]
    code: Float32[np.ndarray, "S S 3"]
    inside: Float32[np.ndarray, "S S 4"]
    lips: Float32[np.ndarray, "M M L"]


class FaceCrop:
    """The square around a portrait's face, as the networks see it.

    photo, person  the photo and the matte of the person, 0..1
    code, face     coordinate code and mask of the face in the photo itself
    view, motion_view  the square at S and at `MOTION_SIDE` pixels
    painted_view, large_view  the part that is repainted, and the same at twice the resolution
    """

    def __init__(self, portrait: Portrait, surroundings: Surroundings | None = None) -> None:
        self._portrait = portrait
        around = surroundings or Surroundings(portrait)
        self.warp = PhotoWarp(portrait, portrait.crop, around, GEOMETRY_ONLY)
        self.photo: UInt8[np.ndarray, "S S 3"] = self.warp.photo
        self.person: Float32[np.ndarray, "S S"] = self.warp.person
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

    def frame(self, vertices: Float32[np.ndarray, "V 3"]) -> DrivenFrame:
        """The networks' input for a driven head, in the photo's pixels."""
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
    def members(self) -> Int64[np.ndarray, " N"]:
        """Indices of the face's vertices, over which the code runs from 0 to 1."""
        return self._face

    @property
    def reference(self) -> Float32[np.ndarray, "468 2"]:
        """The photo's landmarks in pixels of the lip maps."""
        return self._reference

    def _landmarks(self, vertices: Float32[np.ndarray, "V 3"]) -> Float32[np.ndarray, "468 2"]:
        """The landmarks in pixels of the lip maps."""
        points = self._portrait.crop.points(vertices[:LANDMARK_COUNT])
        return points[:, :2] * np.float32(MOTION_SIDE / NETWORK_SIDE)

    def _colours(self, vertices: Float32[np.ndarray, "V 3"]) -> Float32[np.ndarray, "V+22 3"]:
        """The coordinate code of every vertex that is drawn."""
        points = self.warp.motion.with_sheet(self.warp.view.points(vertices))
        return coordinate_code(points, self._face)


def _shown(motion: MotionImage) -> Float32[np.ndarray, "H W"]:
    """1 where the face is drawn, 0 elsewhere."""
    return (motion.face_id >= 0).astype(np.float32)


def _resized(view: View, side: int) -> View:
    return View(view.left, view.top, view.scale * side / view.width, side, side)
