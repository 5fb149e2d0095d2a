# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints from before the trainers shared a format, so that they can still be resumed."""

from __future__ import annotations

from torch import Tensor


def present_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the names of `backend.training.loop.checkpoint`.

    The older format had one network and one optimiser, without names.
    """
    if not any(name.startswith("network.") for name in tensors):
        return tensors
    return {_present(name): value for name, value in tensors.items()}


def _present(name: str) -> str:
    kind, rest = name.split(".", 1)
    if kind == "network":
        return f"module.network.{rest}"
    if kind == "average":
        return f"average.network.{rest}"
    if kind == "optimiser":
        part, key = rest.split(".", 1)
        return f"optimiser.network.{part}.network.{key}"
    return name
