# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance that waits for a target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..animation.baking import BakePlan
from ..contracts import take


@dataclass(frozen=True)
class PendingTake:
    """A performance that is computed but on no target: kept until 'Apply Take'.

    `take_id` is '' and `file` None where it could not be saved; `plan` is that of its job.
    """

    performance: take.Take
    take_id: str
    file: Path | None
    plan: BakePlan | None
