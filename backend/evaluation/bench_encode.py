# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to write the frames of a video, apart from rendering them.

`python -m backend.evaluation.bench_encode` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from backend.media.pictures import open_picture
from backend.samples import PORTRAIT, SPEECH

from .bench_row import Row, json_of

SIDES = (256, 512)
FRAMES = 100


def bench_encode() -> Iterator[Row]:
    """Milliseconds per frame of each kind of file, in a process of its own."""
    figures = json_of(sys.executable, "-m", "backend.evaluation.bench_encode")
    for what, milliseconds in figures.items():
        yield Row(f"writing a frame, {what}", milliseconds, "ms")


def moving_photo(side: int, count: int, alpha: bool) -> list[UInt8[np.ndarray, "H W C"]]:
    """Square frames of the sample portrait, its middle moving slightly as heads do."""
    with open_picture(PORTRAIT.read_bytes()) as image:
        photo = image.convert("RGBA" if alpha else "RGB").resize((side, side))
    frames = []
    for frame in range(count):
        angle = 2.0 * np.sin(frame / 8)
        turned = photo.rotate(angle, Image.Resampling.BILINEAR, center=(side / 2, side))
        picture = np.asarray(photo).copy()
        edge = side // 8
        picture[edge:, edge:-edge] = np.asarray(turned)[edge:, edge:-edge]
        frames.append(picture)
    return frames


def measure() -> dict[str, float]:
    """Milliseconds of wall time per frame, sound included, by kind of file and side."""
    from backend.mesh_to_video.film.encode import open_writer
    from backend.mesh_to_video.film.movie_writer import MovieForm

    figures = {}
    for side in SIDES:
        for name, out, alpha in (
            ("H.264", "film.mp4", False),
            ("ProRes 4444 with alpha", "film.mov", True),
            ("PNG with alpha", "shot.png", True),
        ):
            frames = moving_photo(side, FRAMES, alpha)
            form = MovieForm(side, side, Fraction(25), FRAMES, alpha)
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                with open_writer(Path(folder) / out, form, SPEECH, cut_on_purpose=True) as writer:
                    for frame in frames:
                        writer.write(frame)
                elapsed = time.perf_counter() - start
            figures[f"{name}, {side} pixels"] = 1e3 * elapsed / FRAMES
    return figures


if __name__ == "__main__":
    print(json.dumps(measure()))
