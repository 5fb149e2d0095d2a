# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in the photo every pixel of a driven frame comes from: exact for the face, smooth beyond.

The motion of the face is known, because both meshes are: the driven mesh is rasterised with its
positions in the photo as colours. Everything else follows as described in `surroundings.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from backend.face.head.parts import PART_NAMES
from backend.face.surface import vertex_normals
from backend.rasterize import rasterize, rasterize_attributes
from shared.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
    UPPER_LIP_EDGE,
)

from .painted_tiles import packed_tiles
from .portrait import Portrait
from .surroundings import Surroundings
from .view import View

SKIN = ("face", "left_lid_edge", "right_lid_edge", "inner_lips")
EYES = ("left_eye", "right_eye")
# Cosine between the skin's normal and the line of sight: up to the first value the photo shows
# nothing of the skin, from the second on all of it.
HIDDEN_COSINE, SEEN_COSINE = 0.05, 0.35
# A vertex is hidden if something lies in front of it by more than this, metres.
IN_FRONT = 0.004
# The edges of both lips; how far behind them the sheet between them lies, and how far it reaches
# beneath them (the lips are finer and rounder), metres.
LIP_ROWS = [*INNER_LIP_UPPER, *INNER_LIP_LOWER]
SHEET_BEHIND, SHEET_WIDER = 0.2, 0.0012
# Width of the band in which the motion of the face blends into that of its surroundings, heights
# of the face.
SEAM = 0.035


@dataclass(frozen=True, eq=False)
class MotionImage:
    """The motion of one frame in a view of H x W pixels.

    from_x, from_y  where in the view of the photo a pixel comes from, pixel centres at +0.5
    seen            how well the photo shows it, 0..1
    face            mask of the face, soft at its rim, 0..1
    face_id         the frontmost triangle of `MotionField.triangles`, or -1
    depth           of the face, pixels; infinite outside the face
    tile            position in the painted tiles, for eyes
    colours         the additional attributes, 0 outside the face
    """

    from_x: Float32[np.ndarray, "H W"]
    from_y: Float32[np.ndarray, "H W"]
    seen: Float32[np.ndarray, "H W"]
    face: Float32[np.ndarray, "H W"]
    face_id: Int32[np.ndarray, "H W"]
    depth: Float32[np.ndarray, "H W"]
    tile: Float32[np.ndarray, "H W 2"]
    colours: Float32[np.ndarray, "H W C"]


class CoarsePixels(NamedTuple):
    """Positions in the view at which the motion outside the face is computed."""

    x: Float32[np.ndarray, "h w"]
    y: Float32[np.ndarray, "h w"]


class MotionField:
    """The motion from the photo to driven frames, in one view of the photo."""

    def __init__(
        self, portrait: Portrait, view: View, surroundings: Surroundings, *, inner_lips: bool = True
    ) -> None:
        self.view = view
        self._surroundings = surroundings
        rig = portrait.rig
        skin = SKIN if inner_lips else SKIN[:-1]
        drawn = rig.triangles_of(*skin, *EYES)
        # A sheet spans the opening between the lips, far behind everything: where nothing is drawn
        # in front of it, the photo's pixels are stretched like skin.
        self.triangles = np.concatenate([drawn, len(rig.rest) + _sheet()])
        metre = portrait.axes.scale * view.scale
        self._behind = np.zeros((len(LIP_ROWS), 3), np.float32)
        self._behind[:, 2] = SHEET_BEHIND * metre
        half = len(INNER_LIP_UPPER)
        self._behind[:half, 1], self._behind[half:, 1] = -SHEET_WIDER * metre, SHEET_WIDER * metre
        source = view.points(portrait.source)
        self.seen = _seen_in_photo(portrait, source, view, drawn)
        places = source[:, :2].copy()
        inner = np.flatnonzero(rig.vertex_part == PART_NAMES.index("inner_lips"))
        places[inner] = _inside_of_lips(portrait, source, inner)
        seen = self.seen.copy()
        seen[inner] = 1.0
        self.places = places
        _, tiles = packed_tiles(rig)
        rows = np.column_stack([places, seen, tiles]).astype(np.float32)
        self.attributes = np.concatenate([rows, rows[LIP_ROWS]])
        self.attributes[len(rows) :, 2] = 1.0
        tall = portrait.face_height * view.scale
        self._seam = max(1, round(SEAM * tall))
        step = max(1, round(tall / 64))
        self._coarse = (max(2, view.width // step), max(2, view.height // step))
        across = (np.arange(self._coarse[0], dtype=np.float32) + 0.5) * (
            view.width / self._coarse[0]
        )
        down = (np.arange(self._coarse[1], dtype=np.float32) + 0.5) * (
            view.height / self._coarse[1]
        )
        x, y = np.meshgrid(across, down)
        self._x, self._y = x, y

    @property
    def seam(self) -> int:
        """Half the width of the band between the face and its surroundings, pixels."""
        return self._seam

    @property
    def behind(self) -> Float32[np.ndarray, "22 3"]:
        """Offset of the sheet between the lips from their edges `LIP_ROWS`, pixels."""
        return self._behind

    @property
    def coarse(self) -> CoarsePixels:
        return CoarsePixels(self._x, self._y)

    def around(
        self, vertices: Float32[np.ndarray, "V 3"]
    ) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
        """`from_x` and `from_y` as if there were no face; `vertices` in the photo's pixels."""
        view, scale = self.view, np.float32(self.view.scale)
        moved = self._surroundings.displacement(vertices)
        x, y = self._x / scale + np.float32(view.left), self._y / scale + np.float32(view.top)
        from_x, from_y = self._surroundings.origin(x, y, moved)
        flow = np.stack([(from_x - x) * scale, (from_y - y) * scale], axis=-1)
        flow = cv2.resize(flow, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
        return (
            flow[..., 0] + (np.arange(view.width, dtype=np.float32) + 0.5),
            flow[..., 1] + (np.arange(view.height, dtype=np.float32) + 0.5)[:, None],
        )

    def with_sheet(self, points: Float32[np.ndarray, "V 3"]) -> Float32[np.ndarray, "V+22 3"]:
        """Points in this view, followed by those of the sheet between the lips."""
        return np.concatenate([points, points[LIP_ROWS] + self._behind])

    def driven(
        self,
        vertices: Float32[np.ndarray, "V 3"],
        colours: Float32[np.ndarray, "V+22 C"] | None = None,
    ) -> MotionImage:
        """The motion to the driven head `vertices`, in the photo's pixels.

        `colours` are additional attributes of its vertices and the sheet's (see `with_sheet`).
        """
        around_x, around_y = self.around(vertices)
        points = self.with_sheet(self.view.points(vertices))
        attributes = self.attributes if colours is None else np.hstack([self.attributes, colours])
        face_id, depth, values = rasterize_attributes(
            points, self.triangles, attributes, (self.view.width, self.view.height)
        )
        on_face = face_id >= 0
        rim = _soft_inside(on_face, self._seam)

        def within(
            around: Float32[np.ndarray, "H W"], drawn: Float32[np.ndarray, "H W"]
        ) -> Float32[np.ndarray, "H W"]:
            shown = np.where(on_face, drawn, around)
            return np.asarray(around + rim * (shown - around), np.float32)

        from_x, from_y = within(around_x, values[..., 0]), within(around_y, values[..., 1])
        seen = within(np.ones_like(depth), values[..., 2])
        return MotionImage(
            from_x, from_y, seen, rim, face_id, depth, values[..., 3:5], values[..., 5:]
        )


def _sheet() -> Int32[np.ndarray, "20 3"]:
    """Triangles between the lips' edges; corners are indices into `LIP_ROWS`."""
    count = len(INNER_LIP_UPPER)
    faces = []
    for k in range(count - 1):
        upper, lower = (k, k + 1), (count + k, count + k + 1)
        faces += [(upper[0], upper[1], lower[1]), (upper[0], lower[1], lower[0])]
    return np.array(faces, np.int32)


def _soft_inside(inside: Bool[np.ndarray, "H W"], seam: int) -> Float32[np.ndarray, "H W"]:
    """1 well inside the mask, 0 outside, with a soft edge over `seam` pixels.

    Holes (an open mouth) count as inside.
    """
    mask = inside.astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, outlines, -1, 1, thickness=cv2.FILLED)
    size = 2 * seam + 1
    eroded = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    soft = cv2.blur(eroded.astype(np.float32), (size, size))
    return np.asarray(np.where(mask > 0, soft, 0.0), np.float32)


def _seen_in_photo(
    portrait: Portrait,
    source: Float32[np.ndarray, "V 3"],
    view: View,
    triangles: Int32[np.ndarray, "F 3"],
) -> Float32[np.ndarray, " V"]:
    """How well the photo shows each vertex, 0..1."""
    facing = -vertex_normals(source.astype(np.float64), portrait.rig.triangles)[:, 2]
    seen = np.clip((facing - HIDDEN_COSINE) / (SEEN_COSINE - HIDDEN_COSINE), 0, 1)
    # Teeth and eyeballs may face the viewer and yet be covered.
    size = (view.width, view.height)
    depth = rasterize(source, triangles, size).depth
    column = np.clip(source[:, 0].astype(int), 0, view.width - 1)
    row = np.clip(source[:, 1].astype(int), 0, view.height - 1)
    margin = IN_FRONT * portrait.axes.scale * view.scale
    hidden = source[:, 2] > depth[row, column] + margin
    inside = (column == source[:, 0].astype(int)) & (row == source[:, 1].astype(int))
    return np.asarray(np.where(hidden & inside, 0.0, seen), np.float32)


def _inside_of_lips(
    portrait: Portrait, source: Float32[np.ndarray, "V 3"], inner: Int64[np.ndarray, " N"]
) -> Float32[np.ndarray, "N 2"]:
    """Positions in the photo for the inside of the lips, which a photo hardly shows.

    The red of the lips, mirrored at the edge where they meet.
    """
    rest = portrait.rig.rest
    edges, reds, heights = [], [], []
    for edge_row, outer_row in (
        (INNER_LIP_UPPER, OUTER_LIP_UPPER),
        (INNER_LIP_LOWER, OUTER_LIP_LOWER),
    ):
        for k in range(len(edge_row) - 1):
            for share in np.linspace(0, 1, 8, endpoint=False):
                pair = (1 - share, share)
                ends, outer = list(edge_row[k : k + 2]), list(outer_row[k : k + 2])
                edges.append(pair @ np.column_stack([rest[ends], source[ends, :2]]))
                reds.append(pair @ source[outer, :2])
                heights.append(np.linalg.norm(pair @ rest[outer] - edges[-1][:3]))
    edge_points, red_points = np.array(edges), np.array(reds)
    found = np.empty((len(inner), 2))
    for index, vertex in enumerate(inner):
        # Both lips meet at rest: the inside of the upper one lies above its edge.
        away = rest[vertex] - edge_points[:, :3]
        length = np.linalg.norm(away, axis=1)
        half = len(edge_points) // 2
        upper = rest[vertex, 2] >= portrait.rig.rest[UPPER_LIP_EDGE, 2]
        rows = slice(0, half) if upper else slice(half, None)
        nearest = int(np.argmin(length[rows])) + (0 if upper else half)
        share = min(0.75, length[nearest] / max(heights[nearest], 1e-4) * 0.8)
        red, edge = red_points[nearest], edge_points[nearest, 3:]
        found[index] = edge + share * (red - edge)
    return found.astype(np.float32)
