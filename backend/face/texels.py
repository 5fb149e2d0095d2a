# SPDX-License-Identifier: GPL-3.0-or-later
"""What each texel of the skin is: its place on the head, known once for all heads.

Everything but the photo's own pixels is smooth, so a quarter of the texture's resolution does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_matrix

from . import atlas
from .parts import MATERIALS, Assembly
from .rasterise import rasterise
from .unwrap import ISLANDS, corner_uvs, islands

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Triangles = NDArray[np.int32]

STEP = 4
COARSE = atlas.SIDE // STEP
# How far the skin is continued beyond the islands, coarse texels.
REACH = 6
_MIRRORED = (atlas.HEAD, atlas.NECK, atlas.CROWN, atlas.BELOW)

# Where hair grows, on the template: angle around the head from the front, degrees, and the
# height above which there is hair, metres.
HAIRLINE = np.array([
    (0.0, 0.098), (25.0, 0.092), (42.0, 0.074), (52.0, 0.055), (66.0, 0.046), (74.0, 0.020),
    (82.0, 0.015), (96.0, 0.026), (106.0, 0.010), (118.0, -0.022), (135.0, -0.040), (180.0, -0.044),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class HeadLayout:
    """The texture's layout on a mesh.

    uvs        [F,3,2] of all triangles' corners
    triangles  [F,3] of the skin
    covered    bool [C,C]: texels on the skin or so near it that it is continued there
    places     sparse [covered,V]: a texel's value from the vertices' values
    at_vertex  [V,2] a vertex's place in coarse texels (right, down); NaN off the skin
    island     int [C,C] index of `ISLANDS`, continued like the skin; -1 elsewhere
    template   [V,3] the vertices of the head that the layout was made for, metres
    above_hairline  float32 [C,C] metres above the hairline (below: negative)
    """

    uvs: Floats
    triangles: Triangles
    covered: NDArray[np.bool_]
    places: csr_matrix
    at_vertex: Floats
    island: Triangles
    template: Floats
    above_hairline: Image

    def spread(self, values: Floats) -> Image:
        """Values of the vertices [V,K] at all texels, [C,C,K]; 0 where there is no skin."""
        result = np.zeros((COARSE, COARSE, values.shape[1]), np.float32)
        result[self.covered] = self.places @ values.astype(np.float32)
        return result

    def collect(self, image: Image) -> Floats:
        """Values [V,K] of an image [C,C,K] at the vertices; 0 off the skin."""
        known = np.isfinite(self.at_vertex[:, 0])
        at = np.where(known[:, None], self.at_vertex - 0.5, 0.0).astype(np.float32)
        found = cv2.remap(image, at[:, 0][:, None], at[:, 1][:, None], cv2.INTER_LINEAR)
        found = found.reshape(len(at), -1)
        return np.asarray(np.where(known[:, None], found, 0.0), np.float64)


def head_layout(mesh: Assembly) -> HeadLayout:
    """The layout for a mesh whose lips are closed and eyes open; others share its triangles."""
    uvs = corner_uvs(mesh)
    island = islands(mesh)
    skin = (mesh.triangle_material == MATERIALS.index("skin")) & (
        island != ISLANDS.index("painted")
    )
    triangles, skin_uvs = mesh.triangles[skin], uvs[skin]
    flat = np.stack([skin_uvs[..., 0], 1.0 - skin_uvs[..., 1]], axis=-1) * COARSE
    corners = np.concatenate([flat.reshape(-1, 2), np.zeros((flat.size // 2, 1))], axis=1)
    seen, _ = rasterise(
        corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3), COARSE, COARSE
    )
    distance, (rows, columns) = distance_transform_edt(seen < 0, return_indices=True)
    covered = distance <= REACH
    face = seen[rows, columns][covered]
    share = _shares(flat[face], np.argwhere(covered)[:, ::-1] + 0.5)
    count = len(mesh.vertices)
    texel = np.repeat(np.arange(len(face)), 3)
    places = csr_matrix(
        (share.ravel().astype(np.float32), (texel, triangles[face].ravel())),
        shape=(len(face), count),
    )
    at_vertex = np.full((count, 2), np.nan)
    at_vertex[triangles.ravel()] = flat.reshape(-1, 2)
    on = np.full((COARSE, COARSE), -1, np.int32)
    on[covered] = island[skin][face]
    above = np.full((COARSE, COARSE), -1.0, np.float32)
    above[covered] = places @ _above_hairline(mesh.vertices).astype(np.float32)
    return HeadLayout(uvs, triangles, covered, places, at_vertex, on, mesh.vertices, above)


def _shares(corners: Floats, points: Floats) -> Floats:
    """Barycentric coordinates [N,3] of points [N,2] in triangles [N,3,2], also outside them."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    second = _cross(points - a, c - a) / area
    third = _cross(b - a, points - a) / area
    # Far outside a thin triangle the plane of it means nothing.
    share = np.clip(np.stack([1.0 - second - third, second, third], axis=1), -2.0, 3.0)
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _above_hairline(template: Floats) -> Floats:
    angle = np.degrees(np.arctan2(np.abs(template[:, 0]), -(template[:, 1] - 0.014)))
    return np.asarray(template[:, 2] - np.interp(angle, HAIRLINE[:, 0], HAIRLINE[:, 1]))


def mirrored(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """A texture [N,N,...] as the other side of the head would have it."""
    scale = len(image) / atlas.SIDE
    result = image.copy()
    for tile, source in (*((tile, tile) for tile in _MIRRORED),
                         (atlas.RIGHT_EAR, atlas.LEFT_EAR),
                         (atlas.LEFT_EAR, atlas.RIGHT_EAR)):  # fmt: skip
        result[_window(tile, scale)] = image[_window(source, scale)][:, ::-1]
    return result


def _window(tile: atlas.Tile, scale: float) -> tuple[slice, slice]:
    return (
        slice(round(tile.top * scale), round((tile.top + tile.height) * scale)),
        slice(round(tile.left * scale), round((tile.left + tile.width) * scale)),
    )


def enlarged(image: Image) -> Image:
    """A coarse image [C,C,...] at the texture's full size."""
    return np.asarray(
        cv2.resize(image, (atlas.SIDE, atlas.SIDE), interpolation=cv2.INTER_LINEAR), np.float32
    )
