# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a talking-head video takes: until the first frame, per frame and stage, and in memory.

`python -m backend.evaluation.bench_video SIZE SECONDS` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from backend.samples import PORTRAIT, SPEECH
from shared.take import Take

from .bench_animate import peak_memory
from .bench_row import Row, json_of

# Size of the video in pixels, and the limit in milliseconds per frame on two cores.
SIZES = ((256, 1000 / 25), (512, 1000 / 12))
STAGE_REPEATS = 12


def bench_video() -> Iterator[Row]:
    """Rows for both sizes, each in a process of its own."""
    for size, limit in SIZES:
        figures = json_of(sys.executable, "-m", "backend.evaluation.bench_video", str(size), "8")
        if size == SIZES[0][0]:
            yield Row("photo to first preview frame, warm", figures["first"], "s", 1.0)
        yield Row(f"video of {size} pixels, per frame in all", figures["frame"], "ms", limit)
        for name, value in figures.items():
            if name.startswith("stage "):
                yield Row(f"  {name.removeprefix('stage ')}, one thread", value, "ms")
        yield Row("  peak memory of that process", figures["peak_memory"] / 1e6, "MB", 2000)
    longer = json_of(sys.executable, "-m", "backend.evaluation.bench_video", "512", "24")
    yield Row("  the same, three times as long", longer["peak_memory"] / 1e6, "MB", 2000)


def spoken_take(seconds: float) -> Take:
    """The sample recording, repeated to `seconds`, as a Take."""
    from backend.audio.load import load_audio
    from backend.audio_to_mesh.animate import AnimateSettings, animate
    from backend.audio_to_mesh.motion_model import MotionModel
    from backend.evaluation.bench_animate import write_speech

    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "speech.wav"
        write_speech(recording, seconds)
        audio = load_audio(recording)
    return animate(audio, MotionModel.load(), AnimateSettings())


def measure(size: int, seconds: float) -> dict[str, float]:
    """Seconds to the first frame, milliseconds per frame in all and by stage, bytes of memory."""
    from backend.mesh_to_video.settings import RenderSettings
    from backend.mesh_to_video.video import render_video, warm_up

    take = spoken_take(seconds)
    warm_up()
    settings = RenderSettings(size=size, fps=25.0)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "film.mp4"
        firsts = []
        for _ in range(3):
            start = time.perf_counter()
            seen: list[float] = []
            render_video(
                PORTRAIT, take, out, settings=settings, duration=0.04,
                first_picture=partial(_note, seen),
            )  # fmt: skip
            firsts.append(seen[0] - start)
        report = render_video(PORTRAIT, take, out, audio=SPEECH, settings=settings)
    return {
        "first": float(np.median(firsts)),
        "frame": 1000.0 / report.fps_measured,
        **_stages(take, settings.size),
        "peak_memory": float(peak_memory()),
    }


def _note(seen: list[float], _picture: object) -> None:
    seen.append(time.perf_counter())


def _stages(take: Take, size: int) -> dict[str, float]:
    """Milliseconds on one thread for each stage of a frame."""
    import torch

    from backend.mesh_to_video.frame.performance import take_performance
    from backend.mesh_to_video.frame.portrait import portrait_from_photo
    from backend.mesh_to_video.frame_renderer import FrameRenderer
    from backend.mesh_to_video.settings import GEOMETRY_ONLY, PLAIN_WARP, Parts, RenderSettings

    torch.set_num_threads(1)
    portrait = portrait_from_photo(PORTRAIT)
    performance = take_performance(portrait, take, 25.0)
    poses = [performance.vertices(frame) for frame in range(20, 20 + STAGE_REPEATS)]

    def cost(work: Callable[[int], object]) -> float:
        work(0)
        start = time.perf_counter()
        for index in range(len(poses)):
            work(index)
        return 1000.0 * (time.perf_counter() - start) / len(poses)

    def frames(parts: Parts) -> float:
        renderer = FrameRenderer(portrait, RenderSettings(size=size, parts=parts))
        return cost(lambda index: renderer.frame(poses[index]))

    plain, geometry = frames(PLAIN_WARP), frames(GEOMETRY_ONLY)
    moved, whole = frames(Parts(generator=False)), frames(Parts())
    return {
        "stage driven mesh": cost(lambda index: performance.vertices(20 + index)),
        "stage photo warped by the geometry": plain,
        "stage inside of the mouth": geometry - plain,
        "stage motion-VAE with what it sees": moved - geometry,
        "stage generator": whole - moved,
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), float(sys.argv[2]))))
