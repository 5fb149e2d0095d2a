# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours for what the photo does not show: skin and hair extrapolated over the mesh, and grain.

Colours are extrapolated over the mesh's vertices, where the texture has no seams, so no seams
become visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from . import atlas
from .texels import HeadLayout

# Weights of a known colour, and of the typical one everywhere, relative to that of neighbours.
HOLD, PULL = 4.0, 2e-4
GROUPS, EVENING = 500, 40
# Rows of strands above the head's map, for its crown.
ABOVE = 400
GRAIN_UNIT = 32.0


@lru_cache(maxsize=2)
def _laplacian(layout: HeadLayout) -> csr_matrix:
    """Difference of each vertex from its neighbours on the skin, [V,V]."""
    triangles = layout.triangles
    first = np.concatenate([triangles.T.ravel(), triangles[:, [1, 2, 0]].T.ravel()])
    second = np.concatenate([triangles[:, [1, 2, 0]].T.ravel(), triangles.T.ravel()])
    count = len(layout.template)
    graph = csr_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    # Pieces that only touch, like a neck that is inserted into a head, are neighbours too.
    used = np.unique(triangles)
    tree = cKDTree(layout.template[used])
    _, near = tree.query(layout.template[used], k=4)
    for column in range(1, 4):
        pair = (used, used[near[:, column]])
        graph = graph + csr_matrix((np.full(len(used), 0.2), pair), shape=graph.shape)
    graph = graph.maximum(graph.T)
    graph.data = np.minimum(graph.data, 1.0)
    return csr_matrix(diags(np.asarray(graph.sum(axis=1)).ravel()) - graph)


@dataclass(frozen=True, eq=False)
class _Graph:
    """The skin's neighbourhoods, at two resolutions.

    laplacian  [V,V] sparse, with its `diagonal`
    groups     [V,G] sparse: the group of neighbours that a vertex belongs to
    coarse     [G,G] sparse: the Laplacian of the groups
    """

    laplacian: csr_matrix
    diagonal: NDArray[np.float64]
    groups: csr_matrix
    coarse: csr_matrix


@lru_cache(maxsize=2)
def _graph(layout: HeadLayout) -> _Graph:
    laplacian = _laplacian(layout)
    used = np.unique(layout.triangles)
    leaders = used[:: max(1, len(used) // GROUPS)]
    _, nearest = cKDTree(layout.template[leaders]).query(layout.template)
    count = len(layout.template)
    groups = csr_matrix((np.ones(count), (np.arange(count), nearest)), shape=(count, len(leaders)))
    return _Graph(
        laplacian, laplacian.diagonal(), groups, csr_matrix(groups.T @ laplacian @ groups)
    )


def carried_on(
    layout: HeadLayout,
    colours: Float64[np.ndarray, "V 3"],
    known: Float64[np.ndarray, " V"],
    typical: Float[np.ndarray, " 3"],
) -> Float64[np.ndarray, "V 3"]:
    """Extrapolate the colours of the vertices by how well each is known, 0..1.

    Far from known vertices the result becomes the `typical` colour.
    """
    graph = _graph(layout)
    hold = HOLD * known + PULL
    right = HOLD * known[:, None] * colours + PULL * typical
    # Solved for groups of vertices first, then smoothed by Jacobi steps on the vertices.
    coarse = graph.coarse + diags(graph.groups.T @ hold)
    found = graph.groups @ splu(coarse.tocsc()).solve(graph.groups.T @ right)
    weight = 1.0 / (graph.diagonal + hold)[:, None]
    for _ in range(EVENING):
        found = found + 0.9 * weight * (right - graph.laplacian @ found - hold[:, None] * found)
    return np.asarray(found)


@dataclass(frozen=True, eq=False)
class Grain:
    """Grain of skin, and of hair in strands.

    Both are around 128, with a standard deviation of `GRAIN_UNIT`.
    """

    skin: UInt8[np.ndarray, "side side 3"]
    hair: UInt8[np.ndarray, "side side 3"]


@lru_cache(maxsize=1)
def grain() -> Grain:
    """Make the grain, which is the same for all heads."""
    noise = np.random.default_rng(11)
    tile = 512
    white = noise.normal(size=(tile, tile)).astype(np.float32)
    pores = blurred_round(white, 0.9, 0.9)
    pores = pores / pores.std() + 0.7 * _unit(blurred_round(white, 3.0, 3.0))
    pores = np.tile(_unit(pores), (atlas.SIDE // tile, atlas.SIDE // tile))
    bottom = atlas.NECK.top + atlas.NECK.height
    field = _strands(noise, bottom + ABOVE, atlas.SIDE)
    strands = np.zeros((atlas.SIDE, atlas.SIDE), np.float32)
    strands[:bottom] = field[ABOVE:]
    atlas.CROWN.view(strands)[:] = _on_crown(field, atlas.CROWN.width)
    return Grain(_as_pixels(pores), _as_pixels(strands))


def _as_pixels(field: NDArray[np.floating]) -> NDArray[np.uint8]:
    level = np.clip(128.0 + GRAIN_UNIT * field + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def uneven(
    pixels: UInt8[np.ndarray, "H W 3"], texture: UInt8[np.ndarray, "H W 3"], size: float
) -> UInt8[np.ndarray, "H W 3"]:
    """Add grain with a standard deviation of `size` (of 255) to a picture."""
    share = size / GRAIN_UNIT
    return np.asarray(cv2.addWeighted(pixels, 1.0, texture, share, -128.0 * share), np.uint8)


def blurred_round(
    field: Float32[np.ndarray, "H W"], down: float, across: float
) -> Float32[np.ndarray, "H W"]:
    """Gaussian blur of a periodic field; standard deviations in pixels."""
    reach_down, reach_across = round(4 * down), round(4 * across)
    padded = np.pad(field, ((reach_down, reach_down), (reach_across, reach_across)), mode="wrap")
    smooth = cv2.sepFilter2D(
        padded,
        cv2.CV_32F,
        cv2.getGaussianKernel(2 * reach_across + 1, across, cv2.CV_32F),
        cv2.getGaussianKernel(2 * reach_down + 1, down, cv2.CV_32F),
    )
    height, width = field.shape
    inside = smooth[reach_down : reach_down + height, reach_across : reach_across + width]
    return np.asarray(inside, np.float32)


def _unit(field: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray((field - field.mean()) / field.std())


def _strands(noise: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Strands that run down, slightly wavy and in locks."""
    fine = blurred_round(noise.normal(size=(height, width)).astype(np.float32), 22.0, 0.8)
    locks = noise.normal(size=(height // 4, width // 4)).astype(np.float32)
    locks = blurred_round(locks, 24.0, 2.2)
    locks = np.repeat(np.repeat(locks, 4, axis=0), 4, axis=1)[:height, :width]
    field = _unit(fine) + 0.8 * _unit(np.asarray(cv2.GaussianBlur(locks, (13, 13), 1.5)))
    rows = np.arange(height)[:, None]
    columns = np.arange(width)[None]
    wave = 6.0 * np.sin(rows / 95.0 + 3.0 * np.sin(columns / 210.0))
    return np.asarray(_unit(field[rows, (columns + wave.astype(int)) % width]), np.float32)


def _on_crown(field: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Continue the strands of the head's map towards the middle of the crown's disc."""
    at = np.arange(size) + 0.5 - size / 2
    x, y = np.meshgrid(at, at)
    azimuth = np.arctan2(x, y)
    column = (0.5 + atlas.around_head(azimuth)) * field.shape[1]
    # Neighbouring strands meet in the middle, so they fade there.
    away = np.hypot(x, y)
    row = np.clip(ABOVE + 40 - 1.6 * (size / 2 - away), 0, len(field) - 1)
    strands = field[row.astype(int), column.astype(int) % field.shape[1]]
    return np.asarray(strands * np.clip(away / (0.22 * size), 0.25, 1.0), np.float32)


def roughness(
    image: Float32[np.ndarray, "H W"],
    smooth: Float32[np.ndarray, "H W"],
    weight: Float32[np.ndarray, "H W"],
) -> float:
    """Typical relative deviation of an image from its smoothed form, weighted."""
    total = float(weight.sum())
    if total < 50:
        return 0.0
    away = np.abs(np.log((image + 4.0) / (smooth + 4.0)))
    return float((away * weight).sum() / total * 1.25)
