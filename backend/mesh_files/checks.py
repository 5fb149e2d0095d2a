# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits for untrusted files, and the errors for files that exceed them or are damaged."""

from __future__ import annotations

from pathlib import Path

from shared.errors import ErrorKind, VividKeysError

MAX_FILE_BYTES = 1 << 30
MAX_VERTICES = 1_000_000
MAX_TRIANGLES = 2_000_000
MAX_SHAPES = 2000
# Vertices times shapes: half a gigabyte of offsets.
MAX_SHAPE_NUMBERS = 40_000_000
MAX_PICTURE_SIDE = 8192
MAX_PICTURES = 24


def damaged(file_name: str, why: str) -> VividKeysError:
    """The error for a file that cannot be used; `why` is the rest of its sentence."""
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"The mesh file '{file_name}' cannot be used: {why}.",
        "Export it again as GLB, FBX (binary) or OBJ, or choose another file.",
    )


def too_large(file_name: str, how_much: str) -> VividKeysError:
    """The error for a file with too much of something; `how_much` says what it has."""
    return VividKeysError(
        ErrorKind.TOO_LARGE,
        f"The mesh file '{file_name}' is too large: it has {how_much}.",
        "Export the head alone, without subdivision.",
    )


def read_bytes(path: Path) -> bytes:
    """The contents of a file of reasonable size. Raises VividKeysError(bad_file, too_large)."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise too_large(path.name, f"{size / (1 << 20):,.0f} MiB")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"There is no file '{path.name}'.", "Check the path."
        ) from error
    except OSError as error:
        raise damaged(path.name, f"it cannot be read ({error.strerror or error})") from error
