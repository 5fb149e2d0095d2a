# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads meshes with shapes from other programs' files: OBJ, folders of OBJs, glTF, FBX, npz."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from shared.errors import ErrorKind, VividKeysError

from .checks import damaged
from .mesh_file import Material, MeshFile

__all__ = ["SUFFIXES", "Material", "MeshFile", "read_mesh"]

SUFFIXES = (".glb", ".gltf", ".vrm", ".fbx", ".obj", ".npz")


def read_mesh(path: Path) -> MeshFile:
    """The mesh in a file, or in a folder of OBJ files with one shape each.

    Raises VividKeysError(bad_file, too_large), whatever is wrong with the file.
    """
    path = Path(path)
    reader = _reader(path)
    try:
        # Numbers out of range are caught by the checks, which report them properly.
        with np.errstate(over="ignore", invalid="ignore"):
            return reader(path)
    except VividKeysError:
        raise
    except MemoryError as error:
        raise VividKeysError(
            ErrorKind.TOO_LARGE,
            f"There is not enough memory for the mesh file '{path.name}'.",
            "Export the head alone, without subdivision.",
        ) from error
    except Exception as error:
        # Every check raises its own sentence; this is for damage that none of them covers, and
        # for which Python's parsers, numpy and zlib raise all kinds of exceptions.
        raise damaged(path.name, "it is damaged") from error


def _reader(path: Path) -> Callable[[Path], MeshFile]:
    """The function that reads such a file; its module is imported on first use."""
    if path.is_dir():
        from .obj_folder import read_folder

        return read_folder
    suffix = path.suffix.lower()
    if suffix in (".glb", ".gltf", ".vrm"):
        from .gltf import read_gltf

        return read_gltf
    if suffix == ".fbx":
        from .fbx import read_fbx

        return read_fbx
    if suffix == ".obj":
        from .obj import read_obj

        return read_obj
    if suffix == ".npz":
        from .plain import read_npz

        return read_npz
    raise VividKeysError(
        ErrorKind.BAD_FILE,
        f"'{path.name}' is not a mesh file that VividKeys can read.",
        "Choose a file that ends in .glb, .gltf, .vrm, .fbx, .obj or .npz, or a folder of OBJ "
        "files.",
    )
