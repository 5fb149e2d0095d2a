# SPDX-License-Identifier: GPL-3.0-or-later
"""How long making keys takes on fine meshes, and how much memory; one mesh per process.

`python -m backend.evaluation.bench_transfer 20000` prints JSON with seconds, CPU
seconds and peak memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import numpy as np
import psutil

from shared.character import Character

from .bench_row import Row, json_of

# Vertices, and the limits for them: seconds and MB.
SIZES = ((20_000, 15.0, 3000.0), (100_000, 90.0, 3000.0))


def bench_transfer() -> Iterator[Row]:
    """Time and memory for our own head, subdivided."""
    for vertices, seconds, memory in SIZES:
        figures = json_of(sys.executable, "-m", "backend.evaluation.bench_transfer", str(vertices))
        name = f"keys for a mesh of {figures['vertices']:,.0f} vertices"
        yield Row(name, figures["seconds"], "s", seconds)
        yield Row("  peak memory of that process", figures["peak_memory"] / 1e6, "MB", memory)


def subdivided_head(count: int) -> Character:
    """Our own head, subdivided until it has `count` vertices.

    Every triangle is split into four for as long as that is not too many, then some into three.
    """
    from backend.face import template_face

    face = template_face()
    vertices, triangles = face.vertices.astype(np.float64), face.triangles.astype(np.int64)
    while True:
        sides = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        edges, index = np.unique(sides, axis=0, return_inverse=True)
        if len(vertices) + len(edges) > count:
            break
        middle = len(vertices) + index.reshape(-1, 3)
        vertices = np.concatenate([vertices, vertices[edges].mean(axis=1)])
        a, b, c = triangles.T
        ab, bc, ca = middle.T
        quarters = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
        triangles = np.concatenate([np.stack(corners, axis=1) for corners in quarters])
    more = min(max(count - len(vertices), 0), len(triangles))
    a, b, c = triangles[:more].T
    centre = len(vertices) + np.arange(more)
    vertices = np.concatenate([vertices, vertices[triangles[:more]].mean(axis=1)])
    ways = ((a, b, centre), (b, c, centre), (c, a, centre))
    thirds = [np.stack(corners, axis=1) for corners in ways]
    triangles = np.concatenate([triangles[more:], *thirds])
    return Character(
        vertices.astype(np.float32),
        triangles.astype(np.int32),
        np.zeros(len(vertices), np.int32),
        ("head",),
    )


def _measure(count: int) -> dict[str, float]:
    from backend.transfer.make_keys import make_keys

    character = subdivided_head(count)
    start, worked = time.perf_counter(), time.process_time()
    make_keys(character)
    seconds, cpu = time.perf_counter() - start, time.process_time() - worked
    memory = psutil.Process().memory_info()
    try:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak = peak if sys.platform == "darwin" else peak * 1024
    except ImportError:
        peak = int(getattr(memory, "peak_wset", memory.rss))
    return {
        "vertices": len(character.vertices),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_memory": float(peak),
    }


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
