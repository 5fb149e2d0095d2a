# SPDX-License-Identifier: GPL-3.0-or-later
"""An ear's relief as rings of our own topology, sampled from a head seen from its left.

Around a point in the concha, the auricle's outline is a radius per direction. Where the auricle
stands off the head, the rings go over its edge and back behind it; in front, where it grows out
of the cheek, they run out over the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.spatial import ConvexHull

from backend.face.head.head_grid import EAR_RINGS, EAR_SEGMENTS
from backend.rasterize import rasterize

# Centre of the concha in the fitted head, y and z, and half the window around it; metres.
CONCHA = (0.0230, 0.0135)
WINDOW = 0.044
PIXEL = 0.00025
# In front, the outline is a line this far ahead of that point, metres.
FRONT = 0.0125
# An auricle stands at least this far off the bare head, metres.
STANDS_OFF = 0.0022
# Rings on the visible side between the concha's edge (0) and the outline (1): crest and inside of
# the helix, scapha, antihelix; then two in the concha as shares of its own radius.
SEEN = (0.90, 0.70, 0.44, 0.14)
CONCHA_RINGS = (0.84, 0.42)
# Border of the ear in the head's grid, as a multiple of its outline.
BORDER = 1.22


@dataclass(frozen=True, eq=False)
class Ear:
    """An auricle by directions from the concha, in whole degrees.

    radius  of the outline, metres
    concha  radius of the concha's edge, metres
    free    how much the auricle stands off the head there, 0..1
    bare    the bare head's x as a polynomial of y and z
    seen    the visible x in the window, metres
    """

    radius: Float64[np.ndarray, " 360"]
    concha: Float64[np.ndarray, " 360"]
    free: Float64[np.ndarray, " 360"]
    bare: Float64[np.ndarray, " 8"]
    seen: Float64[np.ndarray, "H W"]

    def inside(self, points: Float64[np.ndarray, "N 3"], grow: float) -> Bool[np.ndarray, " N"]:
        """Which points on the left side lie within the outline scaled by `grow`."""
        y, z = points[:, 1] - CONCHA[0], points[:, 2] - CONCHA[1]
        reach = self.at(np.degrees(np.arctan2(z, y)), self.radius) * grow
        return np.asarray((np.hypot(y, z) < reach) & (points[:, 0] > 0.04))

    @staticmethod
    def at(
        degrees: Float64[np.ndarray, " N"], values: Float64[np.ndarray, " 360"]
    ) -> Float64[np.ndarray, " N"]:
        """Values at directions, interpolated between whole degrees."""
        return np.asarray(np.interp(degrees % 360, np.arange(361), np.append(values, values[0])))

    def directions(self) -> Float64[np.ndarray, " 24"]:
        """The rings' directions in degrees, in the order of the ear's border."""
        return np.asarray(135.0 + 360.0 / EAR_SEGMENTS * np.arange(EAR_SEGMENTS), np.float64)

    def border(self) -> Float64[np.ndarray, "24 3"]:
        """Points where the ear meets the skin of the head, metres."""
        ways = self.directions()
        wide = self.at(ways, gaussian_filter1d(self.radius, 18, mode="wrap")) * BORDER
        return self._on_skin(ways, wide)

    def rings(self) -> Float64[np.ndarray, "217 3"]:
        """All rings from the root inward, then the centre: 9 * 24 + 1 points, metres."""
        ways = self.directions()
        radius, free = self.at(ways, self.radius), self.at(ways, self.free)[:, None]
        root = free * self._on_head(ways, radius * 0.80) + (1 - free) * self._on_skin(
            ways, radius * 1.14
        )
        edge = self._on_skin(ways, radius * 0.955)
        # The outermost points lie behind the crest, which is what a side view shows.
        edge_free = edge.copy()
        edge_free[:, 1:] = self._on_skin(ways, radius * 1.0)[:, 1:]
        edge_free[:, 0] -= 0.0022
        outer = free * edge_free + (1 - free) * self._on_skin(ways, radius * 1.02)
        behind = self._on_head(ways, radius * 0.88)
        behind[:, 0] = 0.45 * behind[:, 0] + 0.55 * (edge_free[:, 0] - 0.001)
        back = free * behind + (1 - free) * self._on_skin(ways, radius * 1.08)
        concha = self.at(ways, self.concha)
        inner = [self._on_skin(ways, concha + (radius - concha) * share) for share in SEEN]
        inner += [self._on_skin(ways, concha * share) for share in CONCHA_RINGS]
        rings = np.stack([root, back, outer, *inner])
        assert len(rings) == EAR_RINGS
        middle = self._on_skin(np.zeros(1), np.zeros(1))
        return np.concatenate([rings.reshape(-1, 3), middle])

    def _flat(
        self, degrees: Float64[np.ndarray, " N"], radius: Float64[np.ndarray, " N"]
    ) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
        a = np.radians(degrees)
        return CONCHA[0] + radius * np.cos(a), CONCHA[1] + radius * np.sin(a)

    def _on_head(
        self, degrees: Float64[np.ndarray, " N"], radius: Float64[np.ndarray, " N"]
    ) -> Float64[np.ndarray, "N 3"]:
        y, z = self._flat(degrees, radius)
        return np.stack([bare_x(self.bare, y, z), y, z], axis=-1)

    def _on_skin(
        self, degrees: Float64[np.ndarray, " N"], radius: Float64[np.ndarray, " N"]
    ) -> Float64[np.ndarray, "N 3"]:
        y, z = self._flat(degrees, radius)
        return np.stack([_looked_up(self.seen, y, z), y, z], axis=-1)


def bare_x(
    numbers: Float64[np.ndarray, " 8"],
    y: Float64[np.ndarray, " *batch"],
    z: Float64[np.ndarray, " *batch"],
) -> Float64[np.ndarray, " *batch"]:
    """The x of the side of the head without the ear, metres."""
    return np.asarray(_terms(y, z) @ numbers)


def _terms(
    y: Float64[np.ndarray, " *batch"], z: Float64[np.ndarray, " *batch"]
) -> Float64[np.ndarray, "*batch 8"]:
    y, z = (y - CONCHA[0]) * 20, (z - CONCHA[1]) * 20
    return np.stack([np.ones_like(y), y, z, y * y, y * z, z * z, y**3, z**3], axis=-1)


def _looked_up(
    seen: Float64[np.ndarray, "H W"],
    y: Float64[np.ndarray, " *batch"],
    z: Float64[np.ndarray, " *batch"],
) -> Float64[np.ndarray, " *batch"]:
    column = (y - CONCHA[0] + WINDOW) / PIXEL - 0.5
    row = (CONCHA[1] + WINDOW - z) / PIXEL - 0.5
    return np.asarray(map_coordinates(seen, [row, column], order=1, mode="nearest"))


def _convex(radius: Float64[np.ndarray, " 360"]) -> Float64[np.ndarray, " 360"]:
    """The convex hull of the outline."""
    a = np.radians(np.arange(len(radius)))
    points = np.stack([radius * np.cos(a), radius * np.sin(a)], axis=-1)
    planes = ConvexHull(points).equations
    towards = np.stack([np.cos(a), np.sin(a)], axis=-1) @ planes[:, :2].T
    reach = np.where(towards > 1e-9, -planes[:, 2] / np.maximum(towards, 1e-9), np.inf)
    return np.asarray(reach.min(axis=1))


def fit_ear(vertices: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]) -> Ear:
    """The left ear of a head that is aligned to the template."""
    size = round(2 * WINDOW / PIXEL)
    flat = np.column_stack([
        (vertices[:, 1] - CONCHA[0] + WINDOW) / PIXEL,
        (CONCHA[1] + WINDOW - vertices[:, 2]) / PIXEL,
        -vertices[:, 0],
    ])  # fmt: skip
    left = triangles[(vertices[triangles, 0] > 0.03).all(axis=1)]
    drawn = rasterize(flat, left, (size, size))
    hit = drawn.covered
    seen = np.where(hit, -drawn.depth.astype(np.float64), np.nan)
    rows, columns = np.mgrid[0:size, 0:size]
    y = CONCHA[0] - WINDOW + (columns + 0.5) * PIXEL
    z = CONCHA[1] + WINDOW - (rows + 0.5) * PIXEL
    seen = np.where(hit, seen, np.nanmin(seen))
    # The bare side is fitted repeatedly, each time without the points that stand off it.
    away = np.hypot((y - CONCHA[0]), (z - CONCHA[1]) * 0.8)
    ring = hit & (away > 0.024) & (away < 0.040)
    for _ in range(8):
        terms = _terms(y[ring], z[ring])
        bare = np.linalg.lstsq(terms, seen[ring], rcond=None)[0]
        ring &= np.abs(seen - bare_x(bare, y, z)) < 0.0035
    off = seen - bare_x(bare, y, z)
    degrees = np.arange(360)
    reach = np.arange(0.008, 0.036, PIXEL)
    a = np.radians(degrees)[:, None]
    lines = _looked_up(off, CONCHA[0] + reach * np.cos(a), CONCHA[1] + reach * np.sin(a))
    last = np.array([np.flatnonzero(line > STANDS_OFF)[-1] if (line > STANDS_OFF).any() else 0
                     for line in lines])  # fmt: skip
    ahead = -np.cos(a[:, 0])
    line = FRONT / np.maximum(ahead, 0.05)
    radius = np.where(ahead > 0.55, line, np.minimum(reach[last], line))
    radius = _convex(radius)
    last = np.clip(np.searchsorted(reach, radius) - 1, 0, len(reach) - 1)
    before = lines[degrees, np.clip(last - 5, 0, None)]
    after = lines[degrees, np.clip(last + 4, None, len(reach) - 1)]
    free = np.clip((before - after - 0.002) / 0.004, 0, 1)
    outline = gaussian_filter1d(radius, 6, mode="wrap")
    # The concha ends where the relief has risen half way to its highest point.
    deep = _looked_up(off, np.array([CONCHA[0]]), np.array([CONCHA[1]]))[0]
    steps = np.linspace(0.2, 0.9, 71)
    way = outline[:, None] * steps
    relief = _looked_up(off, CONCHA[0] + way * np.cos(a), CONCHA[1] + way * np.sin(a))
    level = (deep + relief.max(axis=1, keepdims=True)) / 2
    edge = outline * steps[(relief > level).argmax(axis=1)]
    edge = gaussian_filter1d(np.clip(edge, 0.3 * outline, 0.72 * outline), 14, mode="wrap")
    return Ear(outline, edge, gaussian_filter1d(free, 10, mode="wrap"), bare, seen)
