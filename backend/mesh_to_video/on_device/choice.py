# SPDX-License-Identifier: GPL-3.0-or-later
"""The device that renders a video: a GPU that torch can use, or the CPU."""

from __future__ import annotations

import torch

from shared.errors import ErrorKind, VividKeysError


def chosen_device(name: str) -> torch.device | None:
    """The GPU meant by "auto", "cpu" or a name such as "cuda:0"; None for the CPU.

    The CPU has a faster implementation of its own. Raises VividKeysError(bad_request) for a device
    that is not available.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return None
    if name == "auto":
        # Torch is not asked for the current device: that would initialise the GPU, and if it fails
        # there would be no video instead of one rendered on the CPU.
        return torch.device("cuda", 0)
    there = gpus()
    if name not in there and f"{name}:0" not in there:
        others = f" or {' or '.join(there)}" if there else ""
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"There is no device '{name}' on this computer that torch can use.",
            f"Choose auto, cpu{others}.",
        )
    return torch.device(name)


def gpus() -> list[str]:
    """Names of all GPUs that torch can use here."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    apple = ["mps"] if torch.backends.mps.is_available() else []
    return [*(f"cuda:{number}" for number in range(count)), *apple]
