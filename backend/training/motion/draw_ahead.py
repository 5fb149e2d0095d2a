# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches drawn ahead while the network trains, in a separate process or in a thread.

A step's batch is determined by seed, step and rank alone, wherever it is drawn.
"""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped
from numpy.typing import NDArray

from backend.training.motion.batches import Batch, BatchRecipe, draw_batch
from backend.training.motion.prepared import Prepared, load_prepared
from shared.errors import ErrorKind, VividKeysError

# How many batches are drawn in advance.
_AHEAD = 2


@dataclass(frozen=True)
class TrainingSet:
    """Which part of a prepared set to use; small enough to be sent to another process."""

    folder: Path
    # Only corpora whose names match one of these patterns.
    corpora: tuple[str, ...] = ("*",)
    # Only clean clips, without their degraded copies.
    clean: bool = False
    # Of eSpeak's voices, only those whose language starts with this.
    espeak_language: str = ""

    def open(self) -> Prepared:
        prepared = load_prepared(self.folder)
        fits = {
            name: any(fnmatchcase(name, pattern) for pattern in self.corpora)
            for name in map(str, np.unique(prepared.corpus))
        }
        use = np.array([fits[str(name)] for name in prepared.corpus], bool)
        if self.clean:
            use &= prepared.copy == 0
        if self.espeak_language:
            use &= self._speaks(prepared)
        return prepared if use.all() else prepared.subset(np.flatnonzero(use))

    def _speaks(self, prepared: Prepared) -> Bool[np.ndarray, " N"]:
        """Which clips are in the language, or not eSpeak's.

        The voices are listed in the corpora beside the prepared set.
        """
        use = np.ones(len(prepared), bool)
        for name, clips in prepared.clips_of().items():
            if not name.startswith("espeak"):
                continue
            path = self.folder.parent / name / "utterances.json"
            try:
                speakers = [str(entry["speaker"]) for entry in json.loads(path.read_text())]
            except (OSError, KeyError, TypeError, ValueError) as error:
                raise VividKeysError(
                    ErrorKind.BAD_FILE,
                    f"{path} does not list the voices of the corpus {name}.",
                    "Build the corpus again, or train on all languages.",
                ) from error
            wanted = [s.startswith(f"espeak:{self.espeak_language}") for s in speakers]
            utterance = np.cumsum(prepared.copy[clips] == 0) - 1
            known = utterance < len(wanted)
            use[clips] = known & np.array(wanted, bool)[np.minimum(utterance, len(wanted) - 1)]
        return use


@dataclass(frozen=True, eq=False)
class Draw:
    """Everything that determines a batch, except the step."""

    profile: Float32[np.ndarray, " 160"]
    recipe: BatchRecipe
    seed: int
    rank: int = 0

    def batch(self, prepared: Prepared, step: int) -> Batch:
        random = np.random.default_rng([self.seed, step, self.rank])
        return draw_batch(prepared, self.profile, self.recipe, random)


class Drawer:
    """`take(step)` returns the batch of a step; the next ones are drawn in the meantime.

    A separate process does not compete for the interpreter lock with the network's steps.
    """

    def __init__(
        self, source: TrainingSet, prepared: Prepared, draw: Draw, own_process: bool = True
    ) -> None:
        self._prepared = prepared
        self._draw = draw
        self._own_process = own_process
        self._waiting: dict[int, Future[Batch] | Future[dict[str, NDArray[np.generic]]]] = {}
        self._executor: Executor
        if own_process:
            # Spawned: a fork would copy the state of torch's threads in the middle of their work.
            self._executor = ProcessPoolExecutor(1, get_context("spawn"), _begin, (source, draw))
        else:
            self._executor = ThreadPoolExecutor(1)

    def take(self, step: int) -> Batch:
        """The batch of `step`."""
        for number in [n for n in self._waiting if not step <= n <= step + _AHEAD]:
            self._waiting.pop(number).cancel()
        for number in range(step, step + _AHEAD + 1):
            if number not in self._waiting:
                self._waiting[number] = self._submit(number)
        drawn = self._waiting.pop(step).result()
        if isinstance(drawn, Batch):
            return drawn
        return Batch(**{name: torch.from_numpy(values) for name, values in drawn.items()})

    def _submit(self, step: int) -> Future[Batch] | Future[dict[str, NDArray[np.generic]]]:
        if self._own_process:
            return self._executor.submit(_arrays, step)
        return self._executor.submit(self._draw.batch, self._prepared, step)

    def close(self) -> None:
        """Stop drawing."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()


# The drawing process: its own view of the set.
_state: tuple[Prepared, Draw] | None = None


def _begin(source: TrainingSet, draw: Draw) -> None:
    global _state
    torch.set_num_threads(1)
    _state = source.open(), draw


def _arrays(step: int) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """A batch as arrays: tensors would be sent through file descriptors that stay open."""
    assert _state is not None
    prepared, draw = _state
    batch = draw.batch(prepared, step)
    return {item.name: getattr(batch, item.name).numpy() for item in fields(batch)}
