# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the thresholds of lip closures on held-out tuning speakers, and write them into weights.

    python -m backend.evaluation.tune_decoder WEIGHTS FOLDER [FOLDER ...]

The folders hold recordings with phones, as `backend.training.held_out` writes them: the tuning
speakers and their degraded copies. What counts is the mean, over folders, of closure F1 and closure
score; F1 alone would allow a mouth that hardly closes or hardly opens. The top is flat, so among
the thresholds that come within `FLAT` of the best those with the best F1 are taken.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

from backend.audio_to_mesh.decoder import RATE, DecoderSettings, at_frame_rate, decode
from backend.audio_to_mesh.frames import ClipFrames
from backend.audio_to_mesh.motion_model import MotionModel
from backend.evaluation.lip_metric import gather, score
from backend.evaluation.phones import Phone
from backend.evaluation.speech import read_clips

FPS = 60.0
ON = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
OFF_SHARE = (0.4, 0.55, 0.7)
FLAT = 0.005


@dataclass(frozen=True)
class Heard:
    """What the network made of one clip: curves [T, C], event probabilities [T, 3], and phones."""

    curves: NDArray[np.float32]
    events: NDArray[np.float32]
    phones: list[Phone]


def hear(folder: Path, model: MotionModel) -> list[Heard]:
    """The network's output for every recording of a folder."""
    found = []
    for clip in read_clips(folder):
        frames = ClipFrames(clip.audio.samples, model)
        heard = frames.heard(0, frames.total)
        found.append(Heard(heard.curves, heard.events, clip.phones))
    return found


@dataclass(frozen=True)
class Merit:
    """Means over the folders: of F1 and closure score together, and of F1; and a line for each."""

    both: float
    f1: float
    lines: tuple[str, ...]


def merit(folders: list[list[Heard]], settings: DecoderSettings) -> Merit:
    """What the settings are worth on what was heard."""
    values, lines = [], []
    for clips in folders:
        evidence = []
        for clip in clips:
            weights = decode(clip.curves, clip.events, settings)
            frames = int(len(weights) * FPS / RATE)
            weights = at_frame_rate(weights, 0, 0, frames, FPS)
            evidence.append(gather(weights, clip.phones, FPS))
        scores = score(evidence)
        values.append((scores.bilabial_f1, scores.closure_score))
        lines.append(f"F1 {scores.bilabial_f1:.3f}, closure score {scores.closure_score:.3f}")
    return Merit(float(np.mean(values)), float(np.mean(values, axis=0)[0]), tuple(lines))


def tune(weights: Path, folders: list[Path]) -> DecoderSettings:
    """Try every pair of thresholds, print them, keep the best in the weights' description."""
    model = MotionModel.load(weights)
    heard = [hear(folder, model) for folder in folders]
    tried = []
    for on, share in itertools.product(ON, OFF_SHARE):
        settings = replace(model.decoder, seal_on=on, seal_off=round(on * share, 3))
        worth = merit(heard, settings)
        tried.append((worth, settings))
        text = "; ".join(worth.lines)
        print(f"{on:.2f} on, {settings.seal_off:.3f} off: {worth.both:.4f}  ({text})")
    enough = max(worth.both for worth, _ in tried) - FLAT
    good = [entry for entry in tried if entry[0].both >= enough]
    best = max(good, key=lambda entry: entry[0].f1)[1]
    _describe(weights, best)
    return best


def _describe(weights: Path, settings: DecoderSettings) -> None:
    with safe_open(weights, "pt") as stream:
        about = dict(stream.metadata())
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    about["decoder"] = json.dumps(asdict(settings))
    partial = weights.with_suffix(".partial")
    save_file(tensors, partial, about)
    os.replace(partial, weights)


if __name__ == "__main__":
    chosen = tune(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    print(f"kept: {chosen.seal_on} on, {chosen.seal_off} off")
