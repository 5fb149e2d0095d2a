# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of speed and memory: every figure with its limit; none of them is a test."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .bench_row import REPOSITORY, Row, json_of

KEYING_SCRIPT = REPOSITORY / "tests" / "blender" / "measure_keying.py"
HEAD_SCRIPT = REPOSITORY / "tests" / "blender" / "measure_head.py"


def rows(repeats: int, long: bool) -> Iterator[Row]:
    """Measure one thing after the other, in separate processes."""
    minute = _animate(60.0, repeats)
    yield Row("60 s of speech to a Take, warm (median)", minute["median"], "s", 0.36)
    yield Row("  the same, best run", minute["best"], "s", 0.36)
    yield Row("  peak memory of that process", minute["peak_memory"] / 1e6, "MB", 1200)
    if long:
        hour = _animate(3600.0, 1)
        yield Row("1 h of speech to a Take", hour["best"], "s")
        yield Row("  peak memory of that process", hour["peak_memory"] / 1e6, "MB", 1500)
    live = json_of(sys.executable, "-m", "backend.evaluation.bench_animate", "live")
    yield Row("live: work per 40 ms of sound (median)", live["median"] * 1e3, "ms", 40)
    yield Row("  the same, 99 % of the pieces", live["slow"] * 1e3, "ms", 40)
    from backend.evaluation.bench_server import measure_server

    server = measure_server(repeats)
    yield Row("backend ready after start", server["ready"], "s", 5.0)
    yield Row("first curves at the client (60 s job)", server["first_chunk"] * 1e3, "ms", 150)
    yield Row("whole Take at the client (60 s job)", server["done"], "s", 0.6)
    yield Row("cancel of a running job (slowest)", server["cancel"] * 1e3, "ms", 200)
    yield from _photo(repeats)
    from backend.evaluation.bench_transfer import bench_transfer

    yield from bench_transfer()
    from backend.evaluation.bench_rasterize import bench_rasterize

    yield from bench_rasterize()
    from backend.evaluation.bench_device import bench_device
    from backend.evaluation.bench_encode import bench_encode
    from backend.evaluation.bench_video import bench_video

    yield from bench_encode()
    yield from bench_video()
    yield from bench_device()
    yield from _keying()


def _animate(seconds: float, repeats: int) -> dict[str, float]:
    return json_of(
        sys.executable, "-m", "backend.evaluation.bench_animate", str(seconds), str(repeats)
    )


def _photo(repeats: int) -> Iterator[Row]:
    from backend.face import reconstruct
    from backend.samples import PORTRAIT
    from shared.face import save_face

    start = time.perf_counter()
    face = reconstruct(PORTRAIT)
    yield Row("photo to face, first time", time.perf_counter() - start, "s")
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        reconstruct(PORTRAIT)
        times.append(time.perf_counter() - start)
    yield Row("photo to face, warm (median)", sorted(times)[len(times) // 2], "s", 1.0)
    with tempfile.TemporaryDirectory() as folder:
        save_face(face, Path(folder) / "face.npz")
        for environment, python in _blenders():
            result = json_of(python, str(HEAD_SCRIPT), str(Path(folder) / "face.npz"))
            yield Row(f"that face as a head in {environment}", result["seconds"], "s", 4.0)


def _keying() -> Iterator[Row]:
    """30 s at 30 fps on 52 keys, in every Blender module that `install.py` has set up."""
    for environment, python in _blenders():
        result = json_of(python, str(KEYING_SCRIPT))
        yield Row(f"30 s keyed in {environment}", result["seconds"], "s", 0.2)


def _blenders() -> Iterator[tuple[str, str]]:
    """Names and interpreters of the Blender modules that are installed."""
    for environment in ("blender45", "blender52"):
        binary = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        python = REPOSITORY / ".venv" / environment / binary
        if python.is_file():
            yield environment, str(python)
        else:
            print(f"{environment} is not installed: its row is left out", file=sys.stderr)


def run(repeats: int, long: bool, as_json: bool) -> int:
    """Print the table; always returns 0, because timing depends on the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{platform.system()} {platform.machine()}, {cores} cores"
    table = Table("figure", "measured", "limit", "", title=f"VividKeys bench: {machine}")
    measured = []
    console = Console(stderr=True)
    with console.status("measuring ..."):
        for row in rows(repeats, long):
            measured.append(row)
            limit = f"{row.limit:g} {row.unit}" if row.limit else ""
            verdict = ("ok" if row.within else "over") if row.limit else ""
            table.add_row(row.what, f"{row.figure:.3g} {row.unit}", limit, verdict)
            console.log(f"{row.what}: {row.figure:.3g} {row.unit}")
    if as_json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in measured]}))
    else:
        Console().print(table)
    return 0
