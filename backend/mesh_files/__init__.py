# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes with shapes from files of other programs: OBJ, folders of OBJs, glTF, FBX, npz."""

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

    Whatever is wrong with it is a VividKeysError(bad_file, too_large) with a sentence.
    """
    path = Path(path)
    reader = _reader(path)
    try:
        # Numbers out of range are found by the checks, which say so in a sentence.
        with np.errstate(over="ignore", invalid="ignore"):
            return reader(path)
    except VividKeysError:
        raise
    except MemoryError as error:
        raise VividKeysError(
            ErrorKind.TOO_LARGE,
            f"There is too little memory for the mesh file '{path.name}'.",
            "Export the head alone, without subdivision.",
        ) from error
    except Exception as error:
        # Every check has its own sentence; this is for damage that none of them names, and that
        # Python's parsers, numpy and zlib each call by another name.
        raise damaged(path.name, "it is damaged") from error


def _reader(path: Path) -> Callable[[Path], MeshFile]:
    """The function that reads such a file; its library is imported with the first use."""
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
        f"'{path.name}' is no mesh file that VividKeys reads.",
        "Choose a file that ends in .glb, .gltf, .vrm, .fbx, .obj or .npz, or a folder of OBJ "
        "files.",
    )
