# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished skin of our own head, carried over to another head of the same person.

Every texel of the other head's skin finds the nearest place of our skin that looks the same way,
after our landmarks and the other head's have been laid onto each other, and takes its colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from backend.face.build_head import template_layout
from backend.face.surface import vertex_normals
from backend.face.texture.atlas import NECK, SIDE
from backend.rasterize import rasterize
from shared.face import FaceMesh
from shared.landmarks import CHIN

from .warp import spread

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Pixels = NDArray[np.uint8]

# The search is made for every so-manyth texel; between them places are interpolated.
STEP = 4
# So far beyond its charts the skin is continued, in STEPs.
_PADDING = 4.0
# Our skin is searched at so many places across its texture.
_SAMPLES = 512
# Metres that a place counts as further away for each unit by which its normal differs: lips that
# touch and the two sides of an ear are a hair apart.
_NORMAL = 0.004
# So far, in metres, landmarks draw the skin around them along.
_REACH = 0.07
_SOFTNESS = 0.002
# A landmark further than this from ours, in metres, has slid along the skin (before the ears they
# do) and is left out; never more than a tenth of them.
_ASTRAY = 0.010
# Places of neighbouring texels that are further apart lie on both sides of a seam, our pixels.
_JUMP = 40.0
# So far, in metres, below the chin the neck begins that may be longer than ours.
_BELOW_CHIN = 0.02
# Shoulders this far from our neck, in metres, begin to take, and take, its colour without detail.
_FAR = (0.008, 0.025)
# As evened out as a picture of so few pixels, across and down.
_EVENED = (16, 8)


@dataclass(frozen=True, eq=False)
class Skin:
    """The texels of a head's skin: of every STEP-th the triangle, also a little beyond the charts.

    triangle   [n,n] index into `corners` of the triangle at a texel, or of the nearest one
    near       bool [n,n] texels on the charts or so near that smaller copies mix them in
    corners    [F,3,2] pixels right and down
    triangles  [F,3] vertices
    """

    triangle: Indices
    near: NDArray[np.bool_]
    corners: Floats
    triangles: NDArray[np.int32]

    def values(self, points: Floats, triangle: Indices, of_vertices: Floats) -> Floats:
        """Values [N,K] at points [N,2] in pixels, each on a triangle [N] or close to it."""
        share = _shares(self.corners[triangle], points)
        return np.asarray((of_vertices[self.triangles[triangle]] * share[..., None]).sum(axis=1))

    def values_where(self, wanted: NDArray[np.bool_], of_vertices: Floats) -> Floats:
        """Values [N,K] in the middles of the `wanted` [n,n] of every STEP-th texels."""
        rows, columns = np.nonzero(wanted)
        middles = (np.column_stack([columns, rows]) + np.array([0.5, 0.5])) * STEP
        return self.values(middles, self.triangle[rows, columns], of_vertices)


def skin_texels(corners: Floats, triangles: NDArray[np.int32], side: int) -> Skin:
    """The texels of triangles [F,3] with corners at [F,3,2] pixels of a texture [side,side]."""
    seen, _ = _drawn(corners / STEP, side // STEP)
    distance, (rows, columns) = distance_transform_edt(seen < 0, return_indices=True)
    return Skin(seen[rows, columns].astype(np.int64), distance <= _PADDING, corners, triangles)


def carried_skin(
    own: FaceMesh, vertices: Floats, landmarks: Floats, skin: Skin, wanted: NDArray[np.bool_]
) -> Pixels:
    """The texture uint8 [S,S,3] of another head [V,3] with `landmarks` [468,3] from our `own`.

    `wanted` [n,n] says for which of every STEP-th texels; elsewhere it means nothing.
    """
    away = np.asarray(own.landmarks, np.float64) - landmarks
    apart = np.linalg.norm(away, axis=1)
    sure = apart <= max(_ASTRAY, float(np.percentile(apart, 90)))
    laid = vertices.copy()
    used = np.unique(skin.triangles[np.unique(skin.triangle[wanted])])
    laid[used] += spread(vertices[used], landmarks[sure], away[sure], _REACH, _SOFTNESS)
    laid[:, 2] = _on_our_neck(laid[:, 2], np.asarray(own.vertices[:, 2], np.float64), own.landmarks)
    known = np.column_stack([laid, _NORMAL * vertex_normals(laid, skin.triangles)])
    search = _Search(own)
    small = wanted.shape[0]
    place = np.zeros((small, small, 3), np.float32)
    place[wanted] = search.places(skin.values_where(wanted, known))
    # What is not wanted must not look like a jump.
    rows, columns = distance_transform_edt(~wanted, return_distances=False, return_indices=True)
    place = np.ascontiguousarray(place[rows, columns])
    side = small * STEP
    full = cv2.resize(place, (side, side), interpolation=cv2.INTER_LINEAR)
    rows, columns = _near_jumps(place, wanted)
    points = np.column_stack([columns, rows]) + np.array([0.5, 0.5])
    triangle = skin.triangle[rows // STEP, columns // STEP]
    full[rows, columns] = search.places(skin.values(points, triangle, known))
    sharp = cv2.remap(own.texture, full[..., 0] - 0.5, full[..., 1] - 0.5, cv2.INTER_CUBIC,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    # Even colours may be interpolated across seams; detail may not.
    even = cv2.remap(_even_neck(own.texture), place[..., 0] - 0.5, place[..., 1] - 0.5,
                     cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    even = cv2.resize(even, (side, side), interpolation=cv2.INTER_LINEAR)
    near, far = _FAR
    share = np.ascontiguousarray(np.clip((full[..., 2] - near) / (far - near), 0.0, 1.0))
    return np.asarray(cv2.blendLinear(even, sharp, share, 1.0 - share), np.uint8)


def _even_neck(texture: Pixels) -> Pixels:
    """Our texture with a neck that has its colour but no detail."""
    result = np.asarray(texture).copy()
    neck = NECK.view(result)
    few = cv2.resize(neck, _EVENED, interpolation=cv2.INTER_AREA)
    few = cv2.GaussianBlur(few, (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE)
    neck[:] = cv2.resize(few, neck.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return result


def _on_our_neck(heights: Floats, ours: Floats, landmarks: NDArray[np.float32]) -> Floats:
    """Heights [V] such that a longer neck, or shoulders, end where our neck ends."""
    chin = float(landmarks[CHIN, 2]) - _BELOW_CHIN
    share = min(1.0, (chin - ours.min()) / max(chin - heights.min(), 1e-6))
    return np.where(heights < chin, chin + share * (heights - chin), heights)


def _near_jumps(place: NDArray[np.float32], wanted: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of the full texture whose places cannot be interpolated from `place`."""
    # Interpolation mixes two by two texels.
    blocks = np.stack([place[:-1, :-1], place[:-1, 1:], place[1:, :-1], place[1:, 1:]])[..., :2]
    apart = (np.ptp(blocks, axis=0) > _JUMP).any(axis=-1)
    jump = np.zeros(wanted.shape, bool)
    for down in (slice(None, -1), slice(1, None)):
        for across in (slice(None, -1), slice(1, None)):
            jump[down, across] |= apart
    full = np.repeat(np.repeat(jump & wanted, STEP, axis=0), STEP, axis=1)
    rows, columns = np.nonzero(full)
    return rows, columns


class _Search:
    """Finds places in our head's texture from places and directions on our head."""

    def __init__(self, own: FaceMesh) -> None:
        samples = _samples()
        vertices = np.asarray(own.vertices, np.float64)
        normals = vertex_normals(vertices, template_layout().triangles)
        self._corners = vertices[samples.triangles]
        self._flat = samples.corners
        self._which = samples.triangle
        both = np.column_stack([vertices, _NORMAL * normals])[samples.triangles]
        points = (both[samples.triangle] * samples.share[..., None]).sum(axis=1)
        self._tree = cKDTree(points)

    def places(self, wanted: Floats) -> NDArray[np.float32]:
        """For places and scaled normals [N,6]: the pixels right and down of our texture, and how
        far from our skin they were, [N,3].
        """
        distance, near = self._tree.query(wanted, workers=-1)
        which = self._which[near]
        share = _shares_in_space(self._corners[which], wanted[:, :3])
        found = (self._flat[which] * share[..., None]).sum(axis=1)
        return np.column_stack([found, distance]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Places spread over our skin: triangle [N] with shares [N,3]; triangles [F,3], corners
    [F,3,2] in pixels of our texture.
    """

    triangle: Indices
    share: Floats
    triangles: NDArray[np.int32]
    corners: Floats


@lru_cache(maxsize=1)
def _samples() -> _Samples:
    """The same for all our heads, as is their layout."""
    layout = template_layout()
    triangles, uvs = layout.triangles, layout.skin_uvs
    corners = np.stack([uvs[..., 0], 1.0 - uvs[..., 1]], axis=-1) * SIDE
    seen, share = _drawn(corners * (_SAMPLES / SIDE), _SAMPLES)
    there = seen >= 0
    return _Samples(seen[there].astype(np.int64), share[there], triangles, corners)


def _drawn(corners: Floats, side: int) -> tuple[NDArray[np.int32], Floats]:
    """Which triangle [side,side] lies at each pixel (-1: none), with what shares [side,side,3]."""
    flat = np.column_stack([corners.reshape(-1, 2), np.zeros(corners.size // 2)])
    seen = rasterize(flat, np.arange(len(flat), dtype=np.int32).reshape(-1, 3), (side, side))
    return seen.face_id, seen.barycentric.astype(np.float64)


def _shares(corners: Floats, points: Floats) -> Floats:
    """Shares [N,3] of points [N,2] in triangles [N,3,2]; a little beyond them too."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    at = points - a
    second = (at[:, 0] * ac[:, 1] - at[:, 1] * ac[:, 0]) / area
    third = (ab[:, 0] * at[:, 1] - ab[:, 1] * at[:, 0]) / area
    return _bounded(second, third, 0.3)


def _shares_in_space(corners: Floats, points: Floats) -> Floats:
    """Shares [N,3] of points [N,3] dropped onto the planes of triangles [N,3,3]."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    at = points - corners[:, 0]
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (at * ab).sum(-1), (at * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    # Our texture is not continued far beyond its islands.
    return _bounded((d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area, 0.0)


def _bounded(second: Floats, third: Floats, beyond: float) -> Floats:
    """Shares [N,3] that leave the triangle by about `beyond` of it at most (below 1)."""
    share = np.stack([1.0 - second - third, second, third], axis=1)
    share = np.clip(share, -beyond, 1.0 + beyond)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
