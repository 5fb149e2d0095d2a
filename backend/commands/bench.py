# SPDX-License-Identifier: GPL-3.0-or-later
"""`bench`: speed and memory on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bench:
    """Measure speed and memory and print a table; takes about a minute."""

    repeats: int = 5
    """Warm runs of each figure; the median is printed."""
    long: bool = False
    """Also animate one hour of speech."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.bench import run

        return run(self.repeats, self.long, as_json=self.json)
