# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the edges of lips and lids are on a mesh, seen from the front.

Landmarks are a millimetre or two off, but a blink has to close on the mesh's own edges. So the
rows of landmarks along the lips and the lids are moved onto them, and their neighbours follow.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

from backend.face.arkit_basis import contacts
from backend.rasterize import rasterize

from .landmark_surface import OPENINGS
from .mesh_graph import MeshGraph
from .sides import Sides

CONTACT_OF = {"mouth": "lips", "left_eye": "left", "right_eye": "right"}
# Metres on the template: pixel size, margin around the opening, farthest move of a landmark.
_PIXEL, _MARGIN, _MOST = 0.00025, 0.007, 0.0045
# How far a corner of the mouth may move.
_MOST_CORNER = 0.008
# The skin ends where its path length or its depth grows by more from one pixel to the next.
_WAY_STEP, _DEPTH_STEP = 0.0013, 0.003
# Lips with a smaller gap than this touch.
_TOUCHING = 0.0007


def snapped_landmarks(
    landmarks: Float64[np.ndarray, "468 3"],
    graph: MeshGraph,
    face: Bool[np.ndarray, " P"],
    sides: Sides,
    scale: float,
) -> Float64[np.ndarray, "468 3"]:
    """Landmarks whose lip and lid rows lie on the visible edges of the points `face`."""
    moved = landmarks.copy()
    triangles = graph.triangles[face[graph.triangles].all(axis=1)]
    for number, (name, (upper, lower)) in enumerate(OPENINGS.items()):
        if name == "mouth" and not sides.opens:
            continue
        contact = contacts()[CONTACT_OF[name]]
        if name == "mouth":
            ring = moved[[*upper, *lower]]
            picture = OpeningPicture(graph, triangles, sides, number, ring, scale)
            moved = _with_corners(moved, picture, scale)
        wanted_upper, wanted_lower = moved[contact.upper].copy(), moved[contact.lower].copy()
        picture = OpeningPicture(graph, triangles, sides, number, moved[[*upper, *lower]], scale)
        found = np.zeros(len(upper), np.bool_)
        for pair in range(1, len(upper) - 1):
            above = picture.edge(moved[upper[pair]], +1)
            below = picture.edge(moved[lower[pair]], -1)
            if above is not None and below is not None:
                wanted_upper[pair], wanted_lower[pair] = above, below
                found[pair] = True
        if name == "mouth":
            near = wanted_upper[:, 2] - wanted_lower[:, 2] < _TOUCHING * scale
            middle = (wanted_upper + wanted_lower) / 2
            wanted_upper[near], wanted_lower[near] = middle[near], middle[near]
        if found[1:-1].mean() > 0.4:
            moved = contact.corrected(moved, wanted_upper, wanted_lower)
    return moved


def _with_corners(
    landmarks: Float64[np.ndarray, "468 3"], picture: OpeningPicture, scale: float
) -> Float64[np.ndarray, "468 3"]:
    """Landmarks with the mouth's corners where the mesh has them; the lips between follow."""
    contact = contacts()["lips"]
    upper, lower = landmarks[contact.upper].copy(), landmarks[contact.lower].copy()
    middle = len(upper) // 2
    for end, inner in ((0, range(1, middle)), (-1, range(len(upper) - 2, middle, -1))):
        corner = picture.corner(upper[2 if end == 0 else -3], upper[end])
        if corner is None or np.linalg.norm(corner - upper[end]) > _MOST_CORNER * scale:
            continue
        way = corner - upper[end]
        for pair in inner:
            # None of it in the middle, all of it at the corner.
            part = abs(pair - middle) / middle if end == 0 else (pair - middle) / middle
            upper[pair] += part * way
            lower[pair] += part * way
        upper[end] = lower[end] = corner
    return contact.corrected(landmarks, upper, lower)


class OpeningPicture:
    """One opening from the front: depth, side and path lengths of every pixel."""

    def __init__(
        self,
        graph: MeshGraph,
        triangles: Int64[np.ndarray, "F 3"],
        sides: Sides,
        number: int,
        ring: Float64[np.ndarray, "N 3"],
        scale: float,
    ) -> None:
        self.scale, self.pixel = scale, _PIXEL * scale
        low = ring.min(axis=0) - _MARGIN * scale
        high = ring.max(axis=0) + _MARGIN * scale
        self.left, self.top = low[0], high[2]
        width = int((high[0] - low[0]) / self.pixel) + 1
        height = int((high[2] - low[2]) / self.pixel) + 1
        corners = graph.points[triangles]
        inside = (
            (corners[:, :, 0].min(axis=1) < high[0]) & (corners[:, :, 0].max(axis=1) > low[0])
            & (corners[:, :, 2].min(axis=1) < high[2]) & (corners[:, :, 2].max(axis=1) > low[2])
            & (corners[:, :, 1].min(axis=1) < ring[:, 1].max() + 0.03 * scale)
        )  # fmt: skip
        shown = triangles[inside]
        flat = np.stack(
            [
                (graph.points[:, 0] - self.left) / self.pixel,
                (self.top - graph.points[:, 2]) / self.pixel,
                graph.points[:, 1],
            ],
            axis=1,
        )
        drawn = rasterize(flat, shown, (width, height))
        seen, shares, hit = drawn.face_id, drawn.barycentric, drawn.covered
        corner = shown[np.where(hit, seen, 0)] if len(shown) else np.zeros((*seen.shape, 3), int)
        self.depth = np.where(hit, (graph.points[corner, 1] * shares).sum(axis=-1), np.inf)
        self.side = np.where(hit, np.sign((sides.side[number][corner] * shares).sum(axis=-1)), 0)
        far = 1.0
        self.ways = {
            +1: (np.minimum(sides.above[number][corner], far) * shares).sum(axis=-1),
            -1: (np.minimum(sides.below[number][corner], far) * shares).sum(axis=-1),
        }

    def corner(
        self, inner: Float64[np.ndarray, " 3"], outer: Float64[np.ndarray, " 3"]
    ) -> Float64[np.ndarray, " 3"] | None:
        """Where the lip line ends, searched from `inner` through `outer` and beyond.

        None if there is no line.
        """
        step = 1 if outer[0] > inner[0] else -1
        height, width = self.side.shape
        column = int((inner[0] - self.left) / self.pixel)
        beyond = int((outer[0] - self.left) / self.pixel + step * _MARGIN / _PIXEL)
        row = int((self.top - inner[2]) / self.pixel)
        reach = int(0.002 * self.scale / self.pixel)
        found = None
        missed = 0
        while 0 <= column < width and column != beyond and missed < 4:
            low, high = max(row - reach, 0), min(row + reach, height - 1)
            side = self.side[low : high + 1, column]
            # Upper lip above; below it the other lip, a gap, or what shows through the gap.
            ends = np.flatnonzero((side[:-1] > 0) & (side[1:] <= 0))
            parted = False
            for end in ends:
                here = low + int(end)
                there = min(here + 1, height - 1)
                way = self.ways[+1]
                if side[end + 1] == 0 or (
                    abs(way[there, column] - way[here, column]) > _WAY_STEP * self.scale
                ):
                    parted, row = True, here
                    break
            if parted:
                depth = self.depth[row, column]
                z = self.top - (row + 1.0) * self.pixel
                found = np.array([self.left + (column + 0.5) * self.pixel, depth, z])
                missed = 0
            else:
                missed += 1
            column += step
        return found

    def edge(
        self, landmark: Float64[np.ndarray, " 3"], side: int
    ) -> Float64[np.ndarray, " 3"] | None:
        """The last point of the upper (+1) or lower (-1) skin before the other one.

        Searched straight above or below the landmark; None if there is no such skin.
        """
        height, width = self.side.shape
        column = int((landmark[0] - self.left) / self.pixel)
        middle = int((self.top - landmark[2]) / self.pixel)
        reach = int(_MOST * self.scale / self.pixel)
        if not 0 <= column < width:
            return None
        row = min(max(middle - side * reach, 0), height - 1)
        end = min(max(middle + side * reach, 0), height - 1)
        if self.side[row, column] != side:
            return None
        way = self.ways[side]
        while row != end:
            following = row + side
            goes_on = (
                self.side[following, column] == side
                and abs(way[following, column] - way[row, column]) < _WAY_STEP * self.scale
                and self.depth[following, column] - self.depth[row, column]
                < _DEPTH_STEP * self.scale
            )
            if not goes_on:
                z = self.top - (row + 0.5 + 0.5 * side) * self.pixel
                return np.array([landmark[0], self.depth[row, column], z])
            row = following
        return None
