# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights averaged over the last steps of a run, which are better than those of any one step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def copied_weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Copies of the modules' weights and buffers, as MODULE.NAME: the start of an average."""
    return {name: value.detach().clone() for name, value in _weights(modules).items()}


@torch.no_grad()
def follow(
    average: dict[str, Tensor], modules: Mapping[str, nn.Module], most: float, step: int
) -> None:
    """Move an exponential average towards the modules, in place.

    Its decay is `most`, and less in the first steps, whose weights are of little use.
    """
    keep = min(most, (1.0 + step) / (10.0 + step))
    for name, value in _weights(modules).items():
        average[name].lerp_(value, 1.0 - keep)


def _weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
