# SPDX-License-Identifier: GPL-3.0-or-later
"""The phone-based lip table: the model beside a loudness floor, a public peer and the labels."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from backend.audio.load import Audio, load_audio
from backend.evaluation.baselines import (
    FPS,
    frame_count,
    label_curves,
    loudness_floor,
    rhubarb_curves,
    rhubarb_program,
)
from backend.evaluation.lip_metric import SCORE_NAMES, ClipEvidence, LipScores, gather, score
from backend.evaluation.phones import Phone, read_phones
from shared.errors import ErrorKind, VividKeysError

RESAMPLES = 300
NOTE = (
    "The phone times are silver labels: aligned by a program and corrected, about 13 ms off. "
    "Intervals are 95 % of a bootstrap over clips. 'labels' is the score of curves made from the "
    "phones themselves with that error. Lag: positive means that the mouth is late; the measure "
    "itself reads about 6 ms late."
)


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording and its phones."""

    name: str
    audio: Audio
    phones: list[Phone]


@dataclass(frozen=True)
class System:
    """Something that moves lips: `curves` gives weights at 60 fps for a clip."""

    name: str
    curves: Callable[[Clip], Float32[np.ndarray, "T 52"]]


@dataclass(frozen=True)
class SystemScores:
    """A row: pooled scores and their 95 % intervals over clips."""

    name: str
    scores: LipScores
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class SpeechTable:
    """All rows, and the amounts of data behind them."""

    rows: tuple[SystemScores, ...]
    clips: int
    seconds: float
    bilabials: int
    """p b m inside speech, on which recall is counted."""
    labiodentals: int
    vowels: int
    remarks: tuple[str, ...]


def read_clips(folder: Path) -> list[Clip]:
    """Every `NAME.wav` of a folder that has a `NAME.phones.json` beside it, sorted by name.

    Raises VividKeysError(bad_file) if there are none.
    """
    clips = [
        Clip(wave.stem, load_audio(wave), read_phones(labels))
        for wave in sorted(folder.glob("*.wav"))
        if (labels := wave.with_suffix("").with_suffix(".phones.json")).is_file()
    ]
    if not clips:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"There are no labelled recordings in '{folder}'.",
            "Give --data a folder that contains NAME.wav and NAME.phones.json.",
        )
    return clips


def loudness_system() -> System:
    """A mouth that opens with the loudness alone, as the lower bound."""
    return System("loudness floor", lambda clip: loudness_floor(clip.audio))


def label_system() -> System:
    """Curves made from the labels themselves, as the upper bound."""
    return System("labels", lambda clip: label_curves(clip.phones, frame_count(clip.audio)))


def rhubarb_systems() -> list[System]:
    """Rhubarb with both of its recognisers, if it is on the PATH; else nothing."""
    program = rhubarb_program()
    if program is None:
        return []

    def curves(recognizer: str) -> Callable[[Clip], Float32[np.ndarray, "T 52"]]:
        return lambda clip: rhubarb_curves(program, clip.audio, recognizer=recognizer)

    return [
        System("rhubarb phonetic", curves("phonetic")),
        System("rhubarb sphinx", curves("pocketSphinx")),
    ]


def model_system(weights: Path | None = None, *, live: bool = False) -> System:
    """The shipped network, or the one in `weights`; only its lips, without blinks and head.

    `live` runs it with the short look-ahead of a live performance.
    """
    from backend.audio_to_mesh.motion_model import MotionModel
    from backend.audio_to_mesh.settings import AnimateSettings
    from backend.audio_to_mesh.streaming import StreamingAnimator

    model = MotionModel.load(weights)
    settings = AnimateSettings(fps=FPS, blinks=0.0, gaze=0.0, head_motion=0.0)

    def curves(clip: Clip) -> Float32[np.ndarray, "T 52"]:
        # How the sound is cut changes nothing, so it goes in one piece.
        stream = StreamingAnimator(model, settings, live=live)
        chunks = [stream.push(clip.audio.samples), stream.finish()]
        return np.concatenate([chunk.weights for chunk in chunks if chunk is not None])

    return System(f"VividKeys {model.version}" + (" live" if live else ""), curves)


def evaluate_speech(
    clips: Sequence[Clip],
    systems: Sequence[System],
    *,
    remarks: Sequence[str] = (),
    progress: Callable[[float, str], None] = lambda _fraction, _sentence: None,
) -> SpeechTable:
    """Run every system over every clip and score it."""
    rows: list[SystemScores] = []
    evidence: list[ClipEvidence] = []
    for number, system in enumerate(systems):
        evidence = []
        for place, clip in enumerate(clips):
            progress((number + place / len(clips)) / len(systems), f"{system.name}: {clip.name}")
            evidence.append(gather(system.curves(clip), clip.phones, FPS))
        rows.append(SystemScores(system.name, score(evidence), intervals(evidence)))
    return SpeechTable(
        rows=tuple(rows),
        clips=len(clips),
        seconds=sum(clip.audio.duration for clip in clips),
        bilabials=sum(clip.bilabials for clip in evidence),
        labiodentals=sum(len(clip.tuck_labiodental) for clip in evidence),
        vowels=sum(clip.vowels for clip in evidence),
        remarks=(NOTE, *remarks),
    )


def draw(clips: Sequence[Clip], system: System, folder: Path) -> list[Path]:
    """Write `NAME.png` for every clip: the system's curves over waveform and phones."""
    from backend.evaluation.curve_picture import curve_picture

    written = []
    for clip in clips:
        path = folder / f"{clip.name}.png"
        title = f"{clip.name}: {system.name}"
        curve_picture(path, title, clip.audio.samples, clip.phones, system.curves(clip), FPS)
        written.append(path)
    return written


def intervals(
    evidence: Sequence[ClipEvidence], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % intervals of every score: clips drawn with replacement, percentiles of the scores."""
    random = np.random.Generator(np.random.PCG64(seed))
    draws = random.integers(len(evidence), size=(resamples, len(evidence)))
    values = np.array(
        [list(asdict(score([evidence[k] for k in draw])).values()) for draw in draws],
        dtype=np.float64,
    )
    result: dict[str, tuple[float, float]] = {}
    for name, column in zip(SCORE_NAMES, values.T, strict=True):
        known = column[np.isfinite(column)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (math.nan, math.nan)
        result[name] = (float(low), float(high))
    return result


_LABELS = {
    "bilabial_recall": "p b m: mouth shuts (recall)",
    "bilabial_precision": "closures that belong to p b m (precision)",
    "bilabial_f1": "F1 of both",
    "vowel_false_closure": "vowels with a shut mouth (lower is better)",
    "closure_score": "closure score (recall - false)",
    "auc_open_close": "open against close vowels, AUC",
    "auc_vowel_bilabial": "vowels against p b m, AUC",
    "spearman_openness": "aperture against openness, Spearman",
    "auc_round_spread": "round against spread lips, AUC",
    "auc_labiodental_tuck": "f v: tucked lip, AUC",
    "silence_closed": "silence with a shut mouth",
    "lag_ms": "lag, ms",
    "peak_r": "correlation at that lag",
    "r_at_zero": "correlation at lag 0",
}


def rich_table(table: SpeechTable) -> Table:
    """The table for a terminal: a line per score, a column per system."""
    view = Table(
        title=(
            f"Lips against phones: {table.clips} clips, {table.seconds:.0f} s, "
            f"{table.bilabials} p b m inside speech, {table.labiodentals} f v"
        ),
        caption="\n".join(table.remarks),
        caption_justify="left",
    )
    view.add_column("score")
    for row in table.rows:
        view.add_column(row.name, justify="right")
    for name in SCORE_NAMES:
        view.add_row(_LABELS[name], *(_cell(row, name) for row in table.rows))
    return view


def _cell(row: SystemScores, name: str) -> str:
    value, (low, high) = getattr(row.scores, name), row.intervals[name]
    if not math.isfinite(value):
        return "-"
    if name == "lag_ms":
        return f"{value:+.0f} [{low:+.0f} {high:+.0f}]"
    return f"{value:.2f} [{low:.2f} {high:.2f}]"


def as_dict(table: SpeechTable) -> dict[str, object]:
    """The table for `--json`; scores that could not be counted are null."""

    def known(value: float) -> float | None:
        return round(value, 4) if math.isfinite(value) else None

    return {
        "clips": table.clips,
        "seconds": round(table.seconds, 2),
        "bilabials": table.bilabials,
        "labiodentals": table.labiodentals,
        "vowels": table.vowels,
        "labels": "silver",
        "remarks": list(table.remarks),
        "systems": [
            {
                "name": row.name,
                "scores": {name: known(value) for name, value in asdict(row.scores).items()},
                "intervals_95": {
                    name: [known(low), known(high)] for name, (low, high) in row.intervals.items()
                },
            }
            for row in table.rows
        ],
    }


def run(
    data: Path,
    *,
    weights: Path | None = None,
    live: bool = False,
    plot: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print the table for a folder of labelled recordings; the exit code is 0.

    Without the model's weights the other rows are printed and a remark says what is missing.
    `plot` is a folder for a picture of every recording (see `curve_picture`).
    """
    remarks: list[str] = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=1.0)
        clips = read_clips(data)
        systems = [loudness_system()]
        peers = rhubarb_systems()
        if not peers:
            remarks.append("Rhubarb Lip Sync is not on the PATH, so its row is left out.")
        systems += [*peers, label_system()]
        bar.update(task, description="Loading the model")
        try:
            model = model_system(weights)
            systems.append(model)
            if live:
                systems.append(model_system(weights, live=True))
            if plot is not None:
                bar.update(task, description="Drawing")
                draw(clips, model, plot)
        except VividKeysError as error:
            remarks.append(f"Without the model's row: {error.sentence} {error.next_step}")
        table = evaluate_speech(
            clips,
            systems,
            remarks=remarks,
            progress=lambda share, sentence: bar.update(
                task, completed=share, description=sentence
            ),
        )
    if as_json:
        print(json.dumps(as_dict(table), indent=2))
    else:
        console = Console()
        if not console.is_terminal:  # a pipe has no width; do not break the lines
            console = Console(width=150)
        console.print(rich_table(table))
    return 0
