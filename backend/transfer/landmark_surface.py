# SPDX-License-Identifier: GPL-3.0-or-later
"""A subdivided landmark surface, and the point on it for every point of a character's skin.

Near the lips and the lids a point may only be mapped to its own side of the opening: the nearest
point in space is often on the other lip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from scipy.sparse import csr_matrix, identity
from scipy.spatial import cKDTree

from backend.face.head.eyes import lid_ring
from backend.face.head.mouth import mouth_ring
from backend.face.head.refine import subdivision
from backend.face.surface import vertex_normals
from backend.face.template import load_template
from shared.landmarks import (
    FACE_OVAL,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LANDMARK_COUNT,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

# The three lines at which a face opens, right to left or outer to inner: upper and lower edge.
OPENINGS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mouth": (INNER_LIP_UPPER, INNER_LIP_LOWER),
    "left_eye": (LEFT_LID_UPPER, LEFT_LID_LOWER),
    "right_eye": (RIGHT_LID_UPPER, RIGHT_LID_LOWER),
}
# A triangle belongs to one side of an opening if the other side's edge is farther away by this
# much, metres along the template; nearer the corners both sides are one skin. Beyond the last
# number it is too far away to matter.
_ONE_SIDED, _FAR_FROM_OPENING = {"mouth": 0.004, "left_eye": 0.003, "right_eye": 0.003}, 0.030
# How many nearest vertices' triangles are examined exactly.
_CANDIDATES = 10


@dataclass(frozen=True, eq=False)
class SurfaceMap:
    """How the finer surface is made from the landmarks; the same for every face.

    operator    sparse [N,468]: vertices from landmarks
    neighbours  triangles around each vertex, padded
    side        of each triangle for each of `OPENINGS`: +1 above, -1 below, 0 at neither
    to_edge     metres along the template's skin from each vertex to each opening
    to_rim      metres along the template's skin to the face's outline
    borders     whether a vertex lies at an opening or at the outline
    """

    operator: csr_matrix
    triangles: Int64[np.ndarray, "F 3"]
    neighbours: Int64[np.ndarray, "N K"]
    side: Int64[np.ndarray, "3 F"]
    to_edge: Float64[np.ndarray, "N 3"]
    to_rim: Float64[np.ndarray, " N"]
    borders: Bool[np.ndarray, " N"]


@lru_cache(maxsize=1)
def surface_map() -> SurfaceMap:
    """The map, computed once."""
    template = load_template()
    creases: set[tuple[int, int]] = set()
    for ring in (mouth_ring(), lid_ring("left"), lid_ring("right")):
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
            creases.add((min(a, b), max(a, b)))
    smooth, middle, triangles = subdivision(template.triangles, LANDMARK_COUNT, creases)
    # Inflated before smoothing shrinks it, as on our own head, so that the landmarks stay put.
    operator = csr_matrix(smooth @ (2.0 * identity(LANDMARK_COUNT) - smooth[:LANDMARK_COUNT]))
    side, to_edge = [], []

    def finer(values: Float64[np.ndarray, " 468"]) -> Float64[np.ndarray, " N"]:
        return np.concatenate([values, middle @ values])

    for name, (upper, lower) in OPENINGS.items():
        above = finer(template.distances[list(upper[1:-1])].min(axis=0))
        below = finer(template.distances[list(lower[1:-1])].min(axis=0))
        near = np.minimum(above, below)[triangles].mean(axis=1) < _FAR_FROM_OPENING
        more = (below - above)[triangles].mean(axis=1)
        side.append(np.sign(more) * (np.abs(more) > _ONE_SIDED[name]) * near)
        to_edge.append(np.minimum(above, below))
    to_rim = finer(template.distances[list(FACE_OVAL)].min(axis=0))
    count = operator.shape[0]
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    borders = np.zeros(count, np.bool_)
    borders[unique[times == 1]] = True
    return SurfaceMap(
        operator,
        triangles.astype(np.int64),
        _incident(triangles, count),
        np.stack(side).astype(np.int64),
        np.stack(to_edge, axis=1),
        to_rim,
        borders,
    )


def _incident(triangles: Int32[np.ndarray, "F 3"], count: int) -> Int64[np.ndarray, "N K"]:
    """Triangles around each vertex, repeated cyclically up to the largest number."""
    corner = triangles.reshape(-1)
    order = np.argsort(corner, kind="stable")
    times = np.bincount(corner, minlength=count)
    first = np.cumsum(times) - times
    column = np.arange(times.max())[None] % times[:, None]
    return np.asarray(order[first[:, None] + column] // 3, np.int64)


@dataclass(frozen=True, eq=False)
class Places:
    """Where points lie on the surface: triangle, barycentric shares, position and normal."""

    triangle: Int64[np.ndarray, " N"]
    shares: Float64[np.ndarray, "N 3"]
    place: Float64[np.ndarray, "N 3"]
    normal: Float64[np.ndarray, "N 3"]

    def of(self, values: Float64[np.ndarray, "*batch S C"]) -> Float64[np.ndarray, "*batch N C"]:
        """Values of the surface's vertices, interpolated at the places."""
        corners = surface_map().triangles[self.triangle]
        return np.asarray(
            sum(values[..., corners[:, k], :] * self.shares[:, k, None] for k in range(3))
        )


class LandmarkSurface:
    """The finer surface of one face, in metres."""

    def __init__(self, landmarks: Float64[np.ndarray, "468 3"]) -> None:
        self.map = surface_map()
        self.vertices = np.asarray(self.map.operator @ landmarks)
        self.normals = vertex_normals(self.vertices, self.map.triangles.astype(np.int32))
        self._tree = cKDTree(self.vertices)

    def locate(
        self,
        points: Float64[np.ndarray, "N 3"],
        normals: Float64[np.ndarray, "N 3"],
        sides: Int64[np.ndarray, "3 N"],
    ) -> Places:
        """The nearest places to `points` that face the same way.

        `normals` are zero where unknown; `sides` are +1, -1 or 0 for each of `OPENINGS`.
        """
        parts = [
            self._locate(points[k : k + 4096], normals[k : k + 4096], sides[:, k : k + 4096])
            for k in range(0, len(points), 4096)
        ]
        if not parts:
            none = np.zeros((0, 3))
            return Places(np.zeros(0, np.int64), none, none, none)
        return Places(*(np.concatenate([part[k] for part in parts]) for k in range(4)))

    def _locate(
        self,
        points: Float64[np.ndarray, "N 3"],
        normals: Float64[np.ndarray, "N 3"],
        sides: Int64[np.ndarray, "3 N"],
    ) -> tuple[
        Int64[np.ndarray, " N"],
        Float64[np.ndarray, "N 3"],
        Float64[np.ndarray, "N 3"],
        Float64[np.ndarray, "N 3"],
    ]:
        _, near = self._tree.query(points, k=_CANDIDATES)
        candidates = self.map.neighbours[near].reshape(len(points), -1)
        corners = self.vertices[self.map.triangles[candidates]]
        shares = _nearest_shares(points[:, None], corners)
        places = (shares[..., None] * corners).sum(axis=2)
        face = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        face /= np.maximum(np.linalg.norm(face, axis=2, keepdims=True), 1e-15)
        away = np.linalg.norm(points[:, None] - places, axis=2)
        against = 1.0 - np.einsum("nkc,nc->nk", face, normals)
        # Skin that faces the other way costs two millimetres.
        cost = away + 0.001 * np.where(np.any(normals, axis=1)[:, None], against, 0.0)
        other = np.any(self.map.side[:, candidates] * sides[:, :, None] < 0, axis=0)
        best = np.argmin(np.where(other, cost + 0.05, cost), axis=1)
        row = np.arange(len(points))
        triangle, share = candidates[row, best], shares[row, best]
        normal = (self.normals[self.map.triangles[triangle]] * share[..., None]).sum(axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-15)
        return triangle, share, places[row, best], normal


def _nearest_shares(
    points: Float64[np.ndarray, "N 1 3"], corners: Float64[np.ndarray, "N K 3 3"]
) -> Float64[np.ndarray, "N K 3"]:
    """Barycentric coordinates of the point of each triangle nearest to `points`.

    By projection if that falls inside, otherwise on the nearest of the three edges.
    """
    a, b, c = corners[:, :, 0], corners[:, :, 1], corners[:, :, 2]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-24)
    v = (d11 * d20 - d01 * d21) / area
    w = (d00 * d21 - d01 * d20) / area
    shares = np.stack([1.0 - v - w, v, w], axis=-1)
    outside = np.any(shares < 0, axis=-1)
    if outside.any():
        p = np.broadcast_to(points, a.shape)[outside]
        three = corners[outside]
        best = np.full(len(p), np.inf)
        chosen = np.zeros((len(p), 3))
        for first, second in ((0, 1), (1, 2), (2, 0)):
            start = three[:, first]
            along = three[:, second] - start
            size = np.maximum((along * along).sum(-1), 1e-24)
            t = np.clip(((p - start) * along).sum(-1) / size, 0.0, 1.0)
            away = ((p - start - t[:, None] * along) ** 2).sum(-1)
            nearer = away < best
            best[nearer] = away[nearer]
            chosen[nearer] = 0.0
            chosen[nearer, first] = 1.0 - t[nearer]
            chosen[nearer, second] = t[nearer]
        shares[outside] = chosen
    return np.asarray(shares)


def on_border(places: Places) -> Bool[np.ndarray, " N"]:
    """Whether places lie on the surface's border: all corners with a share do."""
    corners = surface_map().triangles[places.triangle]
    return np.asarray((surface_map().borders[corners] | (places.shares < 1e-9)).all(axis=1))
