# SPDX-License-Identifier: GPL-3.0-or-later
"""`restyle`: a Take given in another way, without listening to the voice again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro

from backend.commands.moods import read_moods
from backend.commands.style_options import StyleOptions
from shared.formats import save_audio2face_json, save_livelink_csv
from shared.performance.style import StyleDials, restyle_take
from shared.take import load_take, save_take


@dataclass(frozen=True)
class Restyle:
    """Turn the style dials of a finished Take: smile, moods, amplitudes. Takes milliseconds.

    Keep the Take as `animate` wrote it and restyle that: dials add to what was turned before.
    """

    take: tyro.conf.Positional[Path]
    """The Take to read; it is not changed."""
    out: Path
    """The Take to write, for instance line-happy.take.npz."""
    csv: Path | None = None
    """Also write a Live Link Face CSV here."""
    a2f: Path | None = None
    """Also write an Audio2Face JSON here."""
    articulation: float = 1.0
    """How far the mouth moves, 0 to 3; 0 keeps it still."""
    head_motion: float = 1.0
    """Strength of head motion, 0 to 3; 0 removes it."""
    blinks: float = 1.0
    """How often the eyes blink, 0 to 3 times as often; 0 for never. They are drawn anew."""
    gaze: float = 1.0
    """How far the eyes wander, 0 to 3 times as far; 0 holds them still."""
    moods: Path | None = None
    """A table of moods over time: CSV with the column time_s and one for each mood."""
    style: StyleOptions = field(default_factory=StyleOptions)

    def run(self) -> int:
        dials = StyleDials(
            articulation=self.articulation,
            head_motion=self.head_motion,
            blinks=self.blinks,
            gaze=self.gaze,
            **asdict(self.style),
        )
        moods = read_moods(self.moods) if self.moods is not None else None
        take = load_take(self.take)
        if before := take.meta.get("style"):
            print(f"note: {_in_words(before)} was turned before; this comes on top")
        styled = restyle_take(take, dials, moods.at(take) if moods is not None else None)
        save_take(styled, self.out)
        written = [self.out]
        if self.csv is not None:
            save_livelink_csv(styled, self.csv)
            written.append(self.csv)
        if self.a2f is not None:
            save_audio2face_json(styled, self.a2f)
            written.append(self.a2f)
        turned = {**dials.turned(), **dict.fromkeys(moods.curves if moods else (), "curve")}
        print(f"{styled.frame_count} frames with {_in_words(turned) or 'no dial turned'}")
        for path in written:
            print(f"wrote {path}")
        return 0


def _in_words(turned: object) -> str:
    if not isinstance(turned, dict):
        return str(turned)
    return ", ".join(f"{name} {value}" for name, value in turned.items())
