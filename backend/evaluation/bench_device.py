# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames per second at 512 pixels on every CUDA device; none of the figures is a test.

`python -m backend.evaluation.bench_device cuda:0` prints JSON: frames rendered per second (without
writing the file), the time of the first batch, and the device's peak memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np

from .bench_row import Row, json_of

SIZE = 512
# Frames per second that a data-centre GPU should reach, and how many frames are measured.
WANTED, FRAMES = 300.0, 960


def bench_device() -> Iterator[Row]:
    """Milliseconds per frame and memory for each device; says if there is none."""
    from backend.mesh_to_video.on_device.choice import gpus

    devices = [name for name in gpus() if name.startswith("cuda")]
    if not devices:
        print(
            "torch finds no CUDA device: the rows for video on a GPU are left out", file=sys.stderr
        )
    for device in devices:
        figures = json_of(sys.executable, "-m", "backend.evaluation.bench_device", device)
        name = f"video of {SIZE} pixels on {device}, {figures['batch']:.0f} frames at a time"
        yield Row(f"{name}, per frame", 1000.0 / figures["per_second"], "ms", 1000.0 / WANTED)
        yield Row("  its first batch", figures["first"], "s")
        yield Row("  most memory of the device", figures["memory"] / 1e6, "MB")


def measure(device: str, count: int = FRAMES) -> dict[str, float]:
    """Frames per second once warm, seconds for the first batch, bytes of the device's memory."""
    import torch

    from backend.evaluation.bench_video import spoken_take
    from backend.mesh_to_video.frame.performance import take_performance
    from backend.mesh_to_video.frame.portrait import portrait_from_photo
    from backend.mesh_to_video.on_device.renderer import DeviceRenderer
    from backend.mesh_to_video.settings import RenderSettings
    from backend.samples import PORTRAIT

    portrait = portrait_from_photo(PORTRAIT)
    performance = take_performance(portrait, spoken_take(4.0), 25.0)
    renderer = DeviceRenderer(portrait, RenderSettings(SIZE), device=device)
    # Heads are computed beforehand: that happens on the CPU and has a row of its own.
    several = range(min(performance.frame_count, 3 * renderer.batch))
    heads = np.stack([performance.vertices(frame) for frame in several])
    batches = [
        heads[start : start + renderer.batch]
        for start in range(0, len(heads) - renderer.batch + 1, renderer.batch)
    ]
    start = time.perf_counter()
    renderer.frames(batches[0])
    first = time.perf_counter() - start
    for batch in batches:
        renderer.frames(batch)
    start, made = time.perf_counter(), 0
    for batch in islice(cycle(batches), max(1, count // renderer.batch)):
        made += len(renderer.frames(batch))
    elapsed = time.perf_counter() - start
    on_cuda = torch.device(device).type == "cuda"
    return {
        "per_second": made / elapsed,
        "first": first,
        "batch": float(renderer.batch),
        "memory": float(torch.cuda.max_memory_allocated(device)) if on_cuda else 0.0,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
