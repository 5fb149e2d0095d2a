# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches drawn ahead while the network learns: in a process of its own, or in a thread.

A step's batch follows from seed, step and rank alone, wherever it is drawn.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backend.training.batches import Batch, BatchRecipe, draw_batch
from backend.training.prepared import Prepared, load_prepared

# Batches that are drawn before they are asked for.
_AHEAD = 2


@dataclass(frozen=True)
class TrainingSet:
    """A prepared set in a folder, as it is to be used; small enough to be sent to a process."""

    folder: Path

    def open(self) -> Prepared:
        return load_prepared(self.folder)


@dataclass(frozen=True, eq=False)
class Draw:
    """All that a batch follows from, but for the step."""

    profile: NDArray[np.float32]
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


def _arrays(step: int) -> dict[str, NDArray[np.generic]]:
    """A batch as arrays: tensors would be sent as files that stay open."""
    assert _state is not None
    prepared, draw = _state
    batch = draw.batch(prepared, step)
    return {item.name: getattr(batch, item.name).numpy() for item in fields(batch)}
