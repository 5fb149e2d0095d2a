# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of a recording: waveform, phones with their borders, and what the lips did."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from backend.audio.load import SAMPLE_RATE
from backend.evaluation.lip_metric import aperture, tuck
from backend.evaluation.phones import BILABIAL, LABIODENTAL, Phone
from shared.arkit import INDEX
from shared.disk_errors import told_of_the_disk
from shared.whole_files import write_whole

_SECONDS_A_ROW = 6.0
_COLOURS = {
    "aperture": "black",
    "jawOpen": "tab:green",
    "rounding": "tab:purple",
    "tuck": "tab:orange",
    "seal": "tab:blue",
}
_SHADES = ((BILABIAL, "tab:blue"), (LABIODENTAL, "tab:orange"))


def lip_curves(weights: Float32[np.ndarray, "T 52"]) -> dict[str, Float64[np.ndarray, " T"]]:
    """The curves that are drawn, in the order of the legend.

    Rounding is pucker plus funnel, seal the share of the jaw's opening that mouthClose compensates.
    """
    wide = weights.astype(np.float64)
    jaw, close = wide[:, INDEX["jawOpen"]], wide[:, INDEX["mouthClose"]]
    return {
        "aperture": aperture(weights),
        "jawOpen": jaw,
        "rounding": wide[:, INDEX["mouthPucker"]] + wide[:, INDEX["mouthFunnel"]],
        "tuck": np.maximum(tuck(weights), 0.0),
        "seal": np.where(jaw > 0.01, close / np.maximum(jaw, 0.01), 0.0),
    }


def curve_picture(
    path: Path,
    title: str,
    samples: Float32[np.ndarray, " S"],
    phones: Sequence[Phone],
    weights: Float32[np.ndarray, "T 52"],
    fps: float,
) -> None:
    """Write a PNG, six seconds per row; p b m are shaded blue and f v orange.

    `samples` at 16 kHz, `weights` at `fps`.
    """
    # Drawn without pyplot, which would look for a screen.
    from matplotlib.figure import Figure

    seconds = max(len(samples) / SAMPLE_RATE, 0.1)
    rows = math.ceil(seconds / _SECONDS_A_ROW - 1e-6)
    figure = Figure(figsize=(16, 3.6 * rows), dpi=90, layout="tight")

    all_axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    curves = lip_curves(weights)
    time = np.arange(len(weights)) / fps
    edges, low, high = _envelope(samples)
    for number, axes in enumerate(all_axes):
        start = number * _SECONDS_A_ROW
        axes.fill_between(edges, 0.5 + 0.5 * low, 0.5 + 0.5 * high, color="0.87", lw=0)
        _draw_phones(axes, phones, start)
        for name, colour in _COLOURS.items():
            thick = 2.0 if name == "aperture" else 1.2
            axes.plot(time, curves[name], color=colour, lw=thick, label=name)
        axes.set_xlim(start, start + _SECONDS_A_ROW)
        axes.set_ylim(-0.02, 1.1)
    all_axes[0].set_title(title, fontsize=10)
    all_axes[0].legend(loc="upper right", fontsize=8, ncols=5, bbox_to_anchor=(1.0, 1.12))
    all_axes[-1].set_xlabel("seconds")
    memory = io.BytesIO()
    figure.savefig(memory, format="png")
    with told_of_the_disk(path):
        write_whole(path, memory.getvalue())


def _draw_phones(axes: Any, phones: Sequence[Phone], start: float) -> None:
    """Borders, names and shades of the phones that touch a row."""
    stop = start + _SECONDS_A_ROW
    for phone in phones:
        if phone.end <= start or phone.start >= stop:
            continue
        axes.axvline(phone.start, color="0.6", lw=0.5)
        for group, colour in _SHADES:
            if phone.name in group:
                axes.axvspan(phone.start, phone.end, color=colour, alpha=0.22, lw=0)
        middle = (max(phone.start, start) + min(phone.end, stop)) / 2
        axes.text(middle, 1.04, phone.name, ha="center", fontsize=8, clip_on=True)


def _envelope(
    samples: Float32[np.ndarray, " S"],
) -> tuple[Float64[np.ndarray, " N"], Float32[np.ndarray, " N"], Float32[np.ndarray, " N"]]:
    """Time, lowest and highest sample of 5 ms pieces, scaled to the loudest."""
    hop = SAMPLE_RATE // 200
    padded = np.pad(samples, (0, -len(samples) % hop))
    pieces = padded.reshape(-1, hop)
    loudest = max(float(np.abs(samples).max(initial=0.0)), 1e-6)
    time = (np.arange(len(pieces)) + 0.5) * hop / SAMPLE_RATE
    return time, pieces.min(axis=1) / loudest, pieces.max(axis=1) / loudest
