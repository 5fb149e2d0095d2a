# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes as arrays in an .npz, in our axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.npz import load_npz

from .checks import MAX_SHAPE_NUMBERS, MAX_VERTICES, damaged, too_large
from .mesh_file import Material, MeshFile, Piece, join


def read_npz(path: Path) -> MeshFile:
    """An .npz with `vertices` [V,3] and `triangles` [F,3]: metres, +Z up, the face along -Y.

    `names` [S] and `deltas` [S,V,3], if present, are its shapes.
    """
    arrays = load_npz(path, "a mesh")
    if "vertices" not in arrays or "triangles" not in arrays:
        raise damaged(path.name, "it lacks the array 'vertices' or 'triangles'")
    vertices, triangles = arrays["vertices"], arrays["triangles"]
    for array, kinds in ((vertices, "fiu"), (triangles, "iu")):
        if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in kinds:
            raise damaged(path.name, "its vertices and triangles are not rows of three numbers")
    if len(vertices) > MAX_VERTICES:
        raise too_large(path.name, f"{len(vertices):,} vertices")
    shapes = {}
    names, deltas = arrays.get("names"), arrays.get("deltas")
    if (
        names is not None
        and deltas is not None
        and names.ndim == 1
        and deltas.shape == (len(names), *vertices.shape)
        and deltas.dtype.kind in "fiu"
    ):
        if len(names) * len(vertices) > MAX_SHAPE_NUMBERS:
            raise too_large(path.name, f"{len(names):,} shapes of {len(vertices):,} vertices")
        shapes = {str(n): d.astype(np.float64) for n, d in zip(names, deltas, strict=True)}
    piece = Piece("mesh", vertices.astype(np.float64), triangles, None, np.zeros(1, int), shapes)
    return join([piece], [Material("mesh")], path.name, [], metres=True)
