# SPDX-License-Identifier: GPL-3.0-or-later
"""The place on the head of each texel of the skin, computed once for all heads.

Everything but the photo's own pixels is smooth, so a quarter of the texture's resolution is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_matrix

from backend.rasterize import rasterize

from ..head.parts import PART_NAMES
from . import atlas
from .layout_file import ISLANDS, LayoutFile

Picture = TypeVar("Picture", NDArray[np.float32], NDArray[np.uint8])

STEP = 4
COARSE = atlas.SIDE // STEP
# How far the skin is extended beyond the islands, coarse texels.
REACH = 6
FOLDS = ("inner_lips", "left_lid_edge", "right_lid_edge")
_MIRRORED = (atlas.HEAD, atlas.NECK, atlas.CROWN, atlas.BELOW)


@dataclass(frozen=True, eq=False)
class HeadLayout:
    """The texture's layout on a mesh. Pictures have the coarse resolution, C = `COARSE` texels.

    uvs             of the corners of all triangles
    triangles       of the skin alone, with skin_uvs of their corners
    covered         texels on the skin or so near that the skin is extended to them
    places          sparse [covered,V]: a texel's value from the vertices' values
    at_vertex       a vertex's position in coarse texels (right, down); NaN off the skin
    island          index of `ISLANDS`, extended like the skin; -1 elsewhere
    template        the vertices of the head that the layout was made for, metres
    above_hairline  metres above the hairline (below: negative)
    folded          0..1, inner edges of lips and lids
    face            0..1, the landmarks' own skin
    cavity          how hollow an ear is at a vertex, 0..1; 0 elsewhere
    """

    uvs: Float64[np.ndarray, "F 3 2"]
    head_triangles: Int32[np.ndarray, "F 3"]
    triangles: Int32[np.ndarray, "skin 3"]
    skin_uvs: Float64[np.ndarray, "skin 3 2"]
    covered: Bool[np.ndarray, "C C"]
    places: csr_matrix
    at_vertex: Float64[np.ndarray, "V 2"]
    island: Int32[np.ndarray, "C C"]
    template: Float64[np.ndarray, "V 3"]
    above_hairline: Float32[np.ndarray, "C C"]
    folded: Float32[np.ndarray, "C C"]
    face: Float32[np.ndarray, "C C"]
    cavity: Float64[np.ndarray, " V"]

    def spread(self, values: Float64[np.ndarray, "V K"]) -> Float32[np.ndarray, "C C K"]:
        """Spread values of the vertices over all texels; 0 where there is no skin."""
        result = np.zeros((COARSE, COARSE, values.shape[1]), np.float32)
        result[self.covered] = self.places @ values.astype(np.float32)
        return result

    def collect(self, image: Float32[np.ndarray, "C C K"]) -> Float64[np.ndarray, "V K"]:
        """Sample an image at the vertices; 0 off the skin."""
        known = np.isfinite(self.at_vertex[:, 0])
        at = np.where(known[:, None], self.at_vertex - 0.5, 0.0).astype(np.float32)
        found = cv2.remap(image, at[:, 0][:, None], at[:, 1][:, None], cv2.INTER_LINEAR)
        found = found.reshape(len(at), -1)
        return np.asarray(np.where(known[:, None], found, 0.0), np.float64)


def head_layout(laid: LayoutFile) -> HeadLayout:
    """Compute what lies at each texel of a head with this layout."""
    triangles, skin_uvs, island, count = _skin(laid)
    flat = np.stack([skin_uvs[..., 0], 1.0 - skin_uvs[..., 1]], axis=-1) * COARSE
    corners = np.concatenate([flat.reshape(-1, 2), np.zeros((flat.size // 2, 1))], axis=1)
    seen = rasterize(
        corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3), (COARSE, COARSE)
    ).face_id
    distance, (rows, columns) = distance_transform_edt(seen < 0, return_indices=True)
    covered = distance <= REACH
    face = seen[rows, columns][covered]
    middles = np.asarray(np.argwhere(covered)[:, ::-1] + 0.5, np.float64)
    share = _shares(flat[face], middles)
    texel = np.repeat(np.arange(len(face)), 3)
    places = csr_matrix(
        (share.ravel().astype(np.float32), (texel, triangles[face].ravel())),
        shape=(len(face), count),
    )
    at_vertex = np.full((count, 2), np.nan)
    at_vertex[triangles.ravel()] = flat.reshape(-1, 2)
    on = np.full((COARSE, COARSE), -1, np.int32)
    on[covered] = island[face]

    def spread(values: NDArray[Any], elsewhere: float) -> NDArray[np.float32]:
        image = np.full((COARSE, COARSE), elsewhere, np.float32)
        image[covered] = places @ values.astype(np.float32)
        return image

    part = np.array(PART_NAMES)[laid.vertex_part]
    return HeadLayout(
        uvs=laid.uvs,
        head_triangles=laid.triangles,
        triangles=triangles,
        skin_uvs=skin_uvs,
        covered=covered,
        places=places,
        at_vertex=at_vertex,
        island=on,
        template=laid.vertices,
        above_hairline=spread(laid.above_hairline, -1.0),
        folded=spread(np.isin(part, FOLDS), 0.0),
        face=spread(np.isin(part, ("face", *FOLDS)), 0.0),
        cavity=laid.cavity,
    )


def _skin(
    laid: LayoutFile,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32], int]:
    """Triangles [S,3] of the skin, their corners' places [S,3,2] and islands [S]; and V."""
    skin = laid.island != ISLANDS.index("painted")
    return laid.triangles[skin], laid.uvs[skin], laid.island[skin], len(laid.vertices)


def _shares(corners: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Barycentric coordinates [N,3] of points [N,2] in triangles [N,3,2], also outside them."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    second = _cross(points - a, c - a) / area
    third = _cross(b - a, points - a) / area
    # Far outside a thin triangle its plane is meaningless.
    share = np.clip(np.stack([1.0 - second - third, second, third], axis=1), -0.7, 1.7)
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def mirrored(image: Picture) -> Picture:
    """Mirror a square texture so that each side of the head gets the other's."""
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


def enlarged(image: Picture) -> Picture:
    """Enlarge a coarse image [h,w,...] to the texture's resolution."""
    size = (image.shape[1] * STEP, image.shape[0] * STEP)
    large = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, image.dtype)


def windows(mask: Bool[np.ndarray, "C C"]) -> list[tuple[slice, slice]]:
    """Parts of a coarse image, one of the head and one of its crown, that contain a mask."""
    found = []
    split = atlas.CROWN.top // STEP
    for rows in (slice(0, split), slice(split, COARSE)):
        part = mask[rows]
        if not part.any():
            continue
        down, across = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        top, bottom = rows.start + down[0] - 2, rows.start + down[-1] + 3
        found.append(
            (
                slice(max(int(top), rows.start), min(int(bottom), rows.stop)),
                slice(max(int(across[0]) - 2, 0), min(int(across[-1]) + 3, COARSE)),
            )
        )
    return found


def in_full(window: tuple[slice, slice]) -> tuple[slice, slice]:
    """Convert a coarse window to the texture's resolution."""
    rows, columns = window
    return (
        slice(rows.start * STEP, rows.stop * STEP),
        slice(columns.start * STEP, columns.stop * STEP),
    )
