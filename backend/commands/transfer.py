# SPDX-License-Identifier: GPL-3.0-or-later
"""`transfer`: a mesh of a head becomes a set of the 52 keys for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from backend.commands.progress import progress_bar
from shared.arrays import load_npz, save_npz
from shared.character import Character, keys_to_arrays
from shared.errors import ErrorKind, VividKeysError


@dataclass(frozen=True)
class Transfer:
    """Make the 52 ARKit shapes for the mesh of a character that has none."""

    mesh: tyro.conf.Positional[Path]
    """The mesh, +Z up: an .npz with vertices [V,3], triangles [F,3] and, if there are several
    pieces, piece [V]."""
    out: Path
    """The keys to write, for instance keys.npz."""
    style: Literal["auto", "human", "stylised"] = "auto"
    """What the face is; auto tells by its proportions."""
    surface_only: bool = False
    """Make keys also for a face whose mouth cannot open."""

    def run(self) -> int:
        from backend.transfer.make_keys import make_keys

        character = read_character(self.mesh)
        with progress_bar("Looking for the face") as report:
            keys = make_keys(
                character, style=self.style, surface_only=self.surface_only, progress=report
            )
        for warning in keys.meta["warnings"]:
            print(f"note: {warning}")
        save_npz(self.out, keys_to_arrays(keys))
        print(f"{len(keys.rows)} of {len(character.vertices)} vertices move, 52 shapes")
        print(f"wrote {self.out}")
        return 0


def read_character(path: Path) -> Character:
    """The character in a file. Raises VividKeysError(bad_file, bad_array, too_large)."""
    if path.suffix.lower() != ".npz":
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is of a kind that cannot be read here.",
            "Use an .npz with vertices and triangles, or make the keys in Blender.",
        )
    arrays = load_npz(path, "a mesh")
    missing = sorted({"vertices", "triangles"} - set(arrays))
    if missing:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"'{path.name}' lacks {' and '.join(missing)}.", "Export it again."
        )
    vertices = arrays["vertices"]
    piece = arrays.get("piece", np.zeros(len(vertices), np.int32))
    count = int(piece.max(initial=0)) + 1 if piece.dtype.kind in "iu" and piece.ndim == 1 else 1
    names = ("face", *(f"piece {number}" for number in range(1, count)))
    return Character(vertices, arrays["triangles"], piece, names)
