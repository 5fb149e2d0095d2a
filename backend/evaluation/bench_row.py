# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of the table of speed and memory, and figures from processes of their own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One figure; a `limit` of 0 means none. Lower is better for all of them."""

    what: str
    figure: float
    unit: str
    limit: float = 0.0

    @property
    def within(self) -> bool:
        return not self.limit or self.figure <= self.limit


def json_of(*command: str) -> dict[str, float]:
    """The JSON in the last line that a command prints."""
    output = subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return dict(json.loads(output.strip().splitlines()[-1]))
