# SPDX-License-Identifier: GPL-3.0-or-later
"""The grid of quads around the face: skull, neck and ears, as topology only.

It is a hood: row 0 is the rim of the face, each further row is a ring one step further back, and
the last one is the collar. Columns run from the rim to the collar, column 0 over the crown and
down the nape, column 18 from the chin down the throat. On both sides a block of cells is left out
for an ear: rings of 24 from the block's border over the back of the auricle and its outer edge
into the concha. The collar is closed by further rings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Int32
from numpy.typing import NDArray

from shared.landmarks import FACE_OVAL, LANDMARK_COUNT

COLUMNS = len(FACE_OVAL)
ROWS = 21  # rings after the rim; the last is the collar
# The block of cells in which the left ear sits: rows and columns of its border.
EAR_ROWS = (1, 7)
EAR_COLUMNS = (5, 11)
# From this row on the grid is neck, below the head; under the jaw it is neck from the rim on.
NECK_ROW = 15
UNDER_JAW = (13, 23)
EAR_SEGMENTS = 24
# root, back, outer edge, crest of the helix, its inside, scapha, antihelix, concha's wall, floor
EAR_RINGS = 9
FLOOR_RINGS = 2

_ABSENT = -1


@dataclass(frozen=True, eq=False)
class HeadGrid:
    """Vertex indices: below 468 they are landmarks, the grid's own follow from 468.

    rows       the rim and `ROWS` rings; -1 in the ears' blocks
    ears       (left, right): rings, of which ring 0 is the block's border, and the middle
    floor      rings, of which ring 0 is the collar, and the middle
    triangles  facing outward; the two triangles of a quad are consecutive
    count      number of the grid's own vertices
    mirror     index (from 0) of each own vertex's partner on the other side
    part       indices (from 0) of each part's own vertices, by part name
    """

    rows: Int32[np.ndarray, "rows 36"]
    ears: tuple[
        tuple[Int32[np.ndarray, "ear_rings 24"], int], tuple[Int32[np.ndarray, "ear_rings 24"], int]
    ]
    floor: tuple[Int32[np.ndarray, "floor_rings 36"], int]
    triangles: Int32[np.ndarray, "F 3"]
    count: int
    mirror: Int32[np.ndarray, " N"]
    part: dict[str, Int32[np.ndarray, " _"]]


@lru_cache(maxsize=1)
def head_grid() -> HeadGrid:
    """Build the grid, which is the same for all heads."""
    rows = np.full((ROWS + 1, COLUMNS), _ABSENT, np.int32)
    rows[0] = FACE_OVAL
    (top, bottom), (first, last) = EAR_ROWS, EAR_COLUMNS
    hole = np.zeros(rows.shape, bool)
    hole[top + 1 : bottom, first + 1 : last] = True
    hole |= hole[:, _other_column(np.arange(COLUMNS))]
    own = ~hole
    own[0] = False
    rows[own] = LANDMARK_COUNT + np.arange(own.sum())
    following = LANDMARK_COUNT + int(own.sum())
    border = _border(rows)
    ears: list[tuple[NDArray[np.int32], int]] = []
    # The right ear's border is the left one's mirror image, so its numbering runs as on the left.
    for ring in (border, _border(rows[:, _other_column(np.arange(COLUMNS))])):
        inner = following + np.arange(EAR_RINGS * EAR_SEGMENTS).reshape(EAR_RINGS, EAR_SEGMENTS)
        following += inner.size
        ears.append((np.concatenate([ring[None], inner]).astype(np.int32), following))
        following += 1
    below = following + np.arange(FLOOR_RINGS * COLUMNS).reshape(FLOOR_RINGS, COLUMNS)
    following += below.size
    floor: NDArray[np.int32] = np.concatenate([rows[-1:], below]).astype(np.int32)
    middle = following
    count = following + 1 - LANDMARK_COUNT
    left, right = ears
    mirror = _mirror(rows, left, right, floor, middle, count)
    grid = _grid_triangles(rows, hole)
    ear = _ring_triangles(*left)
    other = mirror[ear - LANDMARK_COUNT] + LANDMARK_COUNT
    triangles = [grid, ear, other[:, ::-1], _ring_triangles(floor, middle)]
    return HeadGrid(
        rows,
        (left, right),
        (floor, middle),
        np.ascontiguousarray(np.concatenate(triangles)[:, ::-1], np.int32),
        count,
        mirror,
        _parts(rows, left, right, floor, middle),
    )


def _other_column(column: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(-column % COLUMNS)


def _border(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The border [24] of the left ear's block, counter-clockwise from the character's left."""
    (top, bottom), (first, last) = EAR_ROWS, EAR_COLUMNS
    front = rows[top, first:last]
    below = rows[top:bottom, last]
    back = rows[bottom, last:first:-1]
    above = rows[bottom:top:-1, first]
    return np.concatenate([front, below, back, above])


def _quad(a: int, b: int, c: int, d: int, falling: bool) -> list[tuple[int, int, int]]:
    """Split the cell a b over c d, seen from its front, along b-c or (falling) along a-d."""
    return [(a, c, d), (a, d, b)] if falling else [(a, c, b), (b, c, d)]


def _grid_triangles(rows: NDArray[np.int32], hole: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Cells of the hood; seen from outside, rows run to the right and columns run down."""
    faces = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            following = (column + 1) % COLUMNS
            corners = [(row, column), (row, following), (row + 1, column), (row + 1, following)]
            if any(hole[corner] for corner in corners) or _in_block(row, column):
                continue
            # Both sides are cut along mirrored diagonals.
            falling = column >= COLUMNS // 2
            a, b, c, d = (int(rows[corner]) for corner in corners)
            faces += _quad(a, b, c, d, falling)
    return np.array(faces, np.int32)


def _in_block(row: int, column: int) -> bool:
    (top, bottom), (first, last) = EAR_ROWS, EAR_COLUMNS
    left = column if column < COLUMNS // 2 else COLUMNS - 1 - column
    return top <= row < bottom and first <= left < last


def _ring_triangles(rings: NDArray[np.int32], middle: int) -> NDArray[np.int32]:
    """Triangles between nested rings, and a fan to the middle."""
    faces = []
    count = rings.shape[1]
    for outer, inner in pairwise(rings):
        for k in range(count):
            n = (k + 1) % count
            falling = k >= count // 2
            faces += _quad(int(outer[k]), int(outer[n]), int(inner[k]), int(inner[n]), falling)
    last = rings[-1]
    faces += [(int(last[k]), middle, int(last[(k + 1) % count])) for k in range(count)]
    return np.array(faces, np.int32)


def _mirror(
    rows: NDArray[np.int32],
    left: tuple[NDArray[np.int32], int],
    right: tuple[NDArray[np.int32], int],
    floor: NDArray[np.int32],
    middle: int,
    count: int,
) -> NDArray[np.int32]:
    partner = np.arange(count, dtype=np.int32)
    for ring in (*rows[1:], *floor[1:]):
        there = ring >= 0
        other = ring[_other_column(np.arange(COLUMNS))]
        partner[ring[there] - LANDMARK_COUNT] = other[there] - LANDMARK_COUNT
    for (a, a_middle), (b, b_middle) in ((left, right), (right, left)):
        partner[a[1:] - LANDMARK_COUNT] = b[1:] - LANDMARK_COUNT
        partner[a_middle - LANDMARK_COUNT] = b_middle - LANDMARK_COUNT
    partner[middle - LANDMARK_COUNT] = middle - LANDMARK_COUNT
    return partner


def _parts(
    rows: NDArray[np.int32],
    left: tuple[NDArray[np.int32], int],
    right: tuple[NDArray[np.int32], int],
    floor: NDArray[np.int32],
    middle: int,
) -> dict[str, NDArray[np.int32]]:
    row, column = np.nonzero(rows[1:] >= 0)
    number = rows[1:][row, column] - LANDMARK_COUNT
    first, last = UNDER_JAW
    neck = (row + 1 >= NECK_ROW) | ((column >= first) & (column <= last))
    below = np.append(floor[1:].ravel(), middle) - LANDMARK_COUNT
    return {
        "skull": number[~neck].astype(np.int32),
        "neck": np.concatenate([number[neck], below]).astype(np.int32),
        "left_ear": (np.append(left[0][1:].ravel(), left[1]) - LANDMARK_COUNT).astype(np.int32),
        "right_ear": (np.append(right[0][1:].ravel(), right[1]) - LANDMARK_COUNT).astype(np.int32),
    }
