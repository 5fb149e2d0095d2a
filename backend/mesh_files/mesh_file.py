# SPDX-License-Identifier: GPL-3.0-or-later
"""MeshFile: what a mesh file holds, in our axes; and the pieces it is put together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.arrays import FloatArray, IntArray

from .checks import MAX_SHAPE_NUMBERS, MAX_SHAPES, MAX_TRIANGLES, MAX_VERTICES, damaged, too_large

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

GREY = (0.8, 0.8, 0.8)


@dataclass(frozen=True, eq=False)
class Material:
    """colour: red, green, blue 0..1 as they are shown (sRGB); picture: uint8 [H,W,3], which is
    multiplied by nothing, or None.
    """

    name: str
    colour: tuple[float, float, float] = GREY
    picture: Pixels | None = None


@dataclass(frozen=True, eq=False)
class MeshFile:
    """A mesh as a file has it, +Z up, the face along -Y where the file keeps to its format.

    vertices           [V,3] in metres where the format says so, else in the file's unit
    triangles          [F,3]; triangle_material [F] indexes `materials`
    uvs                [F,3,2] of the triangles' corners, v upwards; zeros where there are none
    piece              [V] index into `piece_names`: the objects of the file
    shapes             offsets [V,3] by name, in the file's order
    warnings           sentences on what could not be read
    metres             whether the unit is known
    """

    vertices: FloatArray
    triangles: IntArray
    uvs: FloatArray
    piece: IntArray
    piece_names: tuple[str, ...]
    triangle_material: IntArray
    materials: tuple[Material, ...]
    shapes: dict[str, FloatArray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metres: bool = False


@dataclass(frozen=True, eq=False)
class Piece:
    """One object of a file: vertices [N,3], triangles [F,3], uvs [F,3,2] or None, materials [F],
    shapes [N,3] by name.
    """

    name: str
    vertices: Floats
    triangles: NDArray[Any]
    uvs: Floats | None
    triangle_material: NDArray[Any]
    shapes: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)


def join(
    pieces: list[Piece],
    materials: list[Material],
    file_name: str,
    warnings: list[str],
    *,
    metres: bool,
    weld: bool = False,
) -> MeshFile:
    """The pieces as one mesh. Raises VividKeysError(bad_file, too_large).

    `weld` joins vertices that a format had to split because texture coordinates are theirs there.
    """
    pieces = [_checked(_welded(piece) if weld else piece, file_name) for piece in pieces]
    pieces = [piece for piece in pieces if len(piece.triangles)]
    if not pieces:
        raise damaged(file_name, "it holds no surface")
    count = sum(len(piece.vertices) for piece in pieces)
    names = list(dict.fromkeys(name for piece in pieces for name in piece.shapes))
    if count > MAX_VERTICES or sum(len(piece.triangles) for piece in pieces) > MAX_TRIANGLES:
        raise too_large(file_name, f"{count:,} vertices")
    if len(names) > MAX_SHAPES or count * len(names) > MAX_SHAPE_NUMBERS:
        raise too_large(file_name, f"{len(names):,} shapes of {count:,} vertices")
    materials = materials or [Material("material")]
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    shapes: dict[str, FloatArray] = {}
    for name in names:
        offsets = np.zeros((count, 3), np.float32)
        for start, piece in zip(starts[:-1], pieces, strict=True):
            if name in piece.shapes:
                offsets[start : start + len(piece.vertices)] = piece.shapes[name]
        shapes[name] = offsets
    uvs = [
        np.zeros((len(piece.triangles), 3, 2)) if piece.uvs is None else piece.uvs
        for piece in pieces
    ]
    return MeshFile(
        vertices=np.concatenate([piece.vertices for piece in pieces]).astype(np.float32),
        triangles=np.concatenate(
            [piece.triangles + start for start, piece in zip(starts[:-1], pieces, strict=True)]
        ).astype(np.int32),
        uvs=np.concatenate(uvs).astype(np.float32),
        piece=np.repeat(np.arange(len(pieces)), [len(piece.vertices) for piece in pieces]).astype(
            np.int32
        ),
        piece_names=_unique_names([piece.name for piece in pieces]),
        triangle_material=np.clip(
            np.concatenate([piece.triangle_material for piece in pieces]), 0, len(materials) - 1
        ).astype(np.int32),
        materials=tuple(materials),
        shapes=shapes,
        warnings=tuple(dict.fromkeys(warnings)),
        metres=metres,
    )


def _unique_names(names: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        unique, number = name or "mesh", 2
        while unique in found:
            unique, number = f"{name or 'mesh'} {number}", number + 1
        found.append(unique)
    return tuple(found)


def _checked(piece: Piece, file_name: str) -> Piece:
    """The piece without triangles that have no area, or VividKeysError(bad_file)."""
    triangles = np.asarray(piece.triangles, np.int64).reshape(-1, 3)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(piece.vertices):
        raise damaged(file_name, "its faces point at vertices that do not exist")
    numbers = [piece.vertices, *piece.shapes.values()]
    if piece.uvs is not None:
        numbers.append(piece.uvs)
    if not all(
        np.isfinite(array).all() and np.abs(array).max(initial=0) < 1e9 for array in numbers
    ):
        raise damaged(file_name, "it holds numbers that are not finite")
    if any(offsets.shape != piece.vertices.shape for offsets in piece.shapes.values()):
        raise damaged(file_name, "a shape has another number of vertices than its mesh")
    a, b, c = triangles.T
    keep = (a != b) & (b != c) & (c != a)
    return Piece(
        piece.name,
        piece.vertices,
        triangles[keep],
        None if piece.uvs is None else np.asarray(piece.uvs)[keep],
        np.broadcast_to(piece.triangle_material, len(triangles))[keep],
        piece.shapes,
    )


def _welded(piece: Piece) -> Piece:
    """Vertices in the same place that move alike become one, the first of them."""
    if not len(piece.vertices) or not np.isfinite(piece.vertices).all():
        return piece
    # Three sums of the shapes with fixed odd weights tell apart what moves differently.
    signature = np.zeros((len(piece.vertices), 3))
    for number, offsets in enumerate(piece.shapes.values()):
        signature += offsets * (1.0 + 0.6180339887 * ((number * 7919) % 104729))
    keys = np.column_stack([piece.vertices, signature]).astype(np.float32) + np.float32(0.0)
    rows = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1] * 4))).ravel()
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    # In the file's order, not in that of the bytes.
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    kept = first[order]
    triangles = np.asarray(piece.triangles, np.int64)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(piece.vertices):
        return piece  # refused by the check that follows
    return Piece(
        piece.name,
        piece.vertices[kept],
        place[inverse.ravel()][triangles],
        piece.uvs,
        piece.triangle_material,
        {name: offsets[kept] for name, offsets in piece.shapes.items()},
    )


def fan(lengths: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Polygons of `lengths` corners, one after the other, cut into triangles.

    Returns the corners [F,3] (positions in the row of all corners) and the polygon [F] of each.
    """
    lengths = np.asarray(lengths, np.int64)
    starts = np.cumsum(lengths) - lengths
    cuts = np.maximum(lengths - 2, 0)
    polygon = np.repeat(np.arange(len(lengths)), cuts)
    step = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    first = starts[polygon]
    return np.stack([first, first + step + 1, first + step + 2], axis=1), polygon


def from_y_up(points: Floats) -> Floats:
    """+Y up and the face along +Z to ours, [...,3]."""
    return np.asarray(np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1))
