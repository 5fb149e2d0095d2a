# SPDX-License-Identifier: GPL-3.0-or-later
"""`restyle`: a Take given in another way, without listening to the voice again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro

from backend.commands.style_options import StyleOptions
from shared.formats import save_audio2face_json, save_livelink_csv
from shared.style import StyleDials, restyle_take
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
    style: StyleOptions = field(default_factory=StyleOptions)

    def run(self) -> int:
        dials = StyleDials(
            articulation=self.articulation, head_motion=self.head_motion, **asdict(self.style)
        )
        take = load_take(self.take)
        if before := take.meta.get("style"):
            print(f"note: {_in_words(before)} was turned before; this comes on top")
        styled = restyle_take(take, dials)
        save_take(styled, self.out)
        written = [self.out]
        if self.csv is not None:
            save_livelink_csv(styled, self.csv)
            written.append(self.csv)
        if self.a2f is not None:
            save_audio2face_json(styled, self.a2f)
            written.append(self.a2f)
        print(f"{styled.frame_count} frames with {_in_words(dials.turned()) or 'no dial turned'}")
        for path in written:
            print(f"wrote {path}")
        return 0


def _in_words(turned: object) -> str:
    if not isinstance(turned, dict):
        return str(turned)
    return ", ".join(f"{name} {value}" for name, value in turned.items())
