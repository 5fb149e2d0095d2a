# SPDX-License-Identifier: GPL-3.0-or-later
"""`restyle`: changes the style of a finished Take, without the voice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from backend.commands.moods import read_moods
from backend.commands.style_options import DialOptions, StyleOptions
from backend.commands.take_files import TakeFileOptions
from shared.dials import Applied, applied
from shared.performance.style import StyleDials, restyle_take
from shared.take import load_take


@dataclass(frozen=True)
class Restyle(DialOptions, TakeFileOptions, dials=applied(Applied.MOTION)):
    """Turn the style dials of a finished Take: smile, moods, amplitudes. Takes milliseconds.

    Keep the Take that `animate` wrote and restyle that one: dials add to earlier changes.
    """

    take: tyro.conf.Positional[Path]
    """The Take to read; it is not changed."""
    out: Path
    """The Take to write, for instance line-happy.take.npz."""
    moods: Path | None = None
    """A table of moods over time: CSV with a column time_s and one per mood."""
    style: StyleOptions = field(default_factory=StyleOptions)

    def run(self) -> int:
        dials = StyleDials(**self.dial_values(), **self.style.dial_values())
        moods = read_moods(self.moods) if self.moods is not None else None
        take = load_take(self.take)
        if before := take.meta.get("style"):
            print(f"note: {_in_words(before)} was applied earlier; this is added to it")
        styled = restyle_take(take, dials, moods.at(take) if moods is not None else None)
        written = self.write_take(styled, self.out)
        turned = {**dials.turned(), **dict.fromkeys(moods.curves if moods else (), "curve")}
        print(f"{styled.frame_count} frames with {_in_words(turned) or 'no dials turned'}")
        for path in written:
            print(f"wrote {path}")
        return 0


def _in_words(turned: object) -> str:
    if not isinstance(turned, dict):
        return str(turned)
    return ", ".join(f"{name} {value}" for name, value in turned.items())
