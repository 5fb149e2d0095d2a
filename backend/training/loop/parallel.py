# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes that train one network together, as torchrun starts them.

Every process draws different batches; gradients are averaged, so that all keep the same weights.
Without torchrun there is one process, and these functions do nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from shared.errors import ErrorKind, VividKeysError


@dataclass(frozen=True)
class Worker:
    """One process of `count`; the one with rank 0 writes the files."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have arrived here."""
        if self.count > 1:
            distributed.barrier()

    def average(self, parameters: Iterable[Tensor], *numbers: float) -> list[float]:
        """Replace the gradients by their mean over all processes; return the means of `numbers`.

        All processes get the same values.
        """
        if self.count == 1:
            return list(numbers)
        gradients = [p.grad for p in parameters if p.grad is not None]
        extra = torch.tensor(numbers, dtype=torch.float32, device=self.device)
        flat = torch.cat([*(g.reshape(-1) for g in gradients), extra])
        distributed.all_reduce(flat)
        flat /= self.count
        sizes = [g.numel() for g in gradients]
        *means, extra = torch.split(flat, [*sizes, len(extra)])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return [float(value) for value in extra]

    def leave(self) -> None:
        """Leave the process group."""
        if self.count > 1:
            distributed.destroy_process_group()


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`. Raises VividKeysError when it is not available."""
    there = torch.cuda.is_available()
    if wanted == "cpu" or (wanted == "auto" and not there):
        return torch.device("cpu")
    if not there:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "There is no CUDA device that torch can use.",
            "Use --device cpu, or install a torch that was built for this graphics card.",
        )
    return torch.device("cuda", local_rank % torch.cuda.device_count())


def join_workers(wanted: str = "auto") -> Worker:
    """The worker of this process: the only one, or one of those that torchrun started."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    device = choose_device(wanted, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if count <= 1:
        return Worker(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Worker(device, distributed.get_rank(), count)
