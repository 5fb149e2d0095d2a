# SPDX-License-Identifier: GPL-3.0-or-later
"""`evaluate faces`: the muscle table against a reference head, and faces from photos.

For photos: how many give a face, how well it fits them, whether a smile gives the same person's
face, and how robust it is against a turned head.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from backend.evaluation.identity_fit import identity_figures, identity_tables
from backend.evaluation.transfer import transfer_rows, transfer_tables
from backend.face import reconstruct
from backend.face.measure import ShapeError, measure_against_reference
from shared.errors import ErrorKind, VividKeysError

REFERENCE = Path("heads") / "arkit52_on_landmarks468.npz"
PHOTOS = (Path("faces/london/neutral"), Path("faces/london/smiling"), Path("faces/portraits_cc0"))


@dataclass(frozen=True)
class PhotoFigures:
    """How many photos of a folder gave a face, and the median time of one in seconds."""

    folder: str
    tried: int
    fitted: int
    median_seconds: float


def photo_figures(folder: Path, most: int) -> PhotoFigures:
    """Reconstruct up to `most` photos, evenly chosen, from a folder."""
    photos = sorted(folder.glob("*.jpg"))
    chosen = photos[:: max(1, -(-len(photos) // most))] if most else photos
    times = []
    for photo in track(chosen, folder.name, console=Console(stderr=True), transient=True):
        start = time.perf_counter()
        try:
            reconstruct(photo)
        except VividKeysError as error:
            Console(stderr=True).print(f"{photo.name}: {error.kind}: {error}")
        else:
            times.append(time.perf_counter() - start)
    median = float(np.median(times)) if times else float("nan")
    return PhotoFigures(str(folder), len(chosen), len(times), median)


def run(data: Path, most: int, as_json: bool) -> int:
    """Print the tables. Raises VividKeysError(bad_file) where `data` lacks the reference."""
    if not (data / REFERENCE).is_file():
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"There is no '{REFERENCE}' in '{data}'.",
            "Name the folder that holds heads/ and faces/ with --data.",
        )
    shapes = measure_against_reference(data / REFERENCE)
    photos = [photo_figures(data / part, most) for part in PHOTOS if (data / part).is_dir()]
    identity = identity_figures(data, most)
    heads, transfers = transfer_rows(data)
    if as_json:
        figures = {
            "shapes": list(map(asdict, shapes)),
            "photos": list(map(asdict, photos)),
            "identity": asdict(identity),
            "transfer_heads": list(map(asdict, heads)),
            "transfer_shapes": list(map(asdict, transfers)),
        }
        print(json.dumps(figures))
        return 0
    console = Console()
    console.print(_shape_table(shapes))
    table = Table("photos", "tried", "with a face", "median time", title="Photos")
    for row in photos:
        share = f"{row.fitted} ({100 * row.fitted / max(row.tried, 1):.1f} %)"
        table.add_row(row.folder, str(row.tried), share, f"{row.median_seconds:.2f} s")
    console.print(table)
    for more in (*identity_tables(identity), *transfer_tables(heads, transfers)):
        console.print(more)
    return 0


def _shape_table(shapes: tuple[ShapeError, ...]) -> Table:
    title = "Muscle table against the reference (rms in % of the shape's largest motion)"
    table = Table("shape", "rms %", "direction °", "size ratio", "largest mm", title=title)
    for shape in sorted(shapes, key=lambda item: item.rms):
        table.add_row(
            shape.name,
            f"{100 * shape.rms:.1f}",
            f"{shape.direction:.1f}",
            f"{shape.size:.2f}",
            f"{shape.largest:.1f}",
        )
    table.add_section()
    table.add_row(
        "mean",
        f"{100 * np.mean([shape.rms for shape in shapes]):.1f}",
        f"{np.mean([shape.direction for shape in shapes]):.1f}",
    )
    table.add_row("worst", f"{100 * max(s.rms for s in shapes):.1f}")
    return table
