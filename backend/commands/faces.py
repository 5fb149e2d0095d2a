# SPDX-License-Identifier: GPL-3.0-or-later
"""`faces sheet`: a picture of all shapes of a face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class Faces:
    """Look at a face and its shapes without Blender."""

    what: tyro.conf.Positional[Literal["sheet"]]
    """sheet: the 52 shapes, and the combinations that speech needs, in one picture."""
    out: Path
    """The picture to write, for instance sheet.png."""
    image: Path | None = None
    """A photo; without it the average face is drawn."""

    def run(self) -> int:
        from backend.face import reconstruct, template_face
        from backend.face.contact_sheet import save_sheet

        face = template_face() if self.image is None else reconstruct(self.image)
        save_sheet(face, self.out)
        print(f"wrote {self.out}")
        return 0
