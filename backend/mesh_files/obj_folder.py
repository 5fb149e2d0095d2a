# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of OBJ files: the neutral mesh, and one file for every shape.

ICT-FaceKit is published in this form, and sculptors often deliver blend shapes in it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from .checks import MAX_SHAPE_NUMBERS, MAX_SHAPES, damaged, too_large
from .mesh_file import MeshFile, from_y_up
from .obj import read_obj_in_order, read_positions

# Names of a neutral mesh, in order of preference.
NEUTRAL_NAMES = ("generic_neutral_mesh", "neutral", "basis", "base", "rest", "default")


def read_folder(folder: Path) -> MeshFile:
    """The neutral mesh of a folder, with the other files' differences from it as shapes.

    A file with a different number of vertices is left out with a warning.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".obj")
    if not files:
        raise damaged(folder.name, "there is no OBJ file in this folder")
    if len(files) > MAX_SHAPES:
        raise too_large(folder.name, f"{len(files):,} files")
    neutral_path = _neutral(files, folder.name)
    # Shapes use the order of the vertices in the file, not that of the objects.
    neutral, order = read_obj_in_order(neutral_path)
    positions = read_positions(neutral_path)
    if len(positions) * len(files) > MAX_SHAPE_NUMBERS:
        raise too_large(folder.name, f"{len(files):,} shapes of {len(positions):,} vertices")
    shapes: dict[str, Float32[np.ndarray, "V 3"]] = {}
    warnings = list(neutral.warnings)
    for path in files:
        if path == neutral_path:
            continue
        moved = read_positions(path)
        if moved.shape != positions.shape:
            warnings.append(
                f"'{path.name}' has {len(moved):,} vertices and the neutral mesh "
                f"{len(positions):,}; it was left out."
            )
        elif not np.isfinite(moved).all() or np.abs(moved).max() > 1e9:
            warnings.append(f"'{path.name}' contains numbers that are not finite; it was left out.")
        else:
            shapes[path.stem] = from_y_up(moved - positions)[order].astype(np.float32)
    return dataclasses.replace(neutral, shapes=shapes, warnings=tuple(warnings))


def _neutral(files: list[Path], folder_name: str) -> Path:
    for name in NEUTRAL_NAMES:
        for path in files:
            if path.stem.lower() == name:
                return path
    for name in NEUTRAL_NAMES[1:]:
        found = [path for path in files if name in path.stem.lower()]
        if len(found) == 1:
            return found[0]
    if len(files) == 1:
        return files[0]
    raise damaged(folder_name, "no file in it is called 'neutral.obj'")
