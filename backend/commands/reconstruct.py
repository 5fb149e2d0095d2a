# SPDX-License-Identifier: GPL-3.0-or-later
"""`reconstruct`: a photo becomes a face mesh with 52 shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from backend.commands.progress import progress_bar
from shared.face import save_face


@dataclass(frozen=True)
class Reconstruct:
    """Turn one photo of a face into a textured mesh with the 52 ARKit shapes."""

    image: tyro.conf.Positional[Path]
    """A photo of the face, from the front if possible. Ask the person for consent."""
    out: Path
    """The face to write, for instance face.npz."""
    head: str = ""
    """One of the installed heads (see `heads list`); default: VividKeys' own."""

    def run(self) -> int:
        from backend.heads import head_from_photo

        with progress_bar("Looking for the face") as watch:
            face = head_from_photo(self.head, self.image, watch)
        for warning in face.meta.get("warnings", []):
            print(f"note: {warning}")
        save_face(face, self.out)
        print(f"{len(face.vertices)} vertices, {len(face.triangles)} triangles, 52 shapes")
        print(f"wrote {self.out}")
        return 0
