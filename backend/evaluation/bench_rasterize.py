# SPDX-License-Identifier: GPL-3.0-or-later
"""How long one picture of our own head takes with every rasteriser that is installed.

`python -m backend.evaluation.bench_rasterize numba 256` prints JSON with the seconds of the first
picture, of the best and of the median one, on one thread.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int32

from .bench_row import Row, json_of

SIDES = (256, 512)
# Milliseconds that a picture may take on one core, where there is a limit.
LIMITS = {("numba", 256): 5.0, ("numba", 512): 12.0}
# On a CPU PyTorch3D tests every triangle on every pixel: seconds for one picture.
RUNS = {"numba": 50, "torch": 10, "pytorch3d": 1}


def bench_rasterize() -> Iterator[Row]:
    """One picture, warm, by each backend in its own process."""
    from backend.rasterize import BACKENDS, available

    for backend in BACKENDS:
        if backend not in available():
            print(f"{backend} is not installed: its rows are left out", file=sys.stderr)
            continue
        for side in SIDES:
            figures = json_of(
                sys.executable, "-m", "backend.evaluation.bench_rasterize", backend, str(side)
            )
            name = f"head of {figures['triangles']:,.0f} triangles at {side}: {backend}"
            yield Row(name, figures["median"] * 1e3, "ms", LIMITS.get((backend, side), 0.0))


def head_in_picture(side: int) -> tuple[Float32[np.ndarray, "V 3"], Int32[np.ndarray, "F 3"]]:
    """Our own head from the front, as large as fits in a picture of `side` pixels."""
    from backend.face import template_face

    face = template_face()
    points = np.stack([face.vertices[:, 0], -face.vertices[:, 2], face.vertices[:, 1]], axis=1)
    points -= points.min(axis=0)
    points *= side / points[:, :2].max()
    points[:, 0] += (side - points[:, 0].max()) / 2
    return points.astype(np.float32), face.triangles.astype(np.int32)


def _main(backend: str, side: int) -> None:
    import torch

    from backend.rasterize import rasterize

    torch.set_num_threads(1)
    vertices, triangles = head_in_picture(side)
    seconds = []
    for _ in range(RUNS[backend] + 1):
        start = time.perf_counter()
        rasterize(vertices, triangles, (side, side), backend)
        seconds.append(time.perf_counter() - start)
    first, *warm = seconds
    figures = {
        "triangles": len(triangles),
        "first": first,
        "best": min(warm),
        "median": statistics.median(warm),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
