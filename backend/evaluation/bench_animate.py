# SPDX-License-Identifier: GPL-3.0-or-later
"""Times voice to Take in a process of its own, so that its peak memory is its own.

`python -m backend.evaluation.bench_animate SECONDS REPEATS` prints one line of JSON, and so does
`python -m backend.evaluation.bench_animate live` for a live voice.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile

from backend.samples import SPEECH


def write_speech(path: Path, seconds: float) -> None:
    """The sample recording repeated to `seconds`, as 16-bit wav, block by block."""
    samples, rate = soundfile.read(SPEECH, dtype="int16")
    left = round(seconds * rate)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        while left > 0:
            block = samples[:left]
            file.write(block)
            left -= len(block)


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(seconds: float, repeats: int) -> dict[str, float]:
    """Seconds to decode and animate a wav of `seconds`, warm: best and median."""
    from backend.audio.load import load_audio
    from backend.audio_to_mesh.animate import AnimateSettings, animate
    from backend.audio_to_mesh.motion_model import MotionModel

    model = MotionModel.load()
    times = []
    with tempfile.TemporaryDirectory() as folder:
        warm_up, recording = Path(folder) / "warm.wav", Path(folder) / "long.wav"
        write_speech(warm_up, 10.0)
        write_speech(recording, seconds)
        animate(load_audio(warm_up), model, AnimateSettings())
        for seed in range(repeats):
            start = time.perf_counter()
            take = animate(load_audio(recording), model, AnimateSettings(seed=seed))
            times.append(time.perf_counter() - start)
            assert abs(take.duration - seconds) < 0.1
    return {
        "seconds": seconds,
        "best": min(times),
        "median": float(np.median(times)),
        "peak_memory": float(peak_memory()),
    }


# A live voice comes in pieces of this many samples (40 ms).
_LIVE_PIECE = 640


def measure_live(seconds: float = 20.0) -> dict[str, float]:
    """Seconds of work per 40 ms of live sound, all motion included: median and 99th percentile."""
    from backend.audio.load import load_audio
    from backend.audio_to_mesh.motion_model import MotionModel
    from backend.audio_to_mesh.streaming import StreamingAnimator

    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "live.wav"
        write_speech(recording, seconds)
        samples = load_audio(recording).samples
    stream = StreamingAnimator(MotionModel.load(), live=True)
    times = []
    for start in range(0, len(samples), _LIVE_PIECE):
        began = time.perf_counter()
        stream.push(samples[start : start + _LIVE_PIECE])
        times.append(time.perf_counter() - began)
    stream.finish()
    # The first second includes what is loaded only once.
    median, slow = np.percentile(times[25:], [50, 99])
    return {"median": float(median), "slow": float(slow)}


if __name__ == "__main__":
    if sys.argv[1] == "live":
        print(json.dumps(measure_live()))
    else:
        print(json.dumps(measure(float(sys.argv[1]), int(sys.argv[2]))))
