# SPDX-License-Identifier: GPL-3.0-or-later
"""MeshFile: the contents of a mesh file in our axes; and the pieces it is joined from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64, Integer, UInt8

from .checks import MAX_SHAPE_NUMBERS, MAX_SHAPES, MAX_TRIANGLES, MAX_VERTICES, damaged, too_large

GREY = (0.8, 0.8, 0.8)


@dataclass(frozen=True, eq=False)
class Material:
    """A material: its sRGB colour (0..1), and its picture, which replaces the colour."""

    name: str
    colour: tuple[float, float, float] = GREY
    picture: UInt8[np.ndarray, "H W 3"] | None = None


@dataclass(frozen=True, eq=False)
class MeshFile:
    """A mesh from a file: +Z up, the face along -Y if the file follows its format's convention.

    vertices           in metres if the format defines the unit, else in the file's unit
    uvs                of the triangles' corners, v upwards; zeros if there are none
    piece              index into `piece_names`: the objects of the file
    triangle_material  index into `materials`
    shapes             offsets by name, in the file's order
    warnings           sentences on what could not be read
    metres             whether the unit is known
    """

    vertices: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "F 3 2"]
    piece: Int32[np.ndarray, " V"]
    piece_names: tuple[str, ...]
    triangle_material: Int32[np.ndarray, " F"]
    materials: tuple[Material, ...]
    shapes: dict[str, Float32[np.ndarray, "V 3"]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metres: bool = False


@dataclass(frozen=True, eq=False)
class Piece:
    """One object of a file; one material number may stand for all its triangles."""

    name: str
    vertices: Float64[np.ndarray, "V 3"]
    triangles: Integer[np.ndarray, "F 3"]
    uvs: Float64[np.ndarray, "F 3 2"] | None
    triangle_material: Integer[np.ndarray, "#F"]
    shapes: Mapping[str, Float[np.ndarray, "V 3"]] = field(default_factory=dict)


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

    `weld` merges vertices that the format splits where texture coordinates differ.
    """
    pieces = [_checked(_welded(piece) if weld else piece, file_name) for piece in pieces]
    pieces = [piece for piece in pieces if len(piece.triangles)]
    if not pieces:
        raise damaged(file_name, "it contains no surface")
    count = sum(len(piece.vertices) for piece in pieces)
    names = list(dict.fromkeys(name for piece in pieces for name in piece.shapes))
    if count > MAX_VERTICES or sum(len(piece.triangles) for piece in pieces) > MAX_TRIANGLES:
        raise too_large(file_name, f"{count:,} vertices")
    if len(names) > MAX_SHAPES or count * len(names) > MAX_SHAPE_NUMBERS:
        raise too_large(file_name, f"{len(names):,} shapes of {count:,} vertices")
    materials = materials or [Material("material")]
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    shapes: dict[str, Float32[np.ndarray, "V 3"]] = {}
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
    """The piece without triangles that repeat a vertex. Raises VividKeysError(bad_file)."""
    triangles = np.asarray(piece.triangles, np.int64).reshape(-1, 3)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(piece.vertices):
        raise damaged(file_name, "its faces refer to vertices that do not exist")
    numbers = [piece.vertices, *piece.shapes.values()]
    if piece.uvs is not None:
        numbers.append(piece.uvs)
    if not all(
        np.isfinite(array).all() and np.abs(array).max(initial=0) < 1e9 for array in numbers
    ):
        raise damaged(file_name, "it contains numbers that are not finite")
    if any(offsets.shape != piece.vertices.shape for offsets in piece.shapes.values()):
        raise damaged(file_name, "a shape and its mesh have different numbers of vertices")
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
    """The piece with vertices merged that have the same position and the same motion."""
    if not len(piece.vertices) or not np.isfinite(piece.vertices).all():
        return piece
    # Weighted sums of all shapes, with fixed irregular weights, tell apart different motions.
    signature = np.zeros((len(piece.vertices), 3))
    for number, offsets in enumerate(piece.shapes.values()):
        signature += offsets * (1.0 + 0.6180339887 * ((number * 7919) % 104729))
    keys = np.column_stack([piece.vertices, signature]).astype(np.float32) + np.float32(0.0)
    rows = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1] * 4))).ravel()
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    # In the file's order, not that of the sorted bytes.
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    kept = first[order]
    triangles = np.asarray(piece.triangles, np.int64)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(piece.vertices):
        return piece  # the check that follows refuses it
    return Piece(
        piece.name,
        piece.vertices[kept],
        place[inverse.ravel()][triangles],
        piece.uvs,
        piece.triangle_material,
        {name: offsets[kept] for name, offsets in piece.shapes.items()},
    )


def fan(
    lengths: Integer[np.ndarray, " P"],
) -> tuple[Int64[np.ndarray, "F 3"], Int64[np.ndarray, " F"]]:
    """Consecutive polygons of `lengths` corners, cut into triangles.

    Returns the triangles' corners (indices into all polygons' corners) and their polygons.
    """
    lengths = np.asarray(lengths, np.int64)
    starts = np.cumsum(lengths) - lengths
    cuts = np.maximum(lengths - 2, 0)
    polygon = np.repeat(np.arange(len(lengths)), cuts)
    step = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    first = starts[polygon]
    return np.stack([first, first + step + 1, first + step + 2], axis=1), polygon


def from_y_up(points: Float64[np.ndarray, "*batch 3"]) -> Float64[np.ndarray, "*batch 3"]:
    """Points converted to our axes from +Y up and the face along +Z."""
    return np.asarray(np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1))
