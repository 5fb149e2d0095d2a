# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the file that ships from a checkpoint: averaged weights in half precision, with metadata.

python -m backend.training.motion.export CHECKPOINT OUTPUT VERSION [CACHE]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from backend.audio.log_mel import log_mel
from backend.audio_to_mesh.decoder import blended
from backend.audio_to_mesh.decoder_settings import (
    PLAIN_GAINS,
    decoder_beside,
    save_decoder,
    shipped_decoder,
)
from backend.audio_to_mesh.listener import hear
from backend.audio_to_mesh.motion_model import MotionModel
from backend.training.corpus.utterance import Utterance, load_corpus, to_float
from backend.training.loop.tensor_files import below, read_tensors, write_tensors
from backend.training.motion.older_checkpoints import present_names
from backend.training.teacher.articulation import loudness, phone_names, teach
from shared.errors import ErrorKind, VividKeysError


def export(
    weights: dict[str, Tensor],
    shape: dict[str, object],
    path: Path,
    *,
    steps: int,
    version: str,
    gains: tuple[float, ...] = PLAIN_GAINS,
) -> None:
    """Write shipped weights and, in a file beside them, the decoder's settings with these `gains`.

    `weights` include `phones.poses` and `phones.share`. Each file is replaced atomically. Half
    precision is enough for the network: it changes curves by less than 0.002.
    """
    about = {
        "name": "motion",
        "version": version,
        "steps": str(steps),
        "shape": json.dumps(shape),
        "phones": json.dumps(phone_names()),
        "decoder": decoder_beside(path).name,
    }
    # The smallest shares would lose precision.
    tensors = {k: v if k.startswith("phones.") else v.half() for k, v in weights.items()}
    write_tensors(tensors, about, path)
    save_decoder(replace(shipped_decoder(), gains=gains), decoder_beside(path))


def export_checkpoint(
    checkpoint: Path, path: Path, version: str, cache: Path | None = None
) -> None:
    """Write the averaged weights of a checkpoint in the form that ships.

    With a `cache` that has the corpus `real-tune`, the gains are fitted to its speakers. Raises
    VividKeysError(bad_file) for anything but a checkpoint of the trainer.
    """
    try:
        tensors, about = read_tensors(checkpoint)
        weights = below(present_names(tensors), "average.network.")
        weights |= {f"phones.{k}": v for k, v in below(tensors, "fixed.phones.").items()}
        state = json.loads(about["state"])
        steps, shape = int(state["step"]), dict(state["shape"])
        if "phones.share" not in weights:
            raise KeyError("phones.share")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"{checkpoint} is not a complete checkpoint of the motion network.",
            "Continue the run for a step, or name the checkpoint of another run.",
        ) from error
    export(weights, shape, path, steps=steps, version=version)
    if cache is not None:
        gains = amplitude_gains(MotionModel.load(path), load_corpus(cache / "real-tune"))
        export(weights, shape, path, steps=steps, version=version, gains=gains)


def amplitude_gains(
    model: MotionModel, utterances: Iterable[Utterance], most: float = 1.4
) -> tuple[float, ...]:
    """Factor per channel that brings the spread of the output close to the teacher's.

    Both are in the default style and before contacts. A regression answers with the mean of what is
    possible, so where it is uncertain it moves too little. Most of the lost amplitude is restored,
    by at most the factor `most`, because errors are amplified too.
    """
    shown, taught = [], []
    for utterance in utterances:
        samples = to_float(utterance.samples)
        shown.append(blended(hear(samples, model), model.decoder))
        taught.append(teach(utterance.phones, loudness(log_mel(samples))).curves)
    wanted, found = np.concatenate(taught).std(axis=0), np.concatenate(shown).std(axis=0)
    ratio = np.where(found > 1e-4, wanted / np.maximum(found, 1e-4), 1.0)
    gains = np.clip(ratio**0.85, 1.0, most)
    return tuple(round(float(gain), 3) for gain in gains)


def main(arguments: list[str]) -> None:
    """The command line; errors are printed as a sentence, not a traceback."""
    torch.set_num_threads(1)
    if not 3 <= len(arguments) <= 4:
        sys.exit("python -m backend.training.motion.export CHECKPOINT OUTPUT VERSION [CACHE]")
    checkpoint, path, version = Path(arguments[0]), Path(arguments[1]), arguments[2]
    try:
        export_checkpoint(checkpoint, path, version, *(Path(a) for a in arguments[3:]))
    except VividKeysError as error:
        sys.exit(f"{error.sentence} {error.next_step}")


if __name__ == "__main__":
    main(sys.argv[1:])
