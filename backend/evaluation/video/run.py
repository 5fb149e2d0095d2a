# SPDX-License-Identifier: GPL-3.0-or-later
"""`evaluate video`: the quality of rendered videos in a few tables."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from backend.evaluation.phones import Phone
from backend.evaluation.video.bars import clip_bars, pose_bars, video_bars
from backend.evaluation.video.clips import clip_files, read_clip
from backend.evaluation.video.lip_sync import (
    FPS,
    Video,
    VideoFigures,
    people_apart,
    speech_takes,
    swinging,
    video_figures,
)
from backend.evaluation.video.methods import METHODS, WARP, WHOLE
from backend.evaluation.video.people import photos, recordings
from backend.evaluation.video.reenact import ClipFigures, clip_figures
from backend.evaluation.video.renders import ClipRenders, networks, take_renders
from backend.evaluation.video.tables import VideoTable, as_dict, rich_tables
from backend.evaluation.video.write_sheets import write_people, write_video, write_worst
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_photo
from backend.mesh_to_video.settings import Parts
from shared.errors import VividKeysError
from shared.take import Take

Report = Callable[[float, str], None]

CLIPS, LIPS, POSE = "clips", "lips", "pose"
PARTS = (CLIPS, LIPS, POSE)
# Number of people and recordings for the rendered Takes, the length of a recording in seconds, and
# the number of people for swinging heads and for the contact sheets.
_RECORDINGS, _SECONDS, _SWINGING, _SHEET_PEOPLE = 6, 8.0, 4, 5
_QUICK_STEP, _QUICK_RECORDINGS, _QUICK_SWINGING = 2, 3, 2


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    parts    out of `PARTS`
    clips    at most this many clips; 0 for all
    quick    every second frame, no ablations, fewer videos
    workers  processes for clips
    sheet    a folder for contact sheets, if wanted
    weights  a folder with other networks than the shipped ones
    """

    parts: tuple[str, ...] = PARTS
    clips: int = 0
    quick: bool = False
    workers: int = 1
    sheet: Path | None = None
    weights: Path | None = None


def evaluate_video(data: Path, wanted: Wanted, report: Report) -> VideoTable:
    """Measure what DATA contains; remarks say what is missing."""
    remarks: list[str] = list(networks(Parts(), wanted.weights).warnings)
    clips: list[ClipFigures] = []
    if CLIPS in wanted.parts:
        files = clip_files(data)[: wanted.clips or None]
        if files:
            clips = _clips(files, wanted, remarks, partial(_within, report, 0.0, 0.6))
        else:
            remarks.append(f"No clips: '{data}' has no films in video/, so this part is skipped.")
    speech: list[VideoFigures] = []
    swings: list[VideoFigures] = []
    people: list[tuple[str, Portrait]] = []
    if wanted.sheet is not None or {LIPS, POSE} & set(wanted.parts):
        people = _people(data, remarks)
    if {LIPS, POSE} & set(wanted.parts) and people:
        speech, swings = _videos(data, people, wanted, remarks, partial(_within, report, 0.6, 0.95))
    if wanted.sheet is not None and people:
        report(0.95, "Drawing contact sheets")
        for path in write_people(people[:_SHEET_PEOPLE], wanted.sheet, wanted.weights):
            remarks.append(f"Wrote {path}.")
    apart = people_apart([portrait.landmarks for _, portrait in people])
    bars = (*clip_bars(clips), *video_bars(speech), *pose_bars(swings))
    return VideoTable(tuple(clips), tuple(speech), tuple(swings), apart, bars, tuple(remarks))


def _clips(
    files: Sequence[Path], wanted: Wanted, remarks: list[str], report: Report
) -> list[ClipFigures]:
    methods = (WARP, WHOLE) if wanted.quick else tuple(METHODS)
    step = _QUICK_STEP if wanted.quick else 1
    job = partial(measured_clip, methods=methods, step=step, wanted=wanted)
    found = []
    for number, (path, result) in enumerate(
        zip(files, _spread_out(job, files, wanted.workers), strict=True)
    ):
        report((number + 1) / len(files), f"Self-reenactment: {path.name}")
        if isinstance(result, str):
            remarks.append(f"{path.name} is skipped: {result}")
        else:
            found.append(result)
    return found


def _spread_out(
    job: Callable[[Path], ClipFigures | str], files: Sequence[Path], workers: int
) -> Iterator[ClipFigures | str]:
    if workers <= 1 or len(files) < 2:
        yield from map(job, files)
        return
    # The networks' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(job, files)


def measured_clip(
    path: Path, methods: Sequence[str], step: int, wanted: Wanted
) -> ClipFigures | str:
    """One clip's figures, or a sentence that says why there are none."""
    try:
        clip = read_clip(path)
        figures = clip_figures(clip, ClipRenders(clip, wanted.weights), methods, step)
    except VividKeysError as error:
        return str(error)
    if wanted.sheet is not None:
        write_worst(clip, figures, wanted.sheet, wanted.weights)
    return figures


def _people(data: Path, remarks: list[str]) -> list[tuple[str, Portrait]]:
    people = []
    for path in photos(data, _RECORDINGS):
        try:
            people.append((path.stem, portrait_from_photo(path)))
        except VividKeysError as error:
            remarks.append(f"{path.name} is skipped: {error}")
    if len(people) == 1:
        remarks.append(f"'{data}' has no photos in faces/, so only the sample portrait is used.")
    return people


def _videos(
    data: Path,
    people: Sequence[tuple[str, Portrait]],
    wanted: Wanted,
    remarks: list[str],
    report: Report,
) -> tuple[list[VideoFigures], list[VideoFigures]]:
    count = _QUICK_RECORDINGS if wanted.quick else _RECORDINGS
    speeches = recordings(data, count if LIPS in wanted.parts else 1, _SECONDS)
    if len(speeches) == 1 and LIPS in wanted.parts:
        remarks.append(
            f"'{data}' has no recordings with phones in speech/, so only the sample is used."
        )
    takes = speech_takes(speeches)
    speech: list[VideoFigures] = []
    swings: list[VideoFigures] = []
    turning = _QUICK_SWINGING if wanted.quick else _SWINGING
    total = (LIPS in wanted.parts) * len(takes) + (POSE in wanted.parts) * turning
    if LIPS in wanted.parts:
        for number, (said, take) in enumerate(zip(speeches, takes, strict=True)):
            name, portrait = people[number % len(people)]
            report(len(speech) / total, f"Speaking: {name}, {said.name}")
            video = take_video(f"{name}, {said.name}", portrait, take, wanted.weights)
            _add(speech, video, said.phones, remarks)
            if wanted.sheet is not None:
                write_video(f"{name}_{said.name}", video.frames, wanted.sheet)
    if POSE in wanted.parts:
        for number, (name, portrait) in enumerate(people[:turning]):
            report((total - turning + number) / total, f"Turning: {name}")
            video = take_video(name, portrait, swinging(takes[0]), wanted.weights)
            _add(swings, video, None, remarks)
            if wanted.sheet is not None:
                write_video(f"{name}_swings", video.frames, wanted.sheet)
    return speech, swings


def take_video(name: str, portrait: Portrait, take: Take, weights: Path | None) -> Video:
    """Render a Take at the photo's own size."""
    driven, frames = take_renders(portrait, take, FPS, weights=weights)
    return Video(name, FPS, portrait.pixels, portrait.landmarks, tuple(frames), driven)


def _add(
    rows: list[VideoFigures],
    video: Video,
    phones: Sequence[Phone] | None,
    remarks: list[str],
) -> None:
    try:
        rows.append(video_figures(video, phones))
    except VividKeysError as error:
        remarks.append(f"{video.name} is skipped: {error}")


def _within(report: Report, low: float, high: float, share: float, sentence: str) -> None:
    report(low + (high - low) * share, sentence)


def run(data: Path, wanted: Wanted, *, as_json: bool = False) -> int:
    """Print the tables; the exit code is always 0."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=1.0)
        table = evaluate_video(
            data,
            wanted,
            lambda share, sentence: bar.update(task, completed=share, description=sentence),
        )
    if as_json:
        print(json.dumps(as_dict(table), indent=1))
        return 0
    console = Console()
    if not console.is_terminal:  # a pipe has no width: do not wrap lines
        console = Console(width=200)
    for view in rich_tables(table):
        console.print(view)
    for remark in table.remarks:
        console.print(remark)
    return 0
