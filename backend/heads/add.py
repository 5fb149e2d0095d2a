# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an installable head from a file: reading, finding the landmarks, preparing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from backend.mesh_files import MeshFile, read_mesh
from backend.transfer.find_landmarks import find_landmarks
from backend.watch import Watch
from shared.character import MAX_PIECES, Character
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT
from shared.npz import load_npz
from shared.shape_names import channel_by_words

from . import ict
from .import_head import Story, build_head
from .on_surface import nearest_on_surface
from .stored_head import StoredHead


def made_head(
    path: Path, watch: Watch, landmarks: Path | None, licence: str, identity: bool
) -> StoredHead:
    """The head in a file or folder. Raises VividKeysError(bad_file, too_large)."""
    watch.stage(0.0, "Reading the mesh")
    if path.suffix.lower() == ".npz" and path.is_file() and ict.is_ict_npz(path):
        mesh = ict.read_ict_npz(path)
    else:
        mesh = read_mesh(path)
    story = Story(path.stem if path.is_file() else path.name, licence, identity)
    watch.stage(0.3, "Finding the face on it")
    corners, shares = _landmarks(mesh, landmarks, watch.part(0.3, 0.7))
    if ict.is_ict(mesh):
        story = Story(ict.TITLE, licence or ict.LICENCE, identity, skin="photo")
        mesh, kept = ict.prepared(mesh)
        place = np.full(ict.VERTICES, -1, np.int64)
        place[kept] = np.arange(len(kept))
        corners = place[corners]
        if corners.min() < 0:
            raise VividKeysError(ErrorKind.BAD_FILE, "The landmarks do not lie on the skin.")
    watch.stage(0.7, "Preparing the head")
    head = build_head(mesh, corners, shares, story)
    watch.stage(0.9, "Saving the head")
    return head


def _landmarks(
    mesh: MeshFile, file: Path | None, watch: Watch
) -> tuple[Int64[np.ndarray, "468 3"], Float64[np.ndarray, "468 3"]]:
    """The vertices and barycentric shares at which the landmarks lie."""
    vertices = mesh.vertices.astype(np.float64)
    if file is None:
        places = _searched(mesh, watch)
    else:
        arrays = load_npz(file, "a table of landmarks")
        if "barycentric" in arrays:
            corners = arrays.get("triangles", arrays.get("ict_triangles", np.zeros(0)))
            shares = _numbers(arrays["barycentric"], file)
            fits = corners.shape == shares.shape == (LANDMARK_COUNT, 3)
            fits = fits and corners.dtype.kind in "iu" and bool(np.isfinite(shares).all())
            if not fits or corners.min() < 0 or corners.max() >= len(vertices):
                raise _bad_landmarks(file)
            return corners.astype(np.int64), shares
        places = _numbers(arrays.get("landmarks", np.zeros(0)), file)
        if places.shape != (LANDMARK_COUNT, 3) or not np.isfinite(places).all():
            raise _bad_landmarks(file)
    return nearest_on_surface(places, vertices, mesh.triangles)


def _numbers(array: NDArray[Any], file: Path) -> Float64[np.ndarray, " ..."]:
    if array.dtype.kind not in "fiu":
        raise _bad_landmarks(file)
    return np.asarray(array, np.float64)


def _bad_landmarks(file: Path) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"'{file.name}' does not describe the {LANDMARK_COUNT} landmarks of this mesh.",
        "It needs `landmarks` [468,3], or `triangles` and `barycentric`, each [468,3].",
    )


def _searched(mesh: MeshFile, watch: Watch) -> Float64[np.ndarray, "468 3"]:
    """The landmarks detected on the mesh. Raises VividKeysError."""
    order = _pieces_by_motion(mesh)[:MAX_PIECES]
    place = np.full(len(mesh.piece_names), len(order) - 1, np.int32)
    place[order] = np.arange(len(order))
    character = Character(
        vertices=mesh.vertices,
        triangles=mesh.triangles,
        piece=place[mesh.piece],
        piece_names=tuple(mesh.piece_names[number] for number in order),
    )
    return np.asarray(find_landmarks(character, watch).places, np.float64)


def _pieces_by_motion(mesh: MeshFile) -> Int64[np.ndarray, " P"]:
    """The pieces, most moved by ARKit's shapes first: that one has the face."""
    moved = np.zeros(len(mesh.vertices))
    for name, offsets in mesh.shapes.items():
        if channel_by_words(name) is not None:
            moved += offsets.any(axis=1)
    count = np.bincount(mesh.piece, weights=moved, minlength=len(mesh.piece_names))
    return np.argsort(-count, kind="stable")
