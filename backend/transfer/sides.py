# SPDX-License-Identifier: GPL-3.0-or-later
"""Which side of the mouth and of each eye every point of the skin is on.

Closed lips touch, and landmarks are a millimetre or two off, so neither distance nor landmarks can
tell. The mesh can: sides spread along the edges from skin that is certainly above and skin that is
certainly below, and if the lips are parted in the mesh, they meet only deep in the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int64

from backend.rasterize import rasterize

from .landmark_surface import OPENINGS, LandmarkSurface
from .mesh_graph import MeshGraph, distances_from

# Metres on the template. Skin nearer to the line than the first number is ambiguous, skin farther
# away than the second is not a seed; sides spread at most as far as the third.
_BANDS = {
    "mouth": (0.0042, 0.020, 0.075),
    "left_eye": (0.0032, 0.014, 0.030),
    "right_eye": (0.0032, 0.014, 0.030),
}
# Skin farther from the landmark surface than this is not the front of the face.
_NEAR_SURFACE = 0.008
# Skin farther behind the visible surface is hidden; the pixel size of that picture.
_BEHIND, _PIXEL = 0.0015, 0.0004
# In a mouth that opens, the path from skin above to skin below is this much longer than the
# straight line.
_LONGER_WAY = 0.0035


@dataclass(frozen=True, eq=False)
class Sides:
    """Three rows, one for each of `OPENINGS`.

    side          +1 above, -1 below, 0 neither
    share         0 above to 1 below, by the distances to both
    above, below  metres along the edges from skin that is certainly on that side, inf if far
    opens         whether the lips are parted in the mesh
    """

    side: Int64[np.ndarray, "3 P"]
    share: Float64[np.ndarray, "3 P"]
    above: Float64[np.ndarray, "3 P"]
    below: Float64[np.ndarray, "3 P"]
    opens: bool


def line_distance(
    points: Float64[np.ndarray, "N 3"], line: Float64[np.ndarray, "K 3"]
) -> Float64[np.ndarray, " N"]:
    """Distances of points from a polyline."""
    best = np.full(len(points), np.inf)
    for start, end in pairwise(line):
        along = end - start
        t = np.clip((points - start) @ along / max(float(along @ along), 1e-18), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - start - t[:, None] * along, axis=1))
    return best


def near_lips(
    points: Float64[np.ndarray, "N 3"], landmarks: Float64[np.ndarray, "468 3"], scale: float
) -> Bool[np.ndarray, " N"]:
    """Which points are so near an opening that two at one position may be on both sides of it."""
    near = np.zeros(len(points), np.bool_)
    for upper, lower in OPENINGS.values():
        for row in (upper, lower):
            # Only between the corners; beyond them the skin is continuous.
            near |= line_distance(points, landmarks[list(row[1:-1])]) < 0.006 * scale
    return near


def find_sides(
    graph: MeshGraph,
    normals: Float64[np.ndarray, "P 3"],
    face: Bool[np.ndarray, " P"],
    surface: LandmarkSurface,
    landmarks: Float64[np.ndarray, "468 3"],
    scale: float,
) -> Sides:
    """Sides of the points marked `face`; `landmarks` are in metres, like the graph."""
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
    graph: MeshGraph, face: Bool[np.ndarray, " P"], points: Int64[np.ndarray, " N"], scale: float
) -> Bool[np.ndarray, " N"]:
    """Which of `points` are not hidden, seen from the front, by skin of the points `face`."""
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
    graph: MeshGraph,
    side: Int64[np.ndarray, " P"],
    way: Float64[np.ndarray, " P"],
    landmarks: Float64[np.ndarray, "468 3"],
    sure: float,
    scale: float,
) -> bool:
    """Whether upper and lower lip are parted in the mesh along most of their line.

    `way` is the length of the path from skin above to skin below through each point.
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
    # Seeds begin at the rim of the ambiguous band, or up to one edge beyond it.
    short = way[crossing].min(axis=1) < 2 * sure + _LONGER_WAY * scale + 1.5 * length
    near = np.abs(middle[:, 1] - np.interp(middle[:, 0], upper[:, 0], upper[:, 1])) < 0.004 * scale
    welded = across[short & near]
    bins = np.unique(np.floor((welded[np.abs(welded) < 0.7] + 0.7) / 0.2))
    return len(bins) < 4
