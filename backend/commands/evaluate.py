# SPDX-License-Identifier: GPL-3.0-or-later
"""`evaluate`: figures on real data, with a floor and a public peer beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class EvaluateSpeech:
    """Lip figures from phones: closures, rounding, tucks, silence, lag."""

    data: Path
    """A folder of recordings, each with its phones: NAME.wav and NAME.phones.json."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.speech import run

        return run(self.data, as_json=self.json)


@dataclass(frozen=True)
class EvaluateHeadMotion:
    """Head motion against tracked heads: spread, speed, share of slow motion."""

    data: Path
    """A folder of tracks: track_*.csv with time_s, pitch_deg, yaw_deg, roll_deg."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.head_motion import run

        return run(self.data, as_json=self.json)


@dataclass(frozen=True)
class EvaluateFaces:
    """The muscle table against a reference head, and how many photos give a face."""

    data: Path
    """The data folder that holds heads/ and faces/."""
    most: int = 40
    """Photos to try from each folder; 0 tries all."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.faces import run

        return run(self.data, self.most, as_json=self.json)


@dataclass(frozen=True)
class Evaluate:
    """Measure quality on real data and print a table."""

    what: (
        Annotated[EvaluateSpeech, tyro.conf.subcommand("speech")]
        | Annotated[EvaluateHeadMotion, tyro.conf.subcommand("head-motion")]
        | Annotated[EvaluateFaces, tyro.conf.subcommand("faces")]
    )

    def run(self) -> int:
        return self.what.run()
