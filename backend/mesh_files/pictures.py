# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of materials, read without trusting them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .checks import MAX_PICTURE_SIDE

Pixels = NDArray[np.uint8]

# Larger ones are halved on reading: the atlas that they go into is not larger.
MOST_PIXELS_KEPT = 4096


def decode(data: bytes, name: str, warnings: list[str]) -> Pixels | None:
    """A picture's bytes as uint8 [H,W,3]; None with a warning when it is none."""
    from backend.media.pictures import TEXTURE_FORMATS, open_picture

    try:
        with open_picture(data, TEXTURE_FORMATS) as picture:
            if max(picture.size) > MAX_PICTURE_SIDE:
                raise ValueError("too large")
            if max(picture.size) > MOST_PIXELS_KEPT:
                picture.thumbnail((MOST_PIXELS_KEPT, MOST_PIXELS_KEPT))
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"), np.uint8))
    except Exception:  # Pillow raises what its many readers raise
        warnings.append(f"The picture '{name}' could not be read; its colour is used instead.")
        return None


def beside(folder: Path, reference: str) -> Path | None:
    """The file that a mesh file names, if it lies in the same folder or below it.

    Programs write absolute paths of the machine they ran on, so the bare name is tried too.
    """
    reference = reference.strip().strip('"').replace("\\", "/")
    root = folder.resolve()
    for candidate in (reference, reference.rsplit("/", 1)[-1]):
        try:
            path = (root / candidate).resolve()
            if candidate and path.is_relative_to(root) and path.is_file():
                return path
        except (OSError, ValueError):
            continue
    return None


def load_beside(folder: Path, reference: str, warnings: list[str]) -> Pixels | None:
    """The picture that a mesh file names; None with a warning when it is not there."""
    from .checks import read_bytes

    name = reference.replace("\\", "/").rsplit("/", 1)[-1][:80]
    path = beside(folder, reference)
    if path is None:
        warnings.append(f"The picture '{name}' is not beside the mesh file.")
        return None
    return decode(read_bytes(path), name, warnings)
