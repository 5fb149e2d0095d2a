# SPDX-License-Identifier: GPL-3.0-or-later
"""An ear's relief as rings of our own, read off a head as it is seen from its left.

Around a point in the concha every direction has a radius at which the auricle ends. Where it
stands off the head the rings go over its edge and back behind it; in front, where it grows out
of the cheek, they run out over the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

from backend.face.head_grid import EAR_RINGS, EAR_SEGMENTS
from backend.face.rasterise import rasterise

Floats = NDArray[np.float64]

# Middle of the concha in the fitted head, metres: y and z; where to look around it.
CONCHA = (0.0255, 0.0150)
WINDOW = 0.044
PIXEL = 0.00025
# In front the outline is a line this far before that point, metres.
FRONT = 0.0150
# An auricle stands at least this far off the bare head, metres.
STANDS_OFF = 0.0022
# Rings on the seen side, as shares of the radius: crest and inside of the helix, scapha,
# antihelix, wall of the concha, its floor.
SEEN = (0.93, 0.82, 0.68, 0.53, 0.36, 0.18)
# Border of the ear's place in the head, as a multiple of its outline.
BORDER = 1.22


@dataclass(frozen=True, eq=False)
class Ear:
    """radius [360] of the outline by whole degrees, how much it stands free [360] 0..1, the bare
    head's x as a polynomial of y and z, and the seen x [H,W] of the window."""

    radius: Floats
    free: Floats
    bare: Floats
    seen: Floats

    def inside(self, points: Floats, grow: float) -> NDArray[np.bool_]:
        """Which of the points [N,3] of the left side lie within the outline times `grow`."""
        y, z = points[:, 1] - CONCHA[0], points[:, 2] - CONCHA[1]
        reach = self.at(np.degrees(np.arctan2(z, y)), self.radius) * grow
        return np.asarray((np.hypot(y, z) < reach) & (points[:, 0] > 0.04))

    @staticmethod
    def at(degrees: Floats, values: Floats) -> Floats:
        """Value by direction, between whole degrees."""
        return np.asarray(np.interp(degrees % 360, np.arange(361), np.append(values, values[0])))

    def directions(self) -> Floats:
        """The rings' directions in degrees [24], in the order of the ear's border."""
        return 135.0 + 360.0 / EAR_SEGMENTS * np.arange(EAR_SEGMENTS)

    def border(self) -> Floats:
        """Places [24,3] where the ear begins in the skin of the head."""
        ways = self.directions()
        wide = gaussian_filter1d(self.radius, 18, mode="wrap")
        return self._on_head(ways, self.at(ways, wide) * BORDER)

    def rings(self) -> Floats:
        """All rings from the root inward and the middle, [9*24+1,3]."""
        ways = self.directions()
        radius, free = self.at(ways, self.radius), self.at(ways, self.free)[:, None]
        root = free * self._on_head(ways, radius * 0.80) + (1 - free) * self._on_skin(
            ways, radius * 1.14
        )
        edge = self._on_skin(ways, radius * 0.955)
        # The outermost points lie behind the crest that is seen from the side.
        edge_free = edge.copy()
        edge_free[:, 1:] = self._on_skin(ways, radius * 1.0)[:, 1:]
        edge_free[:, 0] -= 0.0022
        outer = free * edge_free + (1 - free) * self._on_skin(ways, radius * 1.02)
        behind = self._on_head(ways, radius * 0.88)
        behind[:, 0] = 0.45 * behind[:, 0] + 0.55 * (edge_free[:, 0] - 0.001)
        back = free * behind + (1 - free) * self._on_skin(ways, radius * 1.08)
        inner = [self._on_skin(ways, radius * share) for share in SEEN]
        rings = np.stack([root, back, outer, *inner])
        assert len(rings) == EAR_RINGS
        middle = self._on_skin(np.zeros(1), np.zeros(1))
        return np.concatenate([rings.reshape(-1, 3), middle])

    def _flat(self, degrees: Floats, radius: Floats) -> tuple[Floats, Floats]:
        a = np.radians(degrees)
        return CONCHA[0] + radius * np.cos(a), CONCHA[1] + radius * np.sin(a)

    def _on_head(self, degrees: Floats, radius: Floats) -> Floats:
        y, z = self._flat(degrees, radius)
        return np.stack([bare_x(self.bare, y, z), y, z], axis=-1)

    def _on_skin(self, degrees: Floats, radius: Floats) -> Floats:
        y, z = self._flat(degrees, radius)
        return np.stack([_looked_up(self.seen, y, z), y, z], axis=-1)


def bare_x(numbers: Floats, y: Floats, z: Floats) -> Floats:
    """The head's side without the ear."""
    return np.asarray(_terms(y, z) @ numbers)


def _terms(y: Floats, z: Floats) -> Floats:
    y, z = (y - CONCHA[0]) * 20, (z - CONCHA[1]) * 20
    return np.stack([np.ones_like(y), y, z, y * y, y * z, z * z, y**3, z**3], axis=-1)


def _looked_up(seen: Floats, y: Floats, z: Floats) -> Floats:
    column = (y - CONCHA[0] + WINDOW) / PIXEL - 0.5
    row = (CONCHA[1] + WINDOW - z) / PIXEL - 0.5
    return np.asarray(map_coordinates(seen, [row, column], order=1, mode="nearest"))


def fit_ear(vertices: Floats, triangles: NDArray[np.int32]) -> Ear:
    """The left ear of a head that stands on the template."""
    size = round(2 * WINDOW / PIXEL)
    flat = np.column_stack([
        (vertices[:, 1] - CONCHA[0] + WINDOW) / PIXEL,
        (CONCHA[1] + WINDOW - vertices[:, 2]) / PIXEL,
        -vertices[:, 0],
    ])  # fmt: skip
    left = triangles[(vertices[triangles, 0] > 0.03).all(axis=1)]
    number, share = rasterise(flat, left, size, size)
    seen = np.full((size, size), np.nan)
    hit = number >= 0
    seen[hit] = (vertices[left[number[hit]], 0] * share[hit]).sum(axis=1)
    rows, columns = np.mgrid[0:size, 0:size]
    y = CONCHA[0] - WINDOW + (columns + 0.5) * PIXEL
    z = CONCHA[1] + WINDOW - (rows + 0.5) * PIXEL
    seen = np.where(hit, seen, np.nanmin(seen))
    # What is no ear is found by fitting the bare side again and again without what stands off.
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
    last = np.clip(np.searchsorted(reach, radius) - 1, 0, len(reach) - 1)
    before = lines[degrees, np.clip(last - 5, 0, None)]
    after = lines[degrees, np.clip(last + 4, None, len(reach) - 1)]
    free = np.clip((before - after - 0.002) / 0.004, 0, 1)
    return Ear(
        gaussian_filter1d(radius, 5, mode="wrap"), gaussian_filter1d(free, 8, mode="wrap"), bare,
        seen,
    )  # fmt: skip
