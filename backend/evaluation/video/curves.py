# SPDX-License-Identifier: GPL-3.0-or-later
"""How well one curve follows another in time, its lag, and which closures it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, nan

import numpy as np
from jaxtyping import Bool, Float

from backend.evaluation.phones import BILABIAL, SILENCE, VOWELS, Phone
from shared.lips import CLOSED

MOST_LAG = 6
# As in `lip_metric`, seconds: a closure may lie this far outside its phone, and a phone this close
# to a silence is not counted.
_REACH, _BESIDE_SILENCE = 0.02, 0.03
# Without phones the mouth counts as open above this share of its widest opening.
_OPEN_SHARE = 0.1


@dataclass(frozen=True)
class Following:
    """How a curve follows the one that it should follow.

    correlation  at lag 0; peak: at the best lag
    lag          frames, positive if the curve is late; interpolated by a parabola
    """

    correlation: float
    peak: float
    lag: float


def following(
    curve: Float[np.ndarray, " T"], wanted: Float[np.ndarray, " T"], most: int = MOST_LAG
) -> Following:
    """How `curve` follows `wanted`, with lags of up to `most` frames; nan for a constant curve."""
    most = min(most, max(len(curve) // 4, 1))
    values = np.array([_correlation_at(curve, wanted, lag) for lag in range(-most, most + 1)])
    if not np.isfinite(values).all():
        return Following(nan, nan, nan)
    best = int(np.argmax(values))
    shift, peak = 0.0, float(values[best])
    if 0 < best < len(values) - 1:
        before, here, after = values[best - 1 : best + 2]
        bend = before - 2 * here + after
        if bend < 0:
            shift = float(0.5 * (before - after) / bend)
            peak = float(here - 0.25 * (before - after) * shift)
    return Following(float(values[most]), min(peak, 1.0), best - most + shift)


def _correlation_at(
    curve: Float[np.ndarray, " T"], wanted: Float[np.ndarray, " T"], lag: int
) -> float:
    late = curve[max(lag, 0) : len(curve) + min(lag, 0)]
    early = wanted[max(-lag, 0) : len(wanted) - max(lag, 0)]
    if np.ptp(late) < 1e-12 or np.ptp(early) < 1e-12:
        return nan
    return float(np.corrcoef(late, early)[0, 1])


def gain(curve: Float[np.ndarray, " T"], wanted: Float[np.ndarray, " T"]) -> float:
    """The amplitude of the curve relative to the wanted one: the slope of the regression."""
    away = wanted - wanted.mean()
    total = float(away @ away)
    return float(away @ (curve - curve.mean())) / total if total > 0 else nan


@dataclass(frozen=True)
class Closures:
    """Lip closures of the mesh and of the video.

    asked    p, b and m inside speech; without phones, the closures of the mesh
    made     those at which the mesh closes; kept: those of them that also close in the video
    """

    asked: int
    made: int
    kept: int

    @property
    def share(self) -> float:
        """The share of the mesh's closures that also close in the video."""
        return self.kept / self.made if self.made else nan


def closures(
    seen: Float[np.ndarray, " T"],
    wanted: Float[np.ndarray, " T"],
    fps: float,
    phones: Sequence[Phone] | None = None,
) -> Closures:
    """Closures in the gap between the lips: `seen` in the video, `wanted` on the mesh.

    Lips count as closed below a quarter of the usual opening (at vowels) of the same curve.
    """
    shown = seen < CLOSED * usual_gap(seen, fps, phones)
    meant = wanted < CLOSED * usual_gap(wanted, fps, phones)
    if phones is None:
        spans = _runs(meant)
        return Closures(len(spans), len(spans), sum(bool(shown[part].any()) for part in spans))
    places = [
        _span(phone.start - _REACH, phone.end + _REACH, fps, len(seen))
        for phone in inner_bilabials(phones, len(seen) / fps)
    ]
    made = [part for part in places if meant[part].any()]
    return Closures(len(places), len(made), sum(bool(shown[part].any()) for part in made))


def inner_bilabials(phones: Sequence[Phone], seconds: float) -> list[Phone]:
    """p, b and m that are not next to a silence, before the end."""
    silences = [phone for phone in phones if phone.name in SILENCE]
    return [
        phone
        for phone in phones
        if phone.name in BILABIAL
        and phone.end <= seconds
        and not any(
            silence.end > phone.start - _BESIDE_SILENCE
            and silence.start < phone.end + _BESIDE_SILENCE
            for silence in silences
        )
    ]


def usual_gap(
    gap: Float[np.ndarray, " T"], fps: float, phones: Sequence[Phone] | None = None
) -> float:
    """The median gap at vowels; without phones, of the frames in which the mouth is open."""
    inside = np.zeros(len(gap), np.bool_)
    for phone in phones or ():
        if phone.name in VOWELS and phone.start * fps < len(gap):
            inside[_span(phone.start, phone.end, fps, len(gap))] = True
    if not inside.any():
        inside = gap > _OPEN_SHARE * float(gap.max())
    return max(float(np.median(gap[inside])) if inside.any() else 0.0, 1e-9)


def _span(start: float, end: float, fps: float, frames: int) -> slice:
    """The frames that an interval overlaps, at least one, inside the clip."""
    first = min(max(floor(start * fps + 1e-9), 0), frames - 1)
    last = min(max(ceil(end * fps - 1e-9), first + 1), frames)
    return slice(first, last)


def _runs(closed: Bool[np.ndarray, " T"]) -> list[slice]:
    """Closures between openings; those at the ends are pauses and left out."""
    edges = np.flatnonzero(np.diff(np.r_[0, closed.astype(np.int8), 0]))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [slice(int(a), int(b)) for a, b in pairs if a > 0 and b < len(closed)]
