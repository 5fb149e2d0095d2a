# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of smooth subdivision of the skin, so that lips and cheeks are round in any program.

Loop's scheme (Loop, "Smooth subdivision surfaces based on triangles", 1987; weights after
Warren), with the edges of lips and lids as creases: along those the result depends on the edge
alone, so edges that meet before still meet after it. The scheme pulls vertices inward; moving
them out by the same amount first keeps the landmarks where they are to a tenth of a millimetre.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import numpy as np
from jaxtyping import Int32
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array, identity

from shared.landmarks import FACE_OVAL

from .eyes import lid_ring
from .mouth import mouth_ring
from .parts import MATERIALS, PART_NAMES, Assembly

Edge = tuple[int, int]


def refine_skin(mesh: Assembly) -> Assembly:
    """Split every skin triangle into four; existing vertices keep their indices."""
    skin = mesh.triangle_material == MATERIALS.index("skin")
    count = len(mesh.vertices)
    operator, middle, triangles = _operators_of(mesh)
    shapes = mesh.shapes.transpose(1, 0, 2).reshape(count, -1)
    new_count = operator.shape[0]
    shapes = (operator @ shapes).reshape(new_count, len(mesh.shapes), 3).transpose(1, 0, 2)
    return Assembly(
        operator @ mesh.vertices,
        np.concatenate([mesh.uvs, middle @ mesh.uvs]),
        np.concatenate([triangles, mesh.triangles[~skin]]),
        np.concatenate([np.zeros(len(triangles), np.int32), mesh.triangle_material[~skin]]),
        np.ascontiguousarray(shapes),
        np.concatenate([mesh.vertex_part, _middle_parts(mesh.vertex_part, middle)]),
    )


def refining(mesh: Assembly) -> csr_matrix:
    """The sparse matrix [V2,V] by which `refine_skin` maps any values at the vertices."""
    return _operators_of(mesh)[0]


def _operators_of(mesh: Assembly) -> tuple[csr_matrix, csr_matrix, NDArray[np.int32]]:
    skin = mesh.triangle_material == MATERIALS.index("skin")
    old = np.ascontiguousarray(mesh.triangles[skin], np.int32)
    return _skin_operator(old.tobytes(), mesh.vertex_part.tobytes())


def _middle_parts(part: NDArray[np.int32], middle: csr_matrix) -> NDArray[np.int32]:
    """The part of each edge's midpoint [E].

    Between two parts it is the one that comes later in `PART_NAMES`, so never the face.
    """
    ends = middle.indices.reshape(-1, 2)
    return np.asarray(part[ends].max(axis=1), np.int32)


@lru_cache(maxsize=2)
def _skin_operator(
    triangles: bytes, parts: bytes
) -> tuple[csr_matrix, csr_matrix, NDArray[np.int32]]:
    """The matrices for a skin; all our faces have the same triangles, so they are kept."""
    part = np.frombuffer(parts, np.int32)
    count = len(part)
    creases: set[Edge] = set()
    for ring in (mouth_ring(), lid_ring("left"), lid_ring("right")):
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
            creases.add((min(a, b), max(a, b)))
    old = np.frombuffer(triangles, np.int32).reshape(-1, 3)
    smooth, middle, new = subdivision(old, count, creases)
    # Out first, then in: see the module's docstring. Where the face's large triangles meet the
    # finer ones of the head this would fold the skin, so the rim is only smoothed.
    head = np.isin(part, [PART_NAMES.index("skull"), PART_NAMES.index("neck")])
    near = np.zeros(count, bool)
    near[list(FACE_OVAL)] = True
    for _ in range(2):
        near[old[near[old].any(axis=1)]] = True
        near &= head | np.isin(np.arange(count), FACE_OVAL)
    outward = np.where(near, 0.0, 1.0)
    before = identity(count) + diags_array(outward) @ (identity(count) - smooth[:count])
    return csr_matrix(smooth @ before), middle, new


def subdivision(
    triangles: Int32[np.ndarray, "F 3"], count: int, creases: set[Edge]
) -> tuple[csr_matrix, csr_matrix, Int32[np.ndarray, "4*F 3"]]:
    """Loop's step as matrices.

    Returns the matrix from the old vertices to all new ones [V+E,V] (old ones first), the one to
    plain edge midpoints [E,V], and the new triangles. Borders are creases too.
    """
    tips: dict[Edge, list[int]] = defaultdict(list)
    for a, b, c in triangles.tolist():
        for first, second, tip in ((a, b, c), (b, c, a), (c, a, b)):
            tips[min(first, second), max(first, second)].append(tip)
    sharp = {edge for edge, sides in tips.items() if len(sides) != 2 or edge in creases}
    neighbours: dict[int, list[int]] = defaultdict(list)
    sharp_neighbours: dict[int, list[int]] = defaultdict(list)
    for first, second in tips:
        neighbours[first].append(second)
        neighbours[second].append(first)
        if (first, second) in sharp:
            sharp_neighbours[first].append(second)
            sharp_neighbours[second].append(first)
    entries: list[tuple[int, int, float]] = []
    for vertex in range(count):
        around, along = neighbours[vertex], sharp_neighbours[vertex]
        if not along and around:
            share = 3.0 / (8.0 * len(around)) if len(around) > 3 else 3.0 / 16.0
            entries.append((vertex, vertex, 1.0 - share * len(around)))
            entries += [(vertex, other, share) for other in around]
        elif len(along) == 2:
            entries.append((vertex, vertex, 0.75))
            entries += [(vertex, other, 0.125) for other in along]
        else:
            entries.append((vertex, vertex, 1.0))
    middles: list[tuple[int, int, float]] = []
    number: dict[Edge, int] = {}
    for index, (edge, sides) in enumerate(tips.items()):
        number[edge] = count + index
        middles += [(index, edge[0], 0.5), (index, edge[1], 0.5)]
        if edge in sharp:
            entries += [(count + index, edge[0], 0.5), (count + index, edge[1], 0.5)]
        else:
            entries += [(count + index, end, 0.375) for end in edge]
            entries += [(count + index, tip, 0.125) for tip in sides]
    faces = _finer(triangles, number)
    smooth = _matrix(entries, (count + len(tips), count))
    return smooth, _matrix(middles, (len(tips), count)), faces


def _finer(triangles: NDArray[np.int32], number: dict[Edge, int]) -> NDArray[np.int32]:
    """Four triangles for each one [4F,3]; `number` is the new vertex of each edge.

    Two consecutive triangles that share an edge are one quad. It becomes four quads, again of
    consecutive triangles.
    """
    faces: list[tuple[int, ...]] = []
    old = triangles.tolist()

    def middle(a: int, b: int) -> int:
        return number[min(a, b), max(a, b)]

    def corner(triangle: list[int], at: int) -> tuple[int, int, int]:
        k = triangle.index(at)
        following, before = triangle[(k + 1) % 3], triangle[k - 1]
        return (at, middle(at, following), middle(before, at))

    def core(triangle: list[int]) -> tuple[int, ...]:
        return tuple(middle(triangle[k], triangle[(k + 1) % 3]) for k in range(3))

    index = 0
    while index < len(old):
        first = old[index]
        second = old[index + 1] if index + 1 < len(old) else []
        shared = sorted(set(first) & set(second))
        if len(shared) != 2:
            faces += [*(corner(first, at) for at in first), core(first)]
            index += 1
            continue
        for triangle in (first, second):
            (tip,) = set(triangle) - set(shared)
            faces += [corner(triangle, tip), core(triangle)]
        for at in shared:
            faces += [corner(first, at), corner(second, at)]
        index += 2
    return np.array(faces, np.int32)


def _matrix(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> csr_matrix:
    rows, columns, values = zip(*entries, strict=True)
    return csr_matrix((values, (rows, columns)), shape=shape)
