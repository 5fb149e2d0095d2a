# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the file that ships from a checkpoint: averaged weights in half precision, described.

python -m backend.training.export CHECKPOINT OUTPUT VERSION
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.audio.log_mel import log_mel
from backend.audio_to_mesh.decoder import DecoderSettings
from backend.audio_to_mesh.listener import hear
from backend.audio_to_mesh.motion_model import MotionModel
from backend.training.corpus.utterance import Utterance, load_corpus, to_float
from backend.training.teacher import loudness, phone_names, teach


def export(
    weights: dict[str, Tensor],
    shape: dict[str, object],
    path: Path,
    *,
    steps: int,
    version: str,
    decoder: DecoderSettings | None = None,
) -> None:
    """Write shipped weights; `path` is replaced at once.

    Half precision is enough: it changes curves by less than .002.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "name": "motion",
        "version": version,
        "steps": str(steps),
        "shape": json.dumps(shape),
        "phones": json.dumps(phone_names()),
        "decoder": json.dumps(asdict(decoder or DecoderSettings())),
    }
    partial = path.with_suffix(".partial")
    save_file({name: value.half() for name, value in weights.items()}, partial, about)
    os.replace(partial, path)


def export_checkpoint(
    checkpoint: Path, path: Path, version: str, cache: Path | None = None
) -> None:
    """Write the averaged weights of a checkpoint as they ship."""
    with safe_open(checkpoint, "pt") as stream:
        state = json.loads(stream.metadata()["state"])
        names = [name for name in stream.keys() if name.startswith("average.")]  # noqa: SIM118
        weights: dict[str, torch.Tensor] = {
            name.removeprefix("average."): stream.get_tensor(name) for name in names
        }
    steps, shape = int(state["step"]), state["shape"]
    export(weights, shape, path, steps=steps, version=version)
    if cache is not None:
        gains = amplitude_gains(MotionModel.load(path), load_corpus(cache / "real-tune"))
        decoder = replace(DecoderSettings(), gains=gains)
        export(weights, shape, path, steps=steps, version=version, decoder=decoder)


def amplitude_gains(
    model: MotionModel, utterances: Iterable[Utterance], most: float = 1.4
) -> tuple[float, ...]:
    """Factor per channel that brings the spread of the curves to the teacher's.

    A regression answers with the mean of what might be, so where it is unsure it moves too little.
    Most of the loss is given back, at most `most` times, since errors are amplified too.
    """
    heard, taught = [], []
    for utterance in utterances:
        samples = to_float(utterance.samples)
        heard.append(hear(samples, model).curves)
        taught.append(teach(utterance.phones, loudness(log_mel(samples))).curves)
    wanted, found = np.concatenate(taught).std(axis=0), np.concatenate(heard).std(axis=0)
    ratio = np.where(found > 1e-4, wanted / np.maximum(found, 1e-4), 1.0)
    gains = np.clip(ratio**0.85, 1.0, most)
    return tuple(round(float(gain), 3) for gain in gains)


if __name__ == "__main__":
    export_checkpoint(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        sys.argv[3],
        Path(sys.argv[4]) if len(sys.argv) > 4 else None,
    )
