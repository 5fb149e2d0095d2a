# SPDX-License-Identifier: GPL-3.0-or-later
"""`evaluate teacher`: the driven mesh against its weights, and the student against the teacher.

The teacher reads phones that the student cannot see, on voices and in languages that training
does not use. Both move the lips of the mean face; errors are distances of lip vertices. This shows
how well sound replaces the transcript. It does not show how well the teacher imitates people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from backend.audio.load import Audio
from backend.audio.log_mel import log_mel
from backend.audio_to_mesh.lip_motion import DrivenFace, face_of, linear_lips
from backend.audio_to_mesh.speaker import SpeakerStyle
from backend.evaluation.baselines import FPS, loudness_floor, rhubarb_curves, rhubarb_program
from backend.face.lip_contact import gaps, lip_region, lip_vertices
from backend.training.corpus.synthesise import espeak_utterances
from backend.training.corpus.text import held_out_languages
from backend.training.corpus.utterance import Utterance, is_complete, load_corpus, to_float
from backend.training.fits.lip_offsets import OffsetFigures, measure
from backend.training.teacher.articulation import RATE, Lesson, loudness, teach
from backend.training.teacher.driven_mesh import face_pool, lesson_lips
from backend.training.teacher.manner import random_style
from shared.errors import ErrorKind, VividKeysError
from shared.take import Take

CORPORA = {
    "real-test": "real speakers",
    "flite-rms": "another program's voice",
    "espeak-held-out": "other languages",
}
SECONDS = 120.0
RESAMPLES = 1000
_OTHER_FACES = 91
_MILLIMETRES = 1000.0
NOTE = (
    "Errors of the lip vertices in mm on the mean face against the teacher's driven mesh: 'largest'"
    " is the mean over frames of the largest in a frame (unsquared), 'squared' the same squared"
    " (mm²), 'mean' the mean over the lips. All frames count, including pauses. Intervals are 95 %"
    " of a bootstrap over clips."
)

Motion = Callable[[Audio, Lesson], Float32[np.ndarray, "T L 3"]]


@dataclass(frozen=True)
class Errors:
    """One system: errors in mm with 95 % intervals (value, low, high).

    `sealed_gap` is the median of the largest gap in mm over frames in which the teacher seals the
    lips; None if there are none.
    """

    name: str
    largest: tuple[float, float, float]
    mean: tuple[float, float, float]
    squared: tuple[float, float, float]
    sealed_gap: float | None


@dataclass(frozen=True)
class Comparison:
    """All systems on one corpus."""

    corpus: str
    about: str
    clips: int
    seconds: float
    rows: tuple[Errors, ...]


@lru_cache(maxsize=1)
def mean_face() -> DrivenFace:
    """The face that all systems move."""
    return face_of(np.zeros(8))


def lesson_of(utterance: Utterance, style: SpeakerStyle | None = None) -> Lesson:
    """The teacher's lesson for an utterance."""
    return teach(utterance.phones, loudness(log_mel(to_float(utterance.samples))), style)


def audio_of(utterance: Utterance) -> Audio:
    """The utterance's sound as a user would provide it."""
    return Audio(samples=to_float(utterance.samples), sha256="", name=utterance.name)


def take_lips(take: Take, with_offsets: bool) -> Float32[np.ndarray, "T L 3"]:
    """Displacement in metres of the mean face's lips in a Take."""
    moved = linear_lips(mean_face().lips, take.weights)
    if with_offsets and len(take.offset_basis):
        fields = take.offset_basis[:, lip_region()]
        moved = moved + np.tensordot(take.offset_weights, fields, axes=1)
    return np.asarray(moved, np.float32)


def _at_lesson_rate(weights: Float32[np.ndarray, "N 52"]) -> Float32[np.ndarray, "T 52"]:
    """Resample a baseline's weights from 60 frames per second."""
    frames = int(len(weights) * RATE / FPS)
    position = np.minimum(np.arange(frames) * (FPS / RATE), len(weights) - 1)
    below = np.minimum(position.astype(np.int64), max(len(weights) - 2, 0))
    above = np.minimum(below + 1, len(weights) - 1)
    share = (position - below).astype(np.float32)[:, None]
    return np.asarray(weights[below] * (1 - share) + weights[above] * share, np.float32)


def systems(weights: Path | None = None) -> list[tuple[str, Motion]]:
    """The systems that are compared, by name.

    They are a still mouth, loudness, Rhubarb if it is installed, the student, and the teacher's own
    weights, which are the best that weights alone can do.
    """
    from backend.audio_to_mesh.animate import AnimateSettings, animate
    from backend.audio_to_mesh.motion_model import MotionModel

    lips = mean_face().lips
    model = MotionModel.load(weights)
    settings = AnimateSettings(fps=float(RATE), blinks=0.0, head_motion=0.0)
    # Two rows show the same performance, so each clip is animated only once.
    latest: list[tuple[Audio, Take]] = []

    def student(audio: Audio) -> Take:
        if not latest or latest[0][0] is not audio:
            latest[:] = [(audio, animate(audio, model, settings))]
        return latest[0][1]

    found: list[tuple[str, Motion]] = [
        ("no motion", lambda _, lesson: linear_lips(lips, lesson.weights() * 0)),
        ("loudness", lambda a, _: linear_lips(lips, _at_lesson_rate(loudness_floor(a)))),
    ]
    program = rhubarb_program()
    if program is not None:
        found.append(
            ("Rhubarb", lambda a, _: linear_lips(lips, _at_lesson_rate(rhubarb_curves(program, a))))
        )
    return [
        *found,
        (f"VividKeys {model.version}, weights alone", lambda a, _: take_lips(student(a), False)),
        (f"VividKeys {model.version}, with offsets", lambda a, _: take_lips(student(a), True)),
        ("the teacher's weights alone", lambda _, lesson: linear_lips(lips, lesson.weights())),
    ]


@dataclass(frozen=True)
class _ClipSums:
    """Sums over the frames of one clip."""

    frames: int
    largest: float
    mean: float
    squared: float


def _clip_sums(
    made: Float32[np.ndarray, "N L 3"], driven: Float32[np.ndarray, "T L 3"]
) -> _ClipSums:
    frames = min(len(made), len(driven))
    chosen = lip_vertices()
    away = (made[:frames, chosen] - driven[:frames, chosen]) * np.float32(_MILLIMETRES)
    distance = np.linalg.norm(away, axis=2)
    largest = distance.max(axis=1)
    return _ClipSums(
        frames, float(largest.sum()), float(distance.mean(axis=1).sum()), float((largest**2).sum())
    )


def _interval(sums: Sequence[_ClipSums], name: str) -> tuple[float, float, float]:
    """Mean per frame, and its 95 % interval over clips drawn with replacement."""
    totals = np.array([getattr(clip, name) for clip in sums], np.float64)
    frames = np.array([clip.frames for clip in sums], np.float64)
    draws = np.random.default_rng(0).integers(len(sums), size=(RESAMPLES, len(sums)))
    drawn = totals[draws].sum(axis=1) / frames[draws].sum(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(totals.sum() / frames.sum()), float(low), float(high)


def compare(
    corpus: str,
    utterances: Sequence[Utterance],
    compared: Sequence[tuple[str, Motion]],
    advance: Callable[[], None] = lambda: None,
) -> Comparison:
    """Every system on every utterance, against the teacher in its usual style."""
    face = mean_face()
    sums: dict[str, list[_ClipSums]] = {name: [] for name, _ in compared}
    slits: dict[str, list[Float32[np.ndarray, " N"]]] = {name: [] for name, _ in compared}
    for utterance in utterances:
        lesson, audio = lesson_of(utterance), audio_of(utterance)
        driven, _ = lesson_lips(face.lips, lesson)
        sealed = np.flatnonzero(lesson.seal * (1 - lesson.rest) > 0.99)
        for name, motion in compared:
            made = motion(audio, lesson)
            sums[name].append(_clip_sums(made, driven))
            inside = sealed[sealed < len(made)]
            slits[name].append(gaps(face.lips, made[inside])[0].max(axis=1) * _MILLIMETRES)
        advance()
    rows = []
    for name, clips in sums.items():
        slit = np.concatenate(slits[name])
        rows.append(
            Errors(
                name,
                _interval(clips, "largest"),
                _interval(clips, "mean"),
                _interval(clips, "squared"),
                float(np.median(slit)) if len(slit) else None,
            )
        )
    length = sum(utterance.duration for utterance in utterances)
    return Comparison(corpus, CORPORA.get(corpus, ""), len(utterances), length, tuple(rows))


def held_out(cache: Path, seconds: float) -> dict[str, list[Utterance]]:
    """Up to `seconds` of each held-out corpus of the cache, evenly chosen.

    Without any, up to a minute of languages that training does not use, spoken by espeak-ng.
    Raises VividKeysError(missing_dependency) if that cannot be had either.
    """
    found: dict[str, list[Utterance]] = {}
    for name in CORPORA:
        if is_complete(cache / name):
            utterances = list(load_corpus(cache / name))
            total = sum(utterance.duration for utterance in utterances)
            found[name] = utterances[:: max(int(np.ceil(total / seconds)), 1)]
    if found:
        return found
    try:
        spoken = list(espeak_utterances(min(seconds, 60.0), 300, 1.0, held_out_languages()))
    except (ImportError, OSError) as error:
        raise VividKeysError(
            ErrorKind.MISSING_DEPENDENCY,
            f"There is no held-out speech in '{cache}', and espeak-ng cannot speak: {error}.",
            "Name the folder of the corpora with --cache, or install the training packages.",
        ) from error
    return {"espeak-held-out": spoken}


def teacher_figures(utterances: Sequence[Utterance]) -> OffsetFigures:
    """The driven mesh against weights alone.

    Faces, sentences and styles are ones that the fields were not fitted to.
    """
    faces = face_pool(9, _OTHER_FACES)[1:]
    random = np.random.default_rng(_OTHER_FACES)
    cases = [
        (faces[number % len(faces)], lesson_of(utterance, random_style(random)))
        for number, utterance in enumerate(utterances)
    ]
    return measure(cases)


def run(cache: Path, *, seconds: float = SECONDS, as_json: bool = False) -> int:
    """Print both tables; the exit code is 0."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=None)
        corpora = held_out(cache, seconds)
        bar.update(task, total=sum(map(len, corpora.values())), description="Comparing")
        figures = teacher_figures([u for utterances in corpora.values() for u in utterances[:40]])
        compared = systems()
        comparisons = [
            compare(name, utterances, compared, lambda: bar.advance(task))
            for name, utterances in corpora.items()
        ]
    if as_json:
        reduced = {"mean": figures.reduction_mean, "max": figures.reduction_max}
        answer = {
            "teacher": {**asdict(figures), "reduction": reduced},
            "student": [asdict(comparison) for comparison in comparisons],
            "note": NOTE,
        }
        print(json.dumps(answer, indent=2))
        return 0
    console = Console()
    if not console.is_terminal:  # a pipe has no width; do not break the lines
        console = Console(width=150)
    console.print(_teacher_table(figures))
    for comparison in comparisons:
        console.print(_student_table(comparison))
    console.print(NOTE)
    return 0


def _teacher_table(f: OffsetFigures) -> Table:
    title = "The teacher's lips on unseen faces and sentences, mm"
    table = Table("figure", "weights alone", "with offsets", "less by", "driven mesh", title=title)
    table.add_row(
        "error, mean of the lips", f"{f.alone_mean:.3f}", f"{f.offsets_mean:.3f}",
        f"{100 * f.reduction_mean:.1f} %", "0",
    )  # fmt: skip
    table.add_row(
        "error, largest of a frame", f"{f.alone_max:.3f}", f"{f.offsets_max:.3f}",
        f"{100 * f.reduction_max:.1f} %", "0",
    )  # fmt: skip
    gaps_row = (f.alone_gap, f.offsets_gap, f.driven_gap)
    crossings = (f.alone_crossing, f.offsets_crossing, f.driven_crossing)
    for name, row in (("gap on p b m, largest", gaps_row), ("crossing, deepest", crossings)):
        table.add_row(name, f"{row[0]:.3f}", f"{row[1]:.3f}", "", f"{row[2]:.3f}")
    return table


def _student_table(comparison: Comparison) -> Table:
    table = Table(
        "system", "largest, mm", "mean, mm", "squared, mm²", "gap on p b m, mm",
        title=f"{comparison.corpus} ({comparison.about}): {comparison.clips} clips, "
        f"{comparison.seconds:.0f} s",
    )  # fmt: skip
    for row in comparison.rows:
        cells = (
            f"{value:.2f} [{low:.2f} {high:.2f}]"
            for value, low, high in (row.largest, row.mean, row.squared)
        )
        gap = "-" if row.sealed_gap is None else f"{row.sealed_gap:.2f}"
        table.add_row(row.name, *cells, gap)
    alone, helped = comparison.rows[-3:-1]
    if alone.largest == helped.largest:
        table.caption = "These weights have no offset branch: both of their rows are the same."
    return table
