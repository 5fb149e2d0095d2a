# SPDX-License-Identifier: GPL-3.0-or-later
"""`heads`: lists, adds and removes heads beside VividKeys' own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from backend.commands.progress import progress_bar


@dataclass(frozen=True)
class ListHeads:
    """Show the heads that `reconstruct --head NAME` can use."""

    def run(self) -> int:
        from backend.heads import installed_heads

        for head in installed_heads():
            count = f"{head.vertices:,} vertices" if head.vertices else "made for each photo"
            licence = f", {head.licence}" if head.licence else ""
            print(f"{head.name:<20} {head.title}: {count}{licence}")
        return 0


@dataclass(frozen=True)
class AddHead:
    """Install a head: a GLB, FBX or OBJ with ARKit's shapes, or ICT-FaceKit's folder."""

    path: tyro.conf.Positional[Path]
    """The mesh file, or a folder with one OBJ file per shape."""
    name: str | None = None
    """The head's name; default: the file's name."""
    landmarks: Path | None = None
    """An .npz with the positions of the 468 landmarks; default: they are found automatically."""
    licence: str = ""
    """The terms under which it may be used; shown in the list."""
    identity: bool = False
    """Adapt the head slightly to each photo's face, even if it has no identity modes."""

    def run(self) -> int:
        from backend.heads import add_head

        with progress_bar("Reading the mesh") as watch:
            head = add_head(
                self.path, self.name, watch, landmarks=self.landmarks,
                licence=self.licence, identity=self.identity,
            )  # fmt: skip
        for warning in head.warnings:
            print(f"note: {warning}")
        print(f"'{head.name}' is installed: {head.title}, {head.vertices:,} vertices")
        return 0


@dataclass(frozen=True)
class RemoveHead:
    """Delete an installed head."""

    name: tyro.conf.Positional[str]
    """The head's name in the list."""

    def run(self) -> int:
        from backend.heads import remove_head

        remove_head(self.name)
        print(f"'{self.name}' was removed")
        return 0


@dataclass(frozen=True)
class Heads:
    """List, add and remove heads that a photo can be put onto."""

    action: (
        Annotated[ListHeads, tyro.conf.subcommand("list")]
        | Annotated[AddHead, tyro.conf.subcommand("add")]
        | Annotated[RemoveHead, tyro.conf.subcommand("remove")]
    )

    def run(self) -> int:
        return self.action.run()
