# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks of lips and lids moved onto the mesh's own edges: where lips meet and lids end.

Such an edge is where two neighbouring pixels show points that are not neighbours on the surface:
the lip above and the lip below, the lid and the eyeball or the socket behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from backend.face.pose import Similarity
from shared.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    LIP_LANDMARKS,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

from .face_picture import Surface, View, depth_picture
from .head_search import unproject

_SIDE = 288
# A step from one pixel to the next longer than this (share of the eye distance) is a depth jump.
_JUMP = 0.02
# A groove this deep (share of the eye distance) counts as the line between lips that form one
# surface.
_GROOVE = 0.004
# How much deeper than tracked a lid's edge may lie, as a share of the eye distance.
_LID_DEPTH = 0.025


@dataclass(frozen=True, eq=False)
class _Scene:
    """A close-up picture, and the data that tell whether two points of it are neighbours."""

    view: View
    triangle: Int32[np.ndarray, "S S"]
    depth: Float64[np.ndarray, "S S"]
    kind: Int32[np.ndarray, "S S"]  # component of each pixel; eyeballs -2, background -1
    surface: Surface
    same: Int64[np.ndarray, " V"]
    ways: csr_matrix
    local: Int64[np.ndarray, " V"]
    edge: float
    unit: float
    skin: int

    def place(self, column: int, row: int) -> Float64[np.ndarray, " 3"]:
        """The point that a pixel shows."""
        middle = np.array([[column + 0.5, row + 0.5]])
        point: Float64[np.ndarray, " 3"] = unproject(
            middle, self.depth[row : row + 1, column], self.view
        )[0]
        return point

    def breaks(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether two neighbouring pixels (column, row) show points far apart on the surface."""
        kind, beside = self.kind[one[1], one[0]], self.kind[other[1], other[0]]
        if kind != beside:
            return True
        if kind < 0:
            return False
        first = self.surface.triangles[self.triangle[one[1], one[0]]]
        second = self.surface.triangles[self.triangle[other[1], other[0]]]
        start, end = self.same[first], self.same[second]
        if (start == end).all():
            return False
        gap = float(np.linalg.norm(self.place(*one) - self.place(*other)))
        if gap > _JUMP * self.unit:
            return True
        if np.isin(start, end).any():
            return False
        limit = 4 * gap + 4 * self.edge
        way = dijkstra(
            self.ways, directed=False, indices=self.local[start], limit=limit, min_only=True
        )
        return bool(way[self.local[end]].min() > limit)


def snap_to_edges(
    places: Float64[np.ndarray, "468 3"],
    surface: Surface,
    same: Int64[np.ndarray, " V"],
    to_frontal: Similarity,
    unit: float,
    ask: Callable[[], None],
) -> tuple[Float64[np.ndarray, "468 3"], Bool[np.ndarray, " 468"]]:
    """Landmarks with those of lips and lids on the mesh's edges, and which ones were moved.

    `unit` is the distance between the outer eye corners in the character's unit, `same` the first
    vertex at each position.
    """
    moved, put = places.copy(), np.zeros(len(places), bool)
    ask()
    rings = list(LIP_LANDMARKS)
    scene = _scene(places[rings], surface, same, to_frontal, unit)
    _snap_lips(scene, moved, put)
    for upper, lower in ((RIGHT_LID_UPPER, RIGHT_LID_LOWER), (LEFT_LID_UPPER, LEFT_LID_LOWER)):
        ask()
        scene = _scene(places[[*upper, *lower]], surface, same, to_frontal, unit)
        _snap_lids(scene, moved, put, upper, lower)
    return moved, put


def _scene(
    ring: Float64[np.ndarray, "N 3"],
    surface: Surface,
    same: Int64[np.ndarray, " V"],
    to_frontal: Similarity,
    unit: float,
) -> _Scene:
    """A close-up of a ring of landmarks, seen from the front."""
    spread = (ring - ring.mean(axis=0)) @ to_frontal.rotation.T
    half = float(0.9 * np.abs(spread[:, [0, 2]]).max() + 0.03 * unit)
    middle = (ring.max(axis=0) + ring.min(axis=0)) / 2
    view = View(middle, to_frontal.rotation, half * 1.15, _SIDE)
    triangle, _, depth = depth_picture(surface, view)
    component = np.where(triangle >= 0, surface.component[np.maximum(triangle, 0)], -1)
    balls = [ball.component for ball in surface.eyeballs]
    kind = np.where(np.isin(component, balls), -2, component).astype(np.int32)
    near = np.abs((surface.vertices - middle) @ to_frontal.rotation.T).max(axis=1) < 2 * half
    # Everything in the picture must be included, however far behind.
    shown = surface.triangles[np.unique(triangle[triangle >= 0])].reshape(-1)
    near[shown] = True
    chosen = surface.triangles[near[surface.triangles].all(axis=1)]
    corners = same[chosen]
    local = np.full(len(surface.vertices), -1, np.int64)
    rows = np.unique(np.concatenate([corners.reshape(-1), same[shown]]))
    local[rows] = np.arange(len(rows))
    start = np.concatenate([corners[:, k] for k in range(3)])
    end = np.concatenate([corners[:, (k + 1) % 3] for k in range(3)])
    length = np.linalg.norm(surface.vertices[start] - surface.vertices[end], axis=1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    # Each edge once: it belongs to two triangles, and duplicate entries would be summed.
    _, first = np.unique(low * len(surface.vertices) + high, return_index=True)
    low, high, length = local[low[first]], local[high[first]], length[first]
    ways = csr_matrix((np.maximum(length, 1e-12), (low, high)), shape=(len(rows), len(rows)))
    ways = (ways + ways.T).tocsr()
    counted = kind[(kind >= 0)]
    skin = int(np.bincount(counted).argmax()) if len(counted) else -1
    edge = float(np.median(length)) if len(length) else 0.0
    return _Scene(view, triangle, depth, kind, surface, same, ways, local, edge, unit, skin)


def _walk(
    start: Float64[np.ndarray, " 2"], end: Float64[np.ndarray, " 2"], side: int
) -> list[tuple[int, int]]:
    """Pixels (column, row) on the line between two points, each once, within the picture."""
    count = max(2, int(np.ceil(np.abs(end - start).max())) + 1)
    line = start + (end - start) * np.linspace(0, 1, count)[:, None]
    cells = [(int(x), int(y)) for x, y in np.floor(line)]
    cells = [cell for cell in cells if 0 <= cell[0] < side and 0 <= cell[1] < side]
    return [cell for k, cell in enumerate(cells) if k == 0 or cell != cells[k - 1]]


def _snap_lips(
    scene: _Scene, places: Float64[np.ndarray, "468 3"], put: Bool[np.ndarray, " 468"]
) -> None:
    """Find the inner lip line from above and from below; corners keep their columns."""
    flat = scene.view.project(places)[:, :2]
    for k, (upper, lower) in enumerate(zip(INNER_LIP_UPPER, INNER_LIP_LOWER, strict=True)):
        inner = (flat[upper] + flat[lower]) / 2
        above = (flat[OUTER_LIP_UPPER[k]] + flat[upper]) / 2
        below = (flat[OUTER_LIP_LOWER[k]] + flat[lower]) / 2
        if upper == lower:
            # Near the corner the lips are thin; search as far as at the next landmarks.
            beside = 1 if k == 0 else -2
            reach = 0.6 * abs(flat[OUTER_LIP_LOWER[beside], 1] - flat[OUTER_LIP_UPPER[beside], 1])
            above, below = inner - np.array([0.0, reach]), inner + np.array([0.0, reach])
        centre = np.array([inner[0], inner[0]])
        above[0], below[0] = centre
        cells = _walk(above, below, scene.view.side)
        cuts = [n for n in range(len(cells) - 1) if scene.breaks(cells[n], cells[n + 1])]
        if cuts:
            first, last = cells[cuts[0]], cells[cuts[-1] + 1]
            if _shows_skin(scene, first) and _shows_skin(scene, last):
                top, bottom = scene.place(*first), scene.place(*last)
                if upper == lower:
                    places[upper] = (top + bottom) / 2
                else:
                    places[upper], places[lower] = top, bottom
                put[[upper, lower]] = True
            continue
        groove = _groove(scene, cells)
        if groove is not None:
            places[[upper, lower]] = groove
            put[[upper, lower]] = True


def _shows_skin(scene: _Scene, cell: tuple[int, int]) -> bool:
    return bool(scene.kind[cell[1], cell[0]] == scene.skin)


def _groove(scene: _Scene, cells: list[tuple[int, int]]) -> Float64[np.ndarray, " 3"] | None:
    """The deepest point of a walk, if it is deeper than the points before and after it."""
    depth = np.array([scene.depth[row, column] for column, row in cells])
    if len(depth) < 5 or not np.isfinite(depth).all():
        return None
    deepest = 2 + int(depth[2:-2].argmax()) if len(depth) > 5 else len(depth) // 2
    pixel = 2 * scene.view.half / scene.view.side
    rim = max(depth[:deepest].min(), depth[deepest + 1 :].min())
    if (depth[deepest] - rim) * pixel < _GROOVE * scene.unit:
        return None
    return scene.place(*cells[deepest])


def _snap_lids(
    scene: _Scene,
    places: Float64[np.ndarray, "468 3"],
    put: Bool[np.ndarray, " 468"],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
) -> None:
    """Find the lids' edges, searching outwards from the middle of the eye."""
    flat, deep = np.split(scene.view.project(places), [2], axis=1)
    # Beside the eyeball the view may pass the lid into the head.
    deep = deep[:, 0] + _LID_DEPTH * scene.unit * scene.view.side / (2 * scene.view.half)
    last = len(upper) - 1
    middle = flat[[*upper, *lower[1:-1]]].mean(axis=0)
    width = float(np.linalg.norm(flat[upper[last]] - flat[upper[0]]))
    far = 0.2 * width * 2 * scene.view.half / scene.view.side
    found: dict[int, Float64[np.ndarray, " 3"]] = {}
    for k in range(last + 1):
        for landmark in {upper[k], lower[k]}:
            if k in (0, last):
                start = middle + 0.5 * (flat[landmark] - middle)
                end = flat[landmark] + 0.25 * (flat[landmark] - middle)
            else:
                start = (flat[upper[k]] + flat[lower[k]]) / 2
                out = flat[landmark] - start
                length = max(float(np.linalg.norm(out)), 1e-6)
                end = flat[landmark] + out / length * max(0.6 * length, 0.1 * width)
            place = _lid_edge(scene, _walk(start, end, scene.view.side), deep[landmark])
            # An edge far from where the tracker saw the lid is a different one. Beyond the inner
            # corner lies the tear duct, which belongs to the eye.
            most = 0.5 * far if k == last else far
            if place is not None and np.linalg.norm(place - places[landmark]) < most:
                found[landmark] = place
    # Painted or closed eyes have no edges; the few that are found then are accidental.
    if len(found) < 0.6 * (2 * last):
        return
    for ring in (upper, lower):
        found |= _between(scene, ring, found, middle, deep)
    for landmark, place in found.items():
        places[landmark] = place
        put[landmark] = True


def _between(
    scene: _Scene,
    ring: tuple[int, ...],
    found: dict[int, Float64[np.ndarray, " 3"]],
    middle: Float64[np.ndarray, " 2"],
    deep: Float64[np.ndarray, " 468"],
) -> dict[int, Float64[np.ndarray, " 3"]]:
    """Missing landmarks of a lid, placed on its edge between neighbours that were found.

    If an eye is narrower than tracked, the landmarks next to its corner lay beyond it.
    """
    added: dict[int, Float64[np.ndarray, " 3"]] = {}
    for before, landmark, after in zip(ring, ring[1:], ring[2:], strict=False):
        if landmark in found or before not in found or after not in found:
            continue
        target = scene.view.project(np.stack([found[before], found[after]]))[:, :2].mean(axis=0)
        start, end = middle + 0.4 * (target - middle), target + 0.3 * (target - middle)
        place = _lid_edge(scene, _walk(start, end, scene.view.side), deep[landmark])
        if place is not None:
            added[landmark] = place
    return added


def _lid_edge(
    scene: _Scene, cells: list[tuple[int, int]], deepest: float
) -> Float64[np.ndarray, " 3"] | None:
    """The first skin point in front of what the walk passed before, no deeper than `deepest`.

    Depths are in pixels. If the wall of a socket is visible, it is the point where the wall ends.
    """
    pixel = 2 * scene.view.half / scene.view.side
    for before, after in pairwise(cells):
        if not _shows_skin(scene, after) or scene.depth[after[1], after[0]] > deepest:
            continue
        behind = (scene.depth[before[1], before[0]] - scene.depth[after[1], after[0]]) * pixel
        other = scene.kind[before[1], before[0]] != scene.skin
        # Eyeballs may protrude slightly through the lids.
        least = (-0.03 if other else 0.004) * scene.unit
        if behind > least and scene.breaks(before, after):
            return scene.place(*after)
    return _end_of_wall(scene, cells)


def _end_of_wall(scene: _Scene, cells: list[tuple[int, int]]) -> Float64[np.ndarray, " 3"] | None:
    """Where a surface that comes steeply towards the camera becomes flat."""
    if not all(_shows_skin(scene, cell) for cell in cells) or len(cells) < 4:
        return None
    pixel = 2 * scene.view.half / scene.view.side
    depth = np.array([scene.depth[row, column] for column, row in cells])
    step = np.linalg.norm(np.diff(np.array(cells, np.float64), axis=0), axis=1)
    steep = -np.diff(depth) / step > 1.0
    rise, best = 0.0, None
    for number, wall in enumerate(steep):
        if wall:
            rise += (depth[number] - depth[number + 1]) * pixel
        else:
            if rise > 0.03 * scene.unit and best is None:
                best = number
            rise = 0.0
    return None if best is None else scene.place(*cells[best])
