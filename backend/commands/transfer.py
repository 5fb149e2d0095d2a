# SPDX-License-Identifier: GPL-3.0-or-later
"""`transfer`: makes the 52 keys for the mesh of a head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from backend.commands.progress import progress_bar
from shared.character import Character, save_keys


@dataclass(frozen=True)
class Transfer:
    """Make the 52 ARKit shapes for the mesh of a character that has none."""

    mesh: tyro.conf.Positional[Path]
    """The mesh: .obj, .glb, .gltf, .fbx, or an .npz with vertices [V,3] (+Z up), triangles [F,3]
    and, if there are several pieces, piece [V]."""
    out: Path
    """The keys to write, for instance keys.npz."""
    style: Literal["auto", "human", "stylised"] = "auto"
    """What kind of face it is; auto decides by its proportions."""
    surface_only: bool = False
    """Also make keys for a face whose mouth cannot open."""
    shapes_of: str = ""
    """An installed head whose shapes the keys take (see `heads list`)."""

    def run(self) -> int:
        from backend.heads import shapes_of_head
        from backend.transfer.make_keys import make_keys

        character = read_character(self.mesh)
        with progress_bar("Looking for the face") as watch:
            keys = make_keys(
                character,
                style=self.style,
                surface_only=self.surface_only,
                source=shapes_of_head(self.shapes_of),
                watch=watch,
            )
        for warning in keys.meta["warnings"]:
            print(f"note: {warning}")
        save_keys(keys, self.out)
        print(f"{len(keys.rows)} of {len(character.vertices)} vertices move, 52 shapes")
        print(f"wrote {self.out}")
        return 0


def read_character(path: Path) -> Character:
    """The character in a mesh file. Raises VividKeysError(bad_file, bad_array, too_large)."""
    from backend.mesh_files import read_mesh

    mesh = read_mesh(path)
    return Character(mesh.vertices, mesh.triangles, mesh.piece, mesh.piece_names)
