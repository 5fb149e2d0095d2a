# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads untrusted pictures of materials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from .checks import MAX_PICTURE_SIDE

# Larger ones are reduced on reading, because the atlas for them is not larger either.
MOST_PIXELS_KEPT = 4096


def decode(data: bytes, name: str, warnings: list[str]) -> UInt8[np.ndarray, "H W 3"] | None:
    """A picture from its bytes; None, with a warning, if it cannot be read."""
    from backend.media.pictures import TEXTURE_FORMATS, open_picture

    try:
        with open_picture(data, TEXTURE_FORMATS) as picture:
            if max(picture.size) > MAX_PICTURE_SIDE:
                raise ValueError("too large")
            if max(picture.size) > MOST_PIXELS_KEPT:
                picture.thumbnail((MOST_PIXELS_KEPT, MOST_PIXELS_KEPT))
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"), np.uint8))
    except Exception:  # Pillow passes on whatever its many readers raise
        warnings.append(f"The picture '{name}' could not be read; the material's colour is used.")
        return None


def beside(folder: Path, reference: str) -> Path | None:
    """The file that a mesh file refers to, if it is in the same folder or below it.

    Some programs write absolute paths of the machine they ran on, so the bare name is tried too.
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


def load_beside(
    folder: Path, reference: str, warnings: list[str]
) -> UInt8[np.ndarray, "H W 3"] | None:
    """The picture that a mesh file refers to; None, with a warning, if it is not there."""
    from .checks import read_bytes

    name = reference.replace("\\", "/").rsplit("/", 1)[-1][:80]
    path = beside(folder, reference)
    if path is None:
        warnings.append(f"The picture '{name}' was not found next to the mesh file.")
        return None
    return decode(read_bytes(path), name, warnings)
