# SPDX-License-Identifier: GPL-3.0-or-later
"""A plot of a captured clip: lip motion over the waveform, beside the network's."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64

from backend.audio_to_mesh.decoder import RATE
from shared.arkit import INDEX
from shared.disk_errors import told_of_the_disk
from shared.lips import aperture
from shared.whole_files import write_whole

from .clip import CapturedClip

# The gap at the top of the scale, metres; a clip with wider ones sets its own scale.
_WIDE = 0.012


def plot_clip(clip: CapturedClip, name: str, path: Path) -> None:
    """Write a PNG with the measured gap, jawOpen, mouthPucker, blink and the network's gap."""
    # Without pyplot, which would look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    take = clip.take
    time = np.arange(take.frame_count) / take.fps
    figure = Figure(figsize=(13, 6), dpi=100, layout="tight")
    canvas = FigureCanvasAgg(figure)
    lips, shapes = figure.subplots(2, 1, sharex=True)
    for axes in (lips, shapes):
        if clip.audio is not None:
            edges, low, high = _envelope(clip.audio.samples, clip.audio.sample_rate)
            axes.fill_between(edges, 0.5 + 0.5 * low, 0.5 + 0.5 * high, color="0.85", lw=0)
        axes.set_ylim(-0.05, 1.05)
        axes.grid(alpha=0.3)
        for start, end in _not_valid(clip.valid, take.fps):
            axes.axvspan(start, end, color="tab:red", alpha=0.15, lw=0)
    wide = max(_WIDE, float(clip.gap.max()))
    lips.plot(time, clip.gap / wide, color="tab:blue", label=f"measured gap / {1000 * wide:.0f} mm")
    if clip.network is not None:
        gap = aperture(clip.network.T)
        scale = max(float(gap.max()), 1e-3)
        lips.plot(np.arange(len(gap)) / RATE, gap / scale, "--", color="tab:orange",
                  label="network's gap / its maximum")  # fmt: skip
    for shape, colour in (
        ("jawOpen", "tab:green"),
        ("mouthClose", "tab:brown"),
        ("mouthPucker", "tab:purple"),
        ("mouthFunnel", "tab:pink"),
    ):
        shapes.plot(time, take.weights[:, INDEX[shape]], color=colour, label=shape)
    blink = take.weights[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].mean(axis=1)
    shapes.plot(time, blink, ":", color="black", label="eyeBlink")
    figures = clip.figures
    title = f"{name}   residual {figures.residual_mm:.2f} mm"
    if figures.sync_r is not None and figures.sync_ms is not None:
        title += f"   picture late by {figures.sync_ms:+.0f} ms (r {figures.sync_r:.2f})"
    lips.set_title(title, fontsize=10)
    shapes.set_xlabel("seconds")
    for axes in (lips, shapes):
        axes.legend(loc="upper right", fontsize=8, ncols=3)
    shapes.set_xlim(0, max(take.duration, 0.1))
    memory = io.BytesIO()
    canvas.print_png(memory)  # type: ignore[no-untyped-call]
    with told_of_the_disk(path):
        write_whole(path, memory.getvalue())


def _envelope(
    samples: Float32[np.ndarray, " N"], rate: int
) -> tuple[Float64[np.ndarray, " P"], Float32[np.ndarray, " P"], Float32[np.ndarray, " P"]]:
    """Time (seconds), lowest and highest sample of short pieces, relative to the loudest."""
    hop = max(len(samples) // 1500, 1)
    pieces = samples[: len(samples) // hop * hop].reshape(-1, hop)
    loudest = max(float(np.abs(samples).max()), 1e-6)
    time = (np.arange(len(pieces)) + 0.5) * hop / rate
    return time, pieces.min(axis=1) / loudest, pieces.max(axis=1) / loudest


def _not_valid(valid: Bool[np.ndarray, " T"], fps: float) -> list[list[float]]:
    from .store import valid_stretches

    return valid_stretches(~valid, fps)
