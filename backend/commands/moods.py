# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads moods that change over time from a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from shared.errors import ErrorKind, VividKeysError
from shared.performance.style import MOODS
from shared.take import Take

TIME = "time_s"


@dataclass(frozen=True, eq=False)
class MoodTable:
    """`times` in seconds, ascending; `curves`: the strength of each mood, in 0..1."""

    times: Float64[np.ndarray, " N"]
    curves: dict[str, Float64[np.ndarray, " N"]]

    def at(self, take: Take) -> dict[str, Float32[np.ndarray, " T"]]:
        """Every mood at the frames of a Take, linear between rows and constant outside."""
        frames = np.arange(take.frame_count) / take.fps
        return {
            name: np.interp(frames, self.times, curve).astype(np.float32)
            for name, curve in self.curves.items()
        }


def read_moods(path: Path) -> MoodTable:
    """Read a CSV with a column `time_s` and one per mood. Raises VividKeysError(bad_file)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
        header = [cell.strip() for cell in rows[0]] if rows else []
        strange = [name for name in header if name not in (TIME, *MOODS)]
        if TIME not in header or len(header) < 2 or strange or len(set(header)) < len(header):
            raise ValueError(f"its first line is not {TIME} and some of {', '.join(MOODS)}")
        if any(len(row) != len(header) for row in rows):
            raise ValueError("its lines have different numbers of columns")
        values = np.array([[float(cell) for cell in row] for row in rows[1:]], np.float64)
        if not len(values):
            raise ValueError("it has no rows of numbers")
        columns = dict(zip(header, values.T, strict=True))
        times = columns.pop(TIME)
        if not np.isfinite(values).all() or (np.diff(times) <= 0).any():
            raise ValueError("its times do not increase from row to row")
        if any((curve < 0).any() or (curve > 1).any() for curve in columns.values()):
            raise ValueError("a mood is not between 0 and 1")
    except (OSError, ValueError, csv.Error) as error:
        reason = "it cannot be read" if isinstance(error, OSError) else str(error)
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is not a table of moods: {reason}.",
            f"Use a CSV with a first line such as: {TIME},joy,sadness",
        ) from error
    return MoodTable(times, columns)
