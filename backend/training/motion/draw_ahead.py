# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches drawn ahead while the network learns: in a process of its own, or in a thread.

A step's batch follows from seed, step and rank alone, wherever it is drawn.
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

# Batches that are drawn before they are asked for.
_AHEAD = 2


@dataclass(frozen=True)
class TrainingSet:
    """A prepared set in a folder, as it is to be used; small enough to be sent to a process."""

    folder: Path
    # Only corpora of names that one of these fits; `*` fits anything.
    corpora: tuple[str, ...] = ("*",)
    # Only clean clips, without their degraded copies.
    clean: bool = False
    # Of eSpeak's voices only those whose language begins so.
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
        """Clips in the language, and all that are not eSpeak's. Voices are known to the corpora
        beside the prepared set.
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
                    f"{path} does not say whose voices the corpus {name} holds.",
                    "Build the corpus again, or train on all languages.",
                ) from error
            wanted = [s.startswith(f"espeak:{self.espeak_language}") for s in speakers]
            utterance = np.cumsum(prepared.copy[clips] == 0) - 1
            known = utterance < len(wanted)
            use[clips] = known & np.array(wanted, bool)[np.minimum(utterance, len(wanted) - 1)]
        return use


@dataclass(frozen=True, eq=False)
class Draw:
    """All that a batch follows from, but for the step."""

    profile: Float32[np.ndarray, " 160"]
    recipe: BatchRecipe
    seed: int
    rank: int = 0

    def batch(self, prepared: Prepared, step: int) -> Batch:
        random = np.random.default_rng([self.seed, step, self.rank])
        return draw_batch(prepared, self.profile, self.recipe, random)


class Drawer:
    """`take(step)` gives the batch of a step; those after it are drawn meanwhile.

    In a process of its own drawing does not wait for the interpreter that the network's steps hold.
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
            # Spawned: a fork would copy torch's threads in the middle of their work.
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
        """Draw no more."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()


# The drawing process: its own view of the set.
_state: tuple[Prepared, Draw] | None = None


def _begin(source: TrainingSet, draw: Draw) -> None:
    global _state
    torch.set_num_threads(1)
    _state = source.open(), draw


def _arrays(step: int) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """A batch as arrays: tensors would be sent as files that stay open."""
    assert _state is not None
    prepared, draw = _state
    batch = draw.batch(prepared, step)
    return {item.name: getattr(batch, item.name).numpy() for item in fields(batch)}
