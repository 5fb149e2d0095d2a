# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of videos as tables for a terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.table import Table

from backend.evaluation.video.bars import MEASURES, Bar, clip_values, region_of
from backend.evaluation.video.lip_sync import VideoFigures
from backend.evaluation.video.methods import WARP, WHOLE, label
from backend.evaluation.video.reenact import FACE, MOUTH, ClipFigures


@dataclass(frozen=True)
class VideoTable:
    """Everything measured. `people` is the distance between different people, for `identity`."""

    clips: tuple[ClipFigures, ...]
    speech: tuple[VideoFigures, ...]
    swings: tuple[VideoFigures, ...]
    people: float
    bars: tuple[Bar, ...]
    remarks: tuple[str, ...]


def rich_tables(table: VideoTable) -> list[Table]:
    """Self-reenactment, rendered Takes, and the targets."""
    tables = []
    if table.clips:
        tables += [_methods(table.clips), _each_clip(table.clips)]
    if table.speech:
        tables.append(_videos("Takes rendered and tracked again", table.speech, table.people))
    if table.swings:
        tables.append(_videos("Heads swinging by 20 degrees", table.swings, table.people))
    if table.bars:
        view = Table("target", "wanted", "measured", "", title="Targets")
        for bar in table.bars:
            word = {True: "reached", False: "missed", None: ""}[bar.reached]
            view.add_row(bar.what, bar.wanted, bar.measured, word)
        tables.append(view)
    return tables


def _methods(clips: Sequence[ClipFigures]) -> Table:
    frames = sum(clip.frames for clip in clips)
    view = Table(
        title=f"Self-reenactment: {len(clips)} clips, {frames} frames",
        caption=(
            "Means over clips ± standard deviation. Gradient error, flicker: levels. Compare "
            "flicker with that of the real frames."
        ),
        caption_justify="left",
    )
    view.add_column("method")
    for region in (FACE, MOUTH):
        for measure in MEASURES:
            view.add_column(f"{region}: {measure.name}", justify="right")
    for name in ("CPBD", "energy", "background", "skin"):
        view.add_column(name, justify="right")
    for figures in clips[0].methods:
        cells = [
            _spread(clip_values(clips, figures.method, region, measure.value), measure.name)
            for region in (FACE, MOUTH)
            for measure in MEASURES
        ]
        own = [clip.of(figures.method) for clip in clips]
        view.add_row(
            label(figures.method), *cells,
            _mean([f.sharpness for f in own]), _mean([f.energy for f in own], 0),
            _mean([f.background for f in own]), _mean([f.skin for f in own]),
        )  # fmt: skip
    view.add_row(
        "real frames", *[""] * 6,
        _mean([clip.sharpness for clip in clips]), _mean([clip.energy for clip in clips], 0),
        _mean([clip.background for clip in clips]), _mean([clip.skin for clip in clips]),
    )  # fmt: skip
    return view


def _each_clip(clips: Sequence[ClipFigures]) -> Table:
    """Where the whole pipeline is better or worse than the warp, clip by clip."""
    names = [figures.method for figures in clips[0].methods]
    view = Table("clip", title=f"{label(WHOLE)} against {label(WARP)}, clip by clip")
    if not {WARP, WHOLE} <= set(names):
        return view
    for region in (FACE, MOUTH):
        for measure in MEASURES:
            view.add_column(f"{region}: {measure.name}", justify="right")
    for clip in clips:
        cells = []
        for region in (FACE, MOUTH):
            for measure in MEASURES:
                one, other = (
                    measure.value(region_of(clip.of(name), region)) for name in (WHOLE, WARP)
                )
                worse = one < other if measure.higher_is_better else one > other
                digits = 2 if measure.name != "SSIM" else 3
                mark = " !" if worse else ""
                cells.append(f"{one:.{digits}f} {one - other:+.{digits}f}{mark}")
        view.add_row(clip.name, *cells)
    return view


def _videos(title: str, videos: Sequence[VideoFigures], people: float) -> Table:
    caption = (
        "Pose: correlation, mean error in degrees, gain. Off: bone in the "
        "picture, % of the eye distance. Sharpness: CPBD relative to the photo's."
    )
    if math.isfinite(people):
        caption += f" Different people are {people:.1f} apart in identity."
    view = Table(title=title, caption=caption, caption_justify="left")
    view.add_column("video")
    for name in ("aperture r", "lag", "gain", "closures", "pitch", "roll", "yaw", "off %", "found",
                 "bone mm", "identity", "sharpness", "energy", "background", "skin"):  # fmt: skip
        view.add_column(name, justify="right")
    for video in videos:
        view.add_row(
            video.name,
            _number(video.aperture.correlation, 3),
            _number(video.aperture.lag, 2),
            _number(video.aperture_gain, 2),
            f"{video.closures.kept} of {video.closures.made}",
            *(f"{row.correlation:.3f} {row.error:.1f}° {row.gain:.2f}" for row in video.pose),
            _number(video.away, 2),
            f"{100 * video.found:.0f} %",
            f"{video.bone:.2f} ±{video.bone_sway:.2f}",
            _number(video.identity, 1),
            _number(video.sharpness, 2),
            _number(video.energy, 2),
            _number(video.background, 2),
            _number(video.skin, 2),
        )
    return view


def _spread(values: Float64[np.ndarray, " clips"], name: str) -> str:
    digits = 3 if name == "SSIM" else 2
    return f"{values.mean():.{digits}f} ±{values.std():.{digits}f}"


def _mean(values: Sequence[float], digits: int = 2) -> str:
    known = [value for value in values if math.isfinite(value)]
    return f"{np.mean(known):.{digits}f}" if known else "-"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def as_dict(table: VideoTable) -> dict[str, Any]:
    """Everything for `--json`; what could not be measured is null."""
    found = _plain(asdict(table))
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
