# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the file that ships from a checkpoint: averaged weights in half precision, described.

python -m backend.training.export CHECKPOINT OUTPUT VERSION
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.audio_to_mesh.decoder import DecoderSettings
from backend.training.teacher import phone_names


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


def export_checkpoint(checkpoint: Path, path: Path, version: str) -> None:
    """Write the averaged weights of a checkpoint as they ship."""
    with safe_open(checkpoint, "pt") as stream:
        state = json.loads(stream.metadata()["state"])
        names = [name for name in stream.keys() if name.startswith("average.")]  # noqa: SIM118
        weights: dict[str, torch.Tensor] = {
            name.removeprefix("average."): stream.get_tensor(name) for name in names
        }
    export(weights, state["shape"], path, steps=int(state["step"]), version=version)


if __name__ == "__main__":
    export_checkpoint(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
