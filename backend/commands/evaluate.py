# SPDX-License-Identifier: GPL-3.0-or-later
"""`evaluate`: quality measured on real data, beside a floor and a public baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class EvaluateSpeech:
    """Measure lips against phones: closures, rounding, tucks, silence, lag."""

    data: Path
    """A folder of recordings, each with its phones: NAME.wav and NAME.phones.json."""
    weights: Path | None = None
    """Other weights than the shipped ones: a motion.safetensors."""
    live: bool = False
    """Also measure a live performance, which has less look-ahead."""
    plot: Path | None = None
    """Draw the curves of each recording over its waveform and phones: a folder for PNG files."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.speech import run

        return run(
            self.data, weights=self.weights, live=self.live, plot=self.plot, as_json=self.json
        )


@dataclass(frozen=True)
class EvaluateHeadPose:
    """Compare head motion with tracked heads: spread, speed, share of slow motion, seeds."""

    data: Path
    """A folder of tracks: track_*.csv with time_s, pitch_deg, yaw_deg, roll_deg."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.head_pose import run

        return run(self.data, as_json=self.json)


@dataclass(frozen=True)
class EvaluateBadInput:
    """Check that the mouth stays calm on silence, noise, music and damaged recordings."""

    weights: Path | None = None
    """Other weights than the shipped ones: a motion.safetensors."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.bad_input import run

        return run(self.weights, as_json=self.json)


@dataclass(frozen=True)
class EvaluateFaces:
    """Compare the muscle table with a reference head; how many photos give a face, how well."""

    data: Path
    """The data folder that holds heads/ and faces/."""
    most: int = 40
    """How many photos to try from each folder; 0 tries all."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.faces import run

        return run(self.data, self.most, as_json=self.json)


@dataclass(frozen=True)
class EvaluateTeacher:
    """Compare lips in millimetres: the teacher's mesh, weights alone, and the student."""

    cache: Path = Path(".cache/training")
    """The folder of the corpora; if it has no held-out ones, espeak-ng speaks some."""
    seconds: float = 120.0
    """How much of each corpus to use."""
    picture: Path | None = None
    """Only draw the lips in a row of poses, by weights alone and driven, as a PNG."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        if self.picture is not None:
            from backend.evaluation.lip_picture import save_picture

            save_picture(self.picture)
            print(f"wrote {self.picture}")
            return 0
        from backend.evaluation.teacher import run

        return run(self.cache, seconds=self.seconds, as_json=self.json)


@dataclass(frozen=True)
class EvaluateVideo:
    """Compare rendered videos with real clips, their Takes and their photos; with ablations."""

    data: Path
    """The data folder that holds video/, faces/ and speech/; missing parts are skipped."""
    clips: int = 0
    """How many clips to compare with; 0 takes all."""
    only: tuple[Literal["clips", "lips", "pose"], ...] = ("clips", "lips", "pose")
    """Parts to measure: re-enacted real clips, lips of rendered Takes, turning heads."""
    quick: bool = False
    """Every second frame, the whole pipeline and the plain warp only, fewer videos."""
    workers: int = 1
    """How many processes compare clips in parallel."""
    sheet: Path | None = None
    """Also draw contact sheets: a folder for PNG files."""
    weights: Path | None = None
    """A folder with other networks than the shipped ones."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from backend.evaluation.video.run import Wanted, run

        wanted = Wanted(
            parts=tuple(self.only),
            clips=self.clips,
            quick=self.quick,
            workers=self.workers,
            sheet=self.sheet,
            weights=self.weights,
        )
        return run(self.data, wanted, as_json=self.json)


@dataclass(frozen=True)
class Evaluate:
    """Measure quality on real data and print a table."""

    what: (
        Annotated[EvaluateSpeech, tyro.conf.subcommand("speech")]
        | Annotated[EvaluateHeadPose, tyro.conf.subcommand("head-pose")]
        | Annotated[EvaluateBadInput, tyro.conf.subcommand("bad-input")]
        | Annotated[EvaluateFaces, tyro.conf.subcommand("faces")]
        | Annotated[EvaluateTeacher, tyro.conf.subcommand("teacher")]
        | Annotated[EvaluateVideo, tyro.conf.subcommand("video")]
    )

    def run(self) -> int:
        return self.what.run()
