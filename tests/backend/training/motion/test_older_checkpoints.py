# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints from before all trainers shared one loop."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.training.motion.older_checkpoints import present_names


def test_older_names_become_present_ones_and_present_ones_stay() -> None:
    values = [torch.full((1,), float(number)) for number in range(4)]
    older: dict[str, Tensor] = {
        "network.lips.direct.weight": values[0],
        "average.lips.direct.weight": values[1],
        "optimiser.exp_avg.lips.direct.weight": values[2],
        "fixed.phones.share": values[3],
    }
    present = {
        "module.network.lips.direct.weight": values[0],
        "average.network.lips.direct.weight": values[1],
        "optimiser.network.exp_avg.network.lips.direct.weight": values[2],
        "fixed.phones.share": values[3],
    }
    assert present_names(older) == present
    assert present_names(present) == present
