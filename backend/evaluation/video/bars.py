# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality targets of the videos, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from backend.evaluation.video.lip_sync import VideoFigures
from backend.evaluation.video.methods import WARP, WHOLE
from backend.evaluation.video.pictures import Likeness
from backend.evaluation.video.reenact import FACE, MOUTH, MOUTH_GAIN, ClipFigures, MethodFigures

CORRELATION, MOST_LAG = 0.95, 1.0
POSE_CORRELATION = 0.97
SHARPNESS = 0.9


@dataclass(frozen=True)
class Bar:
    """A target and what was measured; `reached` is None where nothing could be measured."""

    what: str
    wanted: str
    measured: str
    reached: bool | None


@dataclass(frozen=True)
class Measure:
    """One figure of a likeness; `error` is a form of it that is zero for equal pictures."""

    name: str
    value: Callable[[Likeness], float]
    higher_is_better: bool
    error: Callable[[Likeness], float]


MEASURES = (
    # Decibels have no zero: gains in percent are of the root mean square error they stand for.
    Measure("PSNR", lambda row: row.psnr, True, lambda row: 255.0 * 10.0 ** (-row.psnr / 20.0)),
    Measure("SSIM", lambda row: row.ssim, True, lambda row: 1.0 - row.ssim),
    Measure("gradient error", lambda row: row.gradient, False, lambda row: row.gradient),
)


def region_of(figures: MethodFigures, region: str) -> Likeness:
    """The figures of a region by its name."""
    return figures.face if region == FACE else figures.mouth


def clip_values(
    clips: Sequence[ClipFigures], method: str, region: str, value: Callable[[Likeness], float]
) -> Float64[np.ndarray, " clips"]:
    """A figure of every clip."""
    return np.array([value(region_of(clip.of(method), region)) for clip in clips])


def clip_bars(clips: Sequence[ClipFigures]) -> list[Bar]:
    """Self-reenactment: better than the plain warp, sharp, without flicker."""
    bars: list[Bar] = []
    known = {figures.method for figures in clips[0].methods} if clips else set()
    if not {WARP, WHOLE} <= known:
        return bars
    for region in (FACE, MOUTH):
        for measure in MEASURES:
            whole = clip_values(clips, WHOLE, region, measure.value)
            warp = clip_values(clips, WARP, region, measure.value)
            better = whole > warp if measure.higher_is_better else whole < warp
            errors = clip_values(clips, WHOLE, region, measure.error)
            lost = clip_values(clips, WARP, region, measure.error)
            less = 1.0 - float(errors.mean() / lost.mean())
            wanted = MOUTH_GAIN if region == MOUTH else 0.0
            more = float(whole.mean() / warp.mean() - 1.0)
            wins = f"better in {int(better.sum())} of {len(clips)} clips"
            bars.append(
                Bar(
                    f"{region}: {measure.name} better than the warp's",
                    f"error at least {100 * wanted:.0f} % less" if wanted else "better",
                    f"{whole.mean():.3f} against {warp.mean():.3f} ({100 * more:+.1f} %); error "
                    f"{100 * less:+.1f} % less; {wins}",
                    bool(less > 0.0 and less >= wanted),
                )
            )
    own = [clip.of(WHOLE) for clip in clips]
    bars.append(
        _at_least(
            "clips: sharpness of the face over the photo's (CPBD)",
            SHARPNESS,
            [f.sharpness / clip.photo_sharpness for f, clip in zip(own, clips, strict=True)],
        )
    )
    for name, made, real in (
        ("background", [f.background for f in own], [clip.background for clip in clips]),
        ("skin over bone", [f.skin for f in own], [clip.skin for clip in clips]),
    ):
        bars.append(_at_most(f"clips: flicker of the {name}, levels", made, real))
    return bars


def video_bars(videos: Sequence[VideoFigures]) -> list[Bar]:
    """Lips follow the Take, with the head moving naturally."""
    if not videos:
        return []
    lags = [abs(video.aperture.lag) for video in videos]
    made, kept = (sum(getattr(v.closures, name) for v in videos) for name in ("made", "kept"))
    share = f"{kept} of {made}"
    return [
        _at_least("lips: correlation of the aperture", CORRELATION,
                  [video.aperture.correlation for video in videos]),
        Bar("lips: lag of the aperture, frames", f"within {MOST_LAG:g}",
            f"{np.mean([v.aperture.lag for v in videos]):+.2f}, worst {max(lags):.2f}",
            bool(max(lags) <= MOST_LAG)),
        Bar("lips: closures that stay closed", "-", share, None),
        _at_least("Takes: sharpness of the face over the photo's (CPBD)", SHARPNESS,
                  [video.sharpness for video in videos]),
        _found(videos),
    ]  # fmt: skip


def pose_bars(videos: Sequence[VideoFigures]) -> list[Bar]:
    """Heads follow swings about each axis."""
    if not videos:
        return []
    bars = []
    for axis in range(3):
        rows = [video.pose[axis] for video in videos]
        name = rows[0].axis
        bars.append(
            _at_least(f"pose: correlation of the {name}", POSE_CORRELATION,
                      [row.correlation for row in rows])
        )  # fmt: skip
    return [*bars, _found(videos)]


def _found(videos: Sequence[VideoFigures]) -> Bar:
    least = min(video.found for video in videos)
    return Bar("faces found", "in all frames", f"{100 * least:.1f} % at worst", least >= 1.0)


def _at_least(what: str, wanted: float, values: Sequence[float]) -> Bar:
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return Bar(what, f"at least {wanted:g}", "-", None)
    measured = f"{known.mean():.3f}, worst {known.min():.3f}"
    return Bar(what, f"at least {wanted:g}", measured, bool(known.mean() >= wanted))


def _at_most(what: str, made: Sequence[float], real: Sequence[float]) -> Bar:
    pairs = np.array([pair for pair in zip(made, real, strict=True) if np.isfinite(pair).all()])
    if not len(pairs):
        return Bar(what, "at most the clip's", "-", None)
    one, other = pairs.mean(axis=0)
    lower = int((pairs[:, 0] <= pairs[:, 1]).sum())
    measured = f"{one:.2f} against {other:.2f}; lower in {lower} of {len(pairs)}"
    return Bar(what, "at most the clip's", measured, bool(one <= other))
