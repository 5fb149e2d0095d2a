# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished skin of our own head, transferred to another head of the same person.

After our landmarks and the other head's have been aligned, every texel of the other head's skin
takes the colour of the nearest point of our skin that faces the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from backend.face.build_head import template_layout
from backend.face.surface import vertex_normals
from backend.face.texture.atlas import NECK, SIDE
from backend.rasterize import rasterize
from shared.face import FaceMesh
from shared.landmarks import CHIN

from .warp import spread

# Every STEP-th texel is searched; positions between them are interpolated.
STEP = 4
# How far the skin continues beyond its charts, in STEPs.
_PADDING = 4.0
# How many samples across our texture are searched.
_SAMPLES = 512
# Metres added to a distance per unit of difference between normals: touching lips and the two
# sides of an ear are very close together.
_NORMAL = 0.004
# How far, in metres, landmarks move the skin around them.
_REACH = 0.07
_SOFTNESS = 0.002
# A landmark farther than this from ours, in metres, has slid along the skin (as they do in front of
# the ears) and is left out; never more than a tenth of them.
_ASTRAY = 0.010
# Neighbouring texels whose sources are farther apart than this, in our pixels, straddle a seam.
_JUMP = 40.0
# How far below the chin, in metres, the neck begins, which may be longer than ours.
_BELOW_CHIN = 0.02
# Distances from our neck, in metres, over which shoulders blend to its colour without detail.
_FAR = (0.008, 0.025)
# The size of the picture, across and down, that gives the neck's colour without detail.
_EVENED = (16, 8)


@dataclass(frozen=True, eq=False)
class Skin:
    """Which triangle every STEP-th texel of a head's skin shows, also just beyond the charts.

    triangle   the triangle at each texel, or the nearest one
    near       texels on the charts, or near enough to be mixed in by smaller copies
    corners    pixels right and down
    triangles  their vertices
    """

    triangle: Int64[np.ndarray, "n n"]
    near: Bool[np.ndarray, "n n"]
    corners: Float64[np.ndarray, "F 3 2"]
    triangles: Int32[np.ndarray, "F 3"]

    def values(
        self,
        points: Float64[np.ndarray, "N 2"],
        triangle: Int64[np.ndarray, " N"],
        of_vertices: Float64[np.ndarray, "V K"],
    ) -> Float64[np.ndarray, "N K"]:
        """Values at points in pixels, each on the given triangle or close to it."""
        share = _shares(self.corners[triangle], points)
        return np.asarray((of_vertices[self.triangles[triangle]] * share[..., None]).sum(axis=1))

    def values_where(
        self, wanted: Bool[np.ndarray, "n n"], of_vertices: Float64[np.ndarray, "V K"]
    ) -> Float64[np.ndarray, "N K"]:
        """Values at the centres of the `wanted` ones of every STEP-th texel."""
        rows, columns = np.nonzero(wanted)
        middles = (np.column_stack([columns, rows]) + np.array([0.5, 0.5])) * STEP
        return self.values(middles, self.triangle[rows, columns], of_vertices)


def skin_texels(
    corners: Float64[np.ndarray, "F 3 2"], triangles: Int32[np.ndarray, "F 3"], side: int
) -> Skin:
    """The texels of triangles with corners in pixels of a square texture."""
    seen, _ = _drawn(corners / STEP, side // STEP)
    distance, (rows, columns) = distance_transform_edt(seen < 0, return_indices=True)
    return Skin(seen[rows, columns].astype(np.int64), distance <= _PADDING, corners, triangles)


def carried_skin(
    own: FaceMesh,
    vertices: Float64[np.ndarray, "V 3"],
    landmarks: Float64[np.ndarray, "468 3"],
    skin: Skin,
    wanted: Bool[np.ndarray, "n n"],
) -> UInt8[np.ndarray, "S S 3"]:
    """The texture of another head, transferred from our `own`.

    `wanted` says for which of every STEP-th texel; elsewhere the result is undefined.
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
    # Unwanted texels must not look like a jump.
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


def _even_neck(texture: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "S S 3"]:
    """Our texture with a neck of its own colour but without detail."""
    result = np.asarray(texture).copy()
    neck = NECK.view(result)
    few = cv2.resize(neck, _EVENED, interpolation=cv2.INTER_AREA)
    few = cv2.GaussianBlur(few, (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE)
    neck[:] = cv2.resize(few, neck.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return result


def _on_our_neck(
    heights: Float64[np.ndarray, " V"],
    ours: Float64[np.ndarray, " N"],
    landmarks: Float32[np.ndarray, "468 3"],
) -> Float64[np.ndarray, " V"]:
    """Heights compressed so that a longer neck, or shoulders, end where our neck ends."""
    chin = float(landmarks[CHIN, 2]) - _BELOW_CHIN
    share = min(1.0, (chin - ours.min()) / max(chin - heights.min(), 1e-6))
    return np.where(heights < chin, chin + share * (heights - chin), heights)


def _near_jumps(
    place: Float32[np.ndarray, "n n 3"], wanted: Bool[np.ndarray, "n n"]
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Rows and columns of the full texture that cannot be interpolated from `place`."""
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
    """Finds positions in our head's texture from positions and normals on our head."""

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

    def places(self, wanted: Float64[np.ndarray, "N 6"]) -> Float32[np.ndarray, "N 3"]:
        """The pixels (right, down) of our texture, and the distance from our skin.

        `wanted` holds positions and scaled normals.
        """
        distance, near = self._tree.query(wanted, workers=-1)
        which = self._which[near]
        share = _shares_in_space(self._corners[which], wanted[:, :3])
        found = (self._flat[which] * share[..., None]).sum(axis=1)
        return np.column_stack([found, distance]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Samples spread over our skin.

    triangle, share     of each sample
    triangles, corners  all triangles, and their corners in pixels of our texture
    """

    triangle: Int64[np.ndarray, " N"]
    share: Float64[np.ndarray, "N 3"]
    triangles: Int32[np.ndarray, "F 3"]
    corners: Float64[np.ndarray, "F 3 2"]


@lru_cache(maxsize=1)
def _samples() -> _Samples:
    """The samples, the same for all our heads because they share a layout."""
    layout = template_layout()
    triangles, uvs = layout.triangles, layout.skin_uvs
    corners = np.stack([uvs[..., 0], 1.0 - uvs[..., 1]], axis=-1) * SIDE
    seen, share = _drawn(corners * (_SAMPLES / SIDE), _SAMPLES)
    there = seen >= 0
    return _Samples(seen[there].astype(np.int64), share[there], triangles, corners)


def _drawn(
    corners: Float64[np.ndarray, "F 3 2"], side: int
) -> tuple[Int32[np.ndarray, "S S"], Float64[np.ndarray, "S S 3"]]:
    """The triangle at each pixel (-1 for none), and its barycentric shares."""
    flat = np.column_stack([corners.reshape(-1, 2), np.zeros(corners.size // 2)])
    seen = rasterize(flat, np.arange(len(flat), dtype=np.int32).reshape(-1, 3), (side, side))
    return seen.face_id, seen.barycentric.astype(np.float64)


def _shares(
    corners: Float64[np.ndarray, "N 3 2"], points: Float64[np.ndarray, "N 2"]
) -> Float64[np.ndarray, "N 3"]:
    """Barycentric shares of points in triangles, or slightly outside them."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    at = points - a
    second = (at[:, 0] * ac[:, 1] - at[:, 1] * ac[:, 0]) / area
    third = (ab[:, 0] * at[:, 1] - ab[:, 1] * at[:, 0]) / area
    return _bounded(second, third, 0.3)


def _shares_in_space(
    corners: Float64[np.ndarray, "N 3 3"], points: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "N 3"]:
    """Barycentric shares of points projected onto the planes of triangles."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    at = points - corners[:, 0]
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (at * ab).sum(-1), (at * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    # Our texture is not continued far beyond its islands.
    return _bounded((d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area, 0.0)


def _bounded(
    second: Float64[np.ndarray, " N"], third: Float64[np.ndarray, " N"], beyond: float
) -> Float64[np.ndarray, "N 3"]:
    """Shares clipped to leave the triangle by at most about `beyond` of its size (below 1)."""
    share = np.stack([1.0 - second - third, second, third], axis=1)
    share = np.clip(share, -beyond, 1.0 + beyond)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
