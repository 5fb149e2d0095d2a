# SPDX-License-Identifier: GPL-3.0-or-later
"""Which side of the mouth and of each eye every point of the skin is on.

Closed lips touch, and landmarks are a millimetre or two off, so neither space nor landmarks can
tell. The mesh can: from skin that is surely above and skin that is surely below, sides spread
along the edges, and where lips are parted in the mesh, they meet only deep in the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.rasterize import rasterize

from .landmark_surface import OPENINGS, LandmarkSurface
from .mesh_graph import MeshGraph, distances_from

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Metres on the template. Skin nearer to the line than the first number is unsure, skin farther
# away than the second no seed; sides spread at most as far as the third.
_BANDS = {
    "mouth": (0.0042, 0.020, 0.075),
    "left_eye": (0.0032, 0.014, 0.030),
    "right_eye": (0.0032, 0.014, 0.030),
}
# Skin farther from the landmarks' surface than this is not the face's front.
_NEAR_SURFACE = 0.008
# Skin farther behind what is seen from the front is hidden; the picture's pixels.
_BEHIND, _PIXEL = 0.0015, 0.0004
# Between the lips the way from skin above to skin below is this much longer than the straight
# way across, or the mouth does not open.
_LONGER_WAY = 0.0035


@dataclass(frozen=True, eq=False)
class Sides:
    """Three rows, one for each of `OPENINGS`.

    side   [3,P] +1 above, -1 below, 0 neither
    share  [3,P] 0 above to 1 below, by the ways to both
    above, below  [3,P] metres along the edges from skin that is surely there, inf where far
    opens  whether the mouth is open in the mesh
    """

    side: Ints
    share: Floats
    above: Floats
    below: Floats
    opens: bool


def line_distance(points: Floats, line: Floats) -> Floats:
    """Distance [N] of points [N,3] from a polyline [K,3]."""
    best = np.full(len(points), np.inf)
    for start, end in zip(line[:-1], line[1:], strict=True):
        along = end - start
        t = np.clip((points - start) @ along / max(float(along @ along), 1e-18), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - start - t[:, None] * along, axis=1))
    return best


def near_lips(points: Floats, landmarks: Floats, scale: float) -> NDArray[np.bool_]:
    """Points [N] so near the line of the lips that two in one place may be two lips."""
    near = np.zeros(len(points), np.bool_)
    for upper, lower in OPENINGS.values():
        for row in (upper, lower):
            # Only between the corners; beyond them skin is in one piece.
            near |= line_distance(points, landmarks[list(row[1:-1])]) < 0.006 * scale
    return near


def find_sides(
    graph: MeshGraph,
    normals: Floats,
    face: NDArray[np.bool_],
    surface: LandmarkSurface,
    landmarks: Floats,
    scale: float,
) -> Sides:
    """Sides of the points marked `face` [P]; `landmarks` [468,3] in metres, like the graph."""
    side = np.zeros((len(OPENINGS), graph.count), np.int64)
    share = np.full((len(OPENINGS), graph.count), 0.5)
    ways = np.full((2, len(OPENINGS), graph.count), np.inf)
    opens = False
    for number, (name, (upper, lower)) in enumerate(OPENINGS.items()):
        sure, seeds_end, reach = (length * scale for length in _BANDS[name])
        middle = landmarks[[*upper, *lower]].mean(axis=0)
        width = float(np.linalg.norm(landmarks[upper[0]] - landmarks[upper[-1]]))
        zone = np.flatnonzero(
            face & (np.linalg.norm(graph.points - middle, axis=1) < reach + width / 2)
        )
        if not len(zone):
            continue
        points = graph.points[zone]
        places = surface.locate(points, normals[zone], np.zeros((3, len(zone)), np.int64))
        triangle_side = surface.map.side[number][places.triangle]
        to_upper = line_distance(points, landmarks[list(upper)])
        to_lower = line_distance(points, landmarks[list(lower)])
        to_line = np.minimum(to_upper, to_lower)
        away = np.linalg.norm(points - places.place, axis=1)
        facing = (normals[zone] * places.normal).sum(axis=1)
        seeds = (
            (triangle_side != 0)
            & (to_line > sure)
            & (to_line < seeds_end)
            & (away < _NEAR_SURFACE * scale)
            & (facing > 0.3)
        )
        seeds[seeds] = seen_from_front(graph, face, zone[seeds], scale)
        above = zone[seeds & (triangle_side > 0)]
        below = zone[seeds & (triangle_side < 0)]
        from_above, _ = distances_from(graph, above, reach)
        from_below, _ = distances_from(graph, below, reach)
        ways[0, number], ways[1, number] = from_above, from_below
        reached = np.isfinite(np.minimum(from_above, from_below))
        side[number, reached] = np.where(from_above <= from_below, 1, -1)[reached]
        both = np.isfinite(from_above) & np.isfinite(from_below)
        share[number, reached] = (from_above > from_below)[reached]
        total = np.maximum(from_above[both] + from_below[both], 1e-9)
        share[number, both] = from_above[both] / total
        if name == "mouth":
            opens = _mouth_opens(
                graph, side[number], from_above + from_below, landmarks, sure, scale
            )
    return Sides(side, share, ways[0], ways[1], opens)


def seen_from_front(
    graph: MeshGraph, face: NDArray[np.bool_], points: Ints, scale: float
) -> NDArray[np.bool_]:
    """Which of `points` [N] have none of the skin of the points `face` [P] before them."""
    if not len(points):
        return np.zeros(0, np.bool_)
    pixel = _PIXEL * scale
    low = graph.points[points].min(axis=0) - 2 * pixel
    high = graph.points[points].max(axis=0) + 2 * pixel
    flat = np.stack(
        [
            (graph.points[:, 0] - low[0]) / pixel,
            (high[2] - graph.points[:, 2]) / pixel,
            graph.points[:, 1],
        ],
        axis=1,
    )
    width, height = (int(n) + 1 for n in (high - low)[[0, 2]] / pixel)
    shown = graph.triangles[face[graph.triangles].all(axis=1)]
    corner = flat[shown]
    inside = (corner[:, :, :2].max(axis=1) > 0).all(axis=1) & (
        corner[:, :, :2].min(axis=1) < (width, height)
    ).all(axis=1)
    shown = shown[inside]
    if not len(shown):
        return np.zeros(len(points), np.bool_)
    depth = rasterize(flat, shown, (width, height)).depth
    column, row = flat[points, :2].astype(int).T
    return np.asarray(flat[points, 2] < depth[row, column] + _BEHIND * scale)


def _mouth_opens(
    graph: MeshGraph, side: Ints, way: Floats, landmarks: Floats, sure: float, scale: float
) -> bool:
    """Whether upper and lower lip are parted in the mesh along most of the line.

    `way` [P] from skin above to skin below over each point.
    """
    upper = landmarks[list(OPENINGS["mouth"][0])]
    first, second = graph.edges.T
    crossing = graph.edges[side[first] * side[second] < 0]
    if not len(crossing):
        return True
    middle = graph.points[crossing].mean(axis=1)
    half = abs(upper[-1, 0] - upper[0, 0]) / 2
    across = (middle[:, 0] - upper[:, 0].mean()) / max(half, 1e-9)
    length = np.linalg.norm(np.diff(graph.points[crossing], axis=1)[:, 0], axis=1)
    # Seeds begin at the unsure band's rim, or up to one edge beyond it.
    short = way[crossing].min(axis=1) < 2 * sure + _LONGER_WAY * scale + 1.5 * length
    near = np.abs(middle[:, 1] - np.interp(middle[:, 0], upper[:, 0], upper[:, 1])) < 0.004 * scale
    welded = across[short & near]
    bins = np.unique(np.floor((welded[np.abs(welded) < 0.7] + 0.7) / 0.2))
    return len(bins) < 4
