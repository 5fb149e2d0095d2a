# SPDX-License-Identifier: GPL-3.0-or-later
"""Two rows of separate teeth and their gums on arches behind the lips."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from shared.landmarks import LANDMARK_COUNT

from .parts import Part, grid_triangles, still

# All lengths in metres on the template.
TEETH_BEHIND_LIPS = 0.0068
# The cutting edges relative to the line of the lips. In open smiles (the upper lip 4.7 mm above
# that line, the lower one 4.6 mm below, medians of 27 people) the upper teeth fill the opening.
UPPER_EDGE = -0.0044
LOWER_EDGE = -0.0030
# How far the teeth move back behind a lip that rolls in.
ROOM_FOR_LIPS = 0.0090
# The lower teeth bite behind the upper ones.
OVERBITE = 0.0026
HALF_WIDTH = 0.0255
DEPTH = 0.0385
ANGLE = 78.0
# Shares of the arch, heights and thicknesses of the seven
# teeth of one side, from the last molar to the front.
WIDTHS = (0.95, 0.95, 0.75, 0.75, 0.80, 0.70, 0.90)
UPPER_HEIGHTS = (0.0094, 0.0101, 0.0112, 0.0118, 0.0133, 0.0125, 0.0137)
LOWER_HEIGHTS = (0.0064, 0.0068, 0.0074, 0.0080, 0.0088, 0.0080, 0.0080)
THICK = (0.0090, 0.0092, 0.0078, 0.0074, 0.0062, 0.0050, 0.0052)
EDGE_THICK = (0.82, 0.82, 0.70, 0.66, 0.40, 0.30, 0.28)
# Rows of a tooth from its root inside the gum to the edge: height as a share (1 at the gum),
# width, and how far the front is set back.
ROWS = ((1.22, 0.80, 0.10), (0.92, 0.93, 0.02), (0.50, 1.0, 0.0), (0.14, 0.985, 0.02),
        (0.02, 0.90, 0.07))  # fmt: skip
AROUND = 10
GUM_HEIGHT = 0.0070
GUM_COLUMNS = 43


def teeth_parts(middle: Float64[np.ndarray, " 3"], scale: float) -> list[Part]:
    """Build both rows of teeth and both gums around the `middle` of the line of the lips."""
    return [make(middle, scale, upper) for upper in (True, False) for make in (_teeth_row, _gum)]


def _arch(
    share: NDArray[np.float64], inset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (x, y) [...,2] of the dental arch and their inward directions [...,2].

    `share` 0..1 is the position along the arch from right to left, `inset` metres inside its
    outer line.
    """
    angle = np.radians(np.linspace(-ANGLE, ANGLE, 181))
    line = np.stack([HALF_WIDTH * np.sin(angle), DEPTH * (1.0 - np.cos(angle))], axis=-1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.interp(share, length / length[-1], angle)
    point = np.stack([HALF_WIDTH * np.sin(at), DEPTH * (1.0 - np.cos(at))], axis=-1)
    inward = np.stack([-np.sin(at) * DEPTH, np.cos(at) * HALF_WIDTH], axis=-1)
    inward /= np.linalg.norm(inward, axis=-1, keepdims=True)
    point = point + inset[..., None] * inward
    point[..., 1] += TEETH_BEHIND_LIPS
    return point, inward


def _borders() -> NDArray[np.float64]:
    """Where the fourteen teeth begin and end along the arch, [15] 0..1."""
    widths = np.array([*WIDTHS, *WIDTHS[::-1]])
    return np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])


def _teeth_row(middle: NDArray[np.float64], scale: float, upper: bool) -> Part:
    name = "upper_teeth" if upper else "lower_teeth"
    vertices, place, triangles = _row_of_teeth(upper)
    count = len(vertices)
    return Part(
        middle + vertices * scale,
        place,
        triangles,
        "teeth_and_gums",
        still(count),
        np.zeros(count) if upper else np.ones(count),
        extra=_retreat(count, scale),
        name=name,
        tile=name,
    )


def _retreat(count: int, scale: float) -> dict[str, NDArray[np.float64]]:
    """Hidden behind a lip that rolls in, the teeth move back to make room for it."""
    back = np.tile((0.0, ROOM_FOR_LIPS * scale, 0.0), (count, 1))
    return {"mouthRollLower": back, "mouthRollUpper": back}


@lru_cache(maxsize=2)
def _row_of_teeth(
    upper: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Fourteen teeth on the template: vertices [N,3], texture places [N,2], triangles.

    Vertices are relative to the middle of the lips, places are in the tile's unit square.
    """
    sign, edge = (1.0, UPPER_EDGE) if upper else (-1.0, LOWER_EDGE)
    heights = UPPER_HEIGHTS if upper else LOWER_HEIGHTS
    borders = _borders()
    one = grid_triangles(len(ROWS), AROUND, closed=True)
    tip = LANDMARK_COUNT + len(ROWS) * AROUND
    last = tip - AROUND
    cap = np.array([(last + k, tip, last + (k + 1) % AROUND) for k in range(AROUND)], np.int32)
    one = np.concatenate([one, cap])
    if not upper:
        one = one[:, ::-1]
    vertices, uvs, faces = [], [], []
    turn = np.arange(AROUND) * 2 * np.pi / AROUND
    # A rounded rectangle; the front (towards the lips) is where the sine is negative.
    side = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.62
    back = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.75
    for tooth in range(14):
        kind = min(tooth, 13 - tooth)
        centre = (borders[tooth] + borders[tooth + 1]) / 2
        half = (borders[tooth + 1] - borders[tooth]) / 2
        for share, width, behind in ROWS:
            low = np.clip(1.0 - share, 0, 1) ** 1.6
            thick = THICK[kind] * (1 - low * (1 - EDGE_THICK[kind]))
            inset = (back + 1) / 2 * thick + behind * 0.006
            inset = inset + (0.0 if upper else OVERBITE)
            along = centre + 1.005 * half * width * side
            point, _ = _arch(along, inset)
            height = edge + sign * heights[kind] * share
            vertices.append(np.column_stack([point, np.full(AROUND, height)]))
            uvs.append(np.column_stack([along, np.full(AROUND, 0.62 * np.clip(share, 0, 1))]))
        end = vertices[-1].mean(axis=0) - (0, 0, sign * 0.0002)
        vertices.append(end[None])
        uvs.append(np.array([[centre, 0.0]]))
        faces.append(np.where(one >= LANDMARK_COUNT, one + tooth * (len(ROWS) * AROUND + 1), one))
    triangles = np.ascontiguousarray(np.concatenate(faces), np.int32)
    return np.concatenate(vertices), np.concatenate(uvs), triangles


def _gum(middle: NDArray[np.float64], scale: float, upper: bool) -> Part:
    """A band over the roots, scalloped around each tooth, and down again behind the teeth."""
    sign, edge = (1.0, UPPER_EDGE) if upper else (-1.0, LOWER_EDGE)
    heights = np.array(UPPER_HEIGHTS if upper else LOWER_HEIGHTS)
    heights = np.concatenate([heights, heights[::-1]])
    thick = np.concatenate([THICK, THICK[::-1]])
    along = np.linspace(0.0, 1.0, GUM_COLUMNS)
    borders = _borders()
    which = np.clip(np.searchsorted(borders, along, side="right") - 1, 0, 13)
    middles = (borders[:-1] + borders[1:]) / 2
    # 0 in the middle of a tooth, 1 between two, where the gum reaches furthest.
    between = np.abs(along - middles[which]) / (borders[1:] - borders[:-1])[which] * 2
    height = np.interp(along, middles, heights)
    deep = np.interp(along, middles, thick)
    line = height * (0.90 - 0.16 * between**2)
    behind = 0.0 if upper else OVERBITE
    bulge = -0.0007 * (1 - between**2) + 0.0005 * between**2
    rows = (
        (line, 0.0012 + 0 * deep, 0.64),
        (line + 0.0007, bulge, 0.70),
        (height + 0.0028, -0.0003 + 0.4 * bulge, 0.82),
        (height + GUM_HEIGHT, 0.0010 + 0 * deep, 1.0),
        (height + GUM_HEIGHT, deep + 0.0030, 1.0),
        (height + 0.0020, deep + 0.0014, 0.85),
        (line + 0.0004, deep + 0.0004, 0.68),
        (line, deep - 0.0012, 0.64),
    )
    vertices, uvs = [], []
    for up, inset, place in rows:
        point, _ = _arch(along, inset + behind)
        vertices.append(np.column_stack([point, edge + sign * up]))
        uvs.append(np.stack([along, np.full(len(along), place)], axis=-1))
    triangles = grid_triangles(len(rows), GUM_COLUMNS, closed=False)
    if upper:
        triangles = triangles[:, ::-1]
    count = len(rows) * GUM_COLUMNS
    return Part(
        middle + np.concatenate(vertices) * scale,
        np.concatenate(uvs),
        np.ascontiguousarray(triangles),
        "teeth_and_gums",
        still(count),
        np.zeros(count) if upper else np.ones(count),
        extra=_retreat(count, scale),
        name="upper_gum" if upper else "lower_gum",
        tile="upper_teeth" if upper else "lower_teeth",
    )
