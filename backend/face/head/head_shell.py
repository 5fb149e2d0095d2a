# SPDX-License-Identifier: GPL-3.0-or-later
"""Skull, neck and ears around a face: the shipped shape, fitted to the face's outline.

The shape is stretched to the width and height of the face. What remains at the landmarks is spread
over the skin as by a thin plate, fading towards the back of the head and the collar, so that there
is no kink at the rim. Ears are moved and scaled as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int32
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import splu

from shared.landmarks import EARS, FACE_OVAL, LANDMARK_COUNT

from ..template import load_template
from ..texture.photo_crop import PhotoCrop
from .hair import with_hair
from .head_grid import COLUMNS, NECK_ROW, ROWS, head_grid
from .head_shape import load_shell
from .parts import Part

# From these rows on the skin stays still while the face moves: by column from the crown (0) over
# the ears to the chin (18).
MOTION_ENDS = (5, 7, 17)
# Limits of the stretch, relative to the face's size.
STRETCH = (0.82, 1.25)
# Landmarks further inside the face than this (metres along the skin) do not affect the shell.
RIM_WIDTH = 0.035


@dataclass(frozen=True, eq=False)
class Operators:
    """Shares of each landmark's offset that the shell's vertices follow.

    motion   when the face moves
    fitting  when the shell is fitted to another face
    """

    motion: Float64[np.ndarray, "N 468"]
    fitting: Float64[np.ndarray, "N 468"]


def shell_parts(
    landmarks: Float64[np.ndarray, "468 3"], crop: PhotoCrop | None, scale: float
) -> list[Part]:
    """Build skull, ears and neck around a face."""
    grid = head_grid()
    bare = fitted_shell(landmarks, scale)
    vertices = with_hair(landmarks, bare, crop)
    return [
        Part(
            vertices,
            np.zeros((grid.count, 2)),
            grid.triangles,
            "skin",
            operators().motion,
            np.zeros(grid.count),
            name="skull",
            regions=grid.part,
        )
    ]


def fitted_shell(
    landmarks: Float64[np.ndarray, "468 3"], scale: float
) -> Float64[np.ndarray, "N 3"]:
    """Fit the bare head to a face, metres; `scale` is its size relative to the mean face."""
    template = load_template().vertices
    shell = load_shell()
    rim = list(FACE_OVAL)
    size = np.ptp(landmarks[rim], axis=0) / np.ptp(template[rim], axis=0)
    # A photo says least about depth.
    size = np.array((size[0], (size[0] + scale) / 2, (size[2] + scale) / 2))
    size = np.clip(size, scale * STRETCH[0], scale * STRETCH[1])
    pivot, goal = template[list(EARS)].mean(axis=0), landmarks[list(EARS)].mean(axis=0)
    goal[0] = landmarks[rim, 0].mean()
    left = landmarks - (goal + (template - pivot) * size)
    result = goal + (shell - pivot) * size + operators().fitting @ left
    # An ear keeps its shape: it goes where its border goes.
    ear_size = float(np.clip(size.mean(), 0.9 * scale, 1.1 * scale))
    for rings, middle in head_grid().ears:
        border = rings[0] - LANDMARK_COUNT
        own = np.append(rings[1:].ravel(), middle) - LANDMARK_COUNT
        centre, place = shell[border].mean(axis=0), result[border].mean(axis=0)
        result[own] = place + (shell[own] - centre) * ear_size
        # The ear's root lies between the two.
        root = rings[1] - LANDMARK_COUNT
        with_border = result[border] + (shell[root] - shell[border]) * ear_size
        result[root] = 0.4 * result[root] + 0.6 * with_border
    return np.asarray(result)


@lru_cache(maxsize=1)
def operators() -> Operators:
    """How offsets of the landmarks spread over the shell."""
    grid = head_grid()
    rest = np.zeros(grid.count, bool)
    for column in range(COLUMNS):
        ends = np.interp(min(column, COLUMNS - column), (0, 9, 18), MOTION_ENDS)
        ring = grid.rows[round(ends) :, column]
        rest[ring[ring >= 0] - LANDMARK_COUNT] = True
    far = np.zeros(grid.count, bool)
    collar = grid.rows[ROWS - 1 :]
    back = grid.rows[12 : NECK_ROW + 1, [*range(5), *range(COLUMNS - 4, COLUMNS)]]
    for ring in (collar, back):
        far[ring[ring >= 0].ravel() - LANDMARK_COUNT] = True
    rings, middle = grid.floor
    below = np.append(rings[1:].ravel(), middle) - LANDMARK_COUNT
    for held in (rest, far):
        held[below] = True
    ear = np.concatenate([np.append(r[1:].ravel(), m) for r, m in grid.ears]) - LANDMARK_COUNT
    border = np.concatenate([r[0] for r, _ in grid.ears]) - LANDMARK_COUNT
    rest[ear] = rest[border] = True
    return Operators(_carried(rest), _carried(far))


def _carried(still: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Spread offsets of the landmarks with least bending; `still` vertices stay, [N,468]."""
    template, grid = load_template(), head_grid()
    triangles = np.concatenate([template.triangles, grid.triangles])
    points = np.concatenate([template.vertices, load_shell()])
    bend = bending(points, triangles)
    energy = (bend.T @ bend).tocsc()
    free = LANDMARK_COUNT + np.flatnonzero(~still)
    used = np.flatnonzero(template.distances[:, list(FACE_OVAL)].min(axis=1) < RIM_WIDTH)
    right = -energy[free][:, used].toarray()
    share = splu(energy[free][:, free].tocsc()).solve(right)
    result = np.zeros((grid.count, LANDMARK_COUNT))
    result[np.ix_(free - LANDMARK_COUNT, used)] = share
    result[np.abs(result) < 1e-5] = 0.0
    return result


def bending(points: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]) -> csr_matrix:
    """Each vertex minus the mean of its neighbours, nearer ones counting more, [V,V] sparse."""
    count = len(points)
    edges = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    weight = 1.0 / np.maximum(
        np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1), 1e-4
    )
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    near = csr_matrix((np.tile(weight, 2), (rows, columns)), shape=(count, count))
    total = np.asarray(near.sum(axis=1)).ravel()
    diagonal = (np.arange(count), np.arange(count))
    return csr_matrix(
        csr_matrix((np.ones(count), diagonal)) - csr_matrix((1 / total, diagonal)) @ near
    )
