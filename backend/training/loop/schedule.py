# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a run is, and how large its steps are."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Length and learning rate of a run.

    It ends after `steps` or `minutes`, whichever comes first. The learning rate rises linearly over
    `warm_up` steps and decays along a half cosine to `final_share` of its peak.
    """

    steps: int
    minutes: float = math.inf
    seed: int = 0
    threads: int = 1
    learning_rate: float
    final_share: float
    warm_up: int = 1
    # AdamW's weight decay and betas.
    decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    # Gradients are clipped to this norm.
    clip: float = math.inf
    # Decay of the averaged weights per step; less at the beginning.
    average: float = 0.998
    save_every: int = 250
    report_every: int = 50
    validate_every: int = 500

    def progress(self, step: int, elapsed: float) -> float:
        """How far along a run is after so many steps and elapsed seconds, 0..1."""
        return min(max(step / self.steps, elapsed / (self.minutes * 60.0)), 1.0)

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of a step."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * progress)
        rate = self.learning_rate * (self.final_share + (1.0 - self.final_share) * cosine)
        return rate * min((step + 1) / self.warm_up, 1.0)
