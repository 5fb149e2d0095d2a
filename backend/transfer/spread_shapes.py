# SPDX-License-Identifier: GPL-3.0-or-later
"""From the landmarks' motions to those of every point of the face.

Skin on the landmark surface takes its motion from there. Everything else follows the nearest such
skin along the mesh: the inside of lips and mouth blends from its lip to the skull or the jaw, the
pocket behind the lids to the skull, and the skin around the face to no motion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.sparse import csr_matrix, diags

from backend.face.surface import fade
from shared.landmarks import CHIN

from .landmark_surface import OPENINGS, LandmarkSurface, Places, on_border
from .mesh_graph import MeshGraph, distances_from
from .sides import Sides, seen_from_front

# Metres on the template, and a cosine. A point lies on the surface if it is no farther from it than
# this along its normal and tangentially, and faces the same way.
_ALONG_NORMAL, _BESIDE, _SAME_WAY = 0.008, 0.0018, 0.25
# Hidden skin starts from skin this near to an opening, or to the outline.
_AT_OPENING, _AT_RIM = 0.006, 0.012
# Skin this near an opening belongs to the front of the face only if it is visible from there.
_NEAR_OPENING = 0.025
# The share of its lip's or lid's motion that hidden skin takes at distances along the mesh; in the
# mouth, for the jaw's shapes, by the distance from the skin outside.
_MOUTH_DEPTH, _MOUTH_SHARE = (0.0, 0.003, 0.010, 0.020, 0.036), (1.0, 1.0, 0.45, 0.15, 0.0)
_WALL_DEPTH = (0.0, 0.007, 0.018, 0.032, 0.055)
_LID_DEPTH, _LID_SHARE = (0.0, 0.004, 0.010, 0.022), (1.0, 1.0, 0.6, 0.0)
_JAW_IN_MOUTH = 0.9
# Around the face motion fades over this distance, and below the chin between these heights.
_AROUND, _NECK_STARTS, _NECK_ENDS = 0.070, 0.012, 0.055
# A band at the edges of lips and lids, and how closely smoothing keeps to the wanted motion: at
# the edges, at hidden skin next to them, and at other hidden skin.
_EDGE, _AT_EDGE, _HIDDEN_AT_EDGE, _HIDDEN = 0.0025, 20.0, 4.0, 0.3
# The length over which motions are smoothed, metres on the template.
_SMOOTH = 0.0016
_STEPS = 40


@dataclass(frozen=True, eq=False)
class Spread:
    """Which skin each point of the face follows.

    moving       points that may move, in rising order
    source       the point on the surface that each one follows
    share        how much of the source's motion it takes
    wall_source, wall_share  the same for shapes that move the jaw: walls inside the mouth follow
                 the skin outside
    jaw          how much of the jaw's own motion it takes
    trust        how closely smoothing keeps to its wanted motion: 1 on the surface
    """

    moving: Int64[np.ndarray, " M"]
    source: Int64[np.ndarray, " M"]
    share: Float64[np.ndarray, " M"]
    wall_source: Int64[np.ndarray, " M"]
    wall_share: Float64[np.ndarray, " M"]
    jaw: Float64[np.ndarray, " M"]
    trust: Float64[np.ndarray, " M"]


def plan_spread(
    graph: MeshGraph,
    normals: Float64[np.ndarray, "P 3"],
    face: Bool[np.ndarray, " P"],
    surface: LandmarkSurface,
    places: Places,
    sides: Sides,
    landmarks: Float64[np.ndarray, "468 3"],
    scale: float,
) -> Spread:
    """Plan which skin each point follows; `places` belong to the points marked `face`, in order."""
    points = np.flatnonzero(face)
    away = graph.points[points] - places.place
    along = (away * places.normal).sum(axis=1)
    beside = np.linalg.norm(away - along[:, None] * places.normal, axis=1)
    facing = (normals[points] * places.normal).sum(axis=1)
    on_surface = (
        (np.abs(along) < _ALONG_NORMAL * scale)
        & (beside < _BESIDE * scale)
        & (facing > _SAME_WAY)
        # Skin behind the surface's border is not the skin in front of it.
        & ~(on_border(places) & (along < -_BESIDE * scale))
    )
    # The mouth's back wall and the pocket of an eye also face forward, slightly farther back.
    to_edge = places.of(surface.map.to_edge)
    maybe = np.flatnonzero(on_surface & (to_edge.min(axis=1) < _NEAR_OPENING))
    on_surface[maybe] = seen_from_front(graph, face, points[maybe], scale)
    number = np.full(graph.count, -1, np.int64)
    number[points] = np.arange(len(points))
    distance, source = distances_from(graph, points[on_surface], 0.10 * scale)
    moving = np.flatnonzero(np.isfinite(distance) & face)
    distance, source = distance[moving], number[source[moving]]
    hidden = ~on_surface[number[moving]]
    to_edge = to_edge[source]
    to_rim = places.of(surface.map.to_rim[:, None])[source, 0]
    names = list(OPENINGS)
    nearest = np.argmin(to_edge, axis=1)
    at_opening = hidden & (to_edge.min(axis=1) < _AT_OPENING)
    mouth = at_opening & (nearest == names.index("mouth"))
    lids = at_opening & ~mouth
    around = hidden & ~at_opening & (to_rim < _AT_RIM)
    share, jaw = np.ones(len(moving)), np.zeros(len(moving))
    depth = distance / scale
    # When the jaw moves, the wall follows the skin just outside, or it would show through.
    own = number[moving]
    outside = np.linalg.norm(away, axis=1)[own] / scale
    share[mouth] = np.interp(depth[mouth], _MOUTH_DEPTH, _MOUTH_SHARE)
    wall_source, wall_share = np.where(mouth, own, source), share.copy()
    wall_share[mouth] = np.interp(outside[mouth], _WALL_DEPTH, _MOUTH_SHARE)
    share[lids] = np.interp(depth[lids], _LID_DEPTH, _LID_SHARE)
    share[around] = fade(depth[around], _AROUND)
    below = np.clip((sides.share[0][moving] - 0.3) / 0.4, 0.0, 1.0)
    jaw[mouth] = (_JAW_IN_MOUTH * (1.0 - wall_share) * below * below * (3.0 - 2.0 * below))[mouth]
    chin = landmarks[CHIN, 2]
    drop = (chin - graph.points[moving, 2]) / scale
    neck = np.clip((_NECK_ENDS - drop) / (_NECK_ENDS - _NECK_STARTS), 0.0, 1.0)
    wall_share = np.where(mouth, wall_share, share)
    share *= neck * neck * (3.0 - 2.0 * neck)
    wall_share *= neck * neck * (3.0 - 2.0 * neck)
    jaw *= neck > 0
    keep = (share > 0) | (wall_share > 0) | (jaw > 0)
    trust = np.where(hidden, _HIDDEN, 1.0)
    edge = to_edge.min(axis=1) < _EDGE
    trust[edge & ~hidden] = _AT_EDGE
    trust[edge & at_opening & (depth < 2 * _EDGE)] = _HIDDEN_AT_EDGE
    return Spread(
        moving[keep],
        source[keep],
        share[keep],
        wall_source[keep],
        wall_share[keep],
        jaw[keep],
        trust[keep],
    )


def follow(
    spread: Spread,
    places: Places,
    field: Float64[np.ndarray, "N 3"],
    jaw_motion: Float64[np.ndarray, "M 3"] | None,
    with_walls: bool,
) -> Float64[np.ndarray, "M 3"]:
    """One motion from that of the surface's vertices and the jaw's own.

    `with_walls` is for shapes that move the jaw.
    """
    source = spread.wall_source if with_walls else spread.source
    share = spread.wall_share if with_walls else spread.share
    moved = places.of(field)[source] * share[:, None]
    if jaw_motion is not None:
        own = np.minimum(spread.jaw, _JAW_IN_MOUTH * (1.0 - share))
        moved = moved + own[:, None] * jaw_motion
    return np.asarray(moved)


class Smoother:
    """Smooths motions along the mesh, and leaves held points exactly as they are.

    Minimises the squared distance from the wanted motion plus the squared Laplacian by conjugate
    gradients, all shapes at once: time and memory grow linearly with the points.
    """

    def __init__(
        self, graph: MeshGraph, spread: Spread, held: Bool[np.ndarray, " M"], scale: float
    ):
        """`held` marks the moving points that are kept."""
        moving = spread.moving
        lengths = csr_matrix(graph.lengths[moving])
        row = np.repeat(np.arange(len(moving)), np.diff(lengths.indptr))
        weight = 1.0 / np.maximum(lengths.data, 1e-6)
        total = np.bincount(row, weight, minlength=len(moving))
        times = np.maximum(np.bincount(row, minlength=len(moving)), 1)
        mean_length = np.bincount(row, lengths.data, minlength=len(moving)) / times
        weights = csr_matrix(
            (weight / np.maximum(total[row], 1e-12), lengths.indices, lengths.indptr),
            shape=lengths.shape,
        )[:, moving]
        laplacian = diags(np.ones(len(moving))) - weights
        # A mesh twice as fine needs sixteen times the weight for the same smoothness.
        stiff = np.minimum((2.0 * _SMOOTH * scale / np.maximum(mean_length, 1e-9)) ** 4, 400.0)
        self.free = np.flatnonzero(~held)
        energy = csr_matrix(laplacian.T @ diags(stiff) @ laplacian + diags(spread.trust))
        self._matrix = csr_matrix(energy[self.free][:, self.free], dtype=np.float32)
        self._held = csr_matrix(energy[self.free][:, np.flatnonzero(held)], dtype=np.float32)
        self._is_held = held
        self._trust = spread.trust[self.free, None].astype(np.float32)
        self._inverse = (1.0 / self._matrix.diagonal())[:, None].astype(np.float32)

    def __call__(
        self, wanted: Float32[np.ndarray, "M C"], stop: Callable[[], None]
    ) -> Float32[np.ndarray, "M C"]:
        """Smooth motions from `wanted`; `stop` is called between steps and may raise."""
        result = wanted.copy()
        x = wanted[self.free]
        goal = self._trust * x - self._held @ wanted[self._is_held]
        rest = goal - self._matrix @ x
        z = self._inverse * rest
        way = z.copy()
        size = (rest * z).sum(axis=0)
        first = np.maximum(size, 1e-30)
        for _ in range(_STEPS):
            stop()
            pushed = self._matrix @ way
            step = size / np.maximum((way * pushed).sum(axis=0), 1e-30)
            x += step * way
            rest -= step * pushed
            z = self._inverse * rest
            new = (rest * z).sum(axis=0)
            if (new < 1e-6 * first).all():
                break
            way = z + (new / np.maximum(size, 1e-30)) * way
            size = new
        result[self.free] = x
        return result
