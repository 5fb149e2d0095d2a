# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the lips do what the phones ask for? Scores of ARKit curves against phone times.

Plain correlation of the aperture proves little: loudness alone reaches it. What distinguishes
systems are closures on p b m *together with* false closures on vowels, rounding, vowel height,
tucked lips on f v, and timing. Every score is scale-invariant: halving all weights changes nothing.
Pure numpy. Clips are pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil, floor, nan

import numpy as np
from jaxtyping import Bool, Float32, Float64

from backend.evaluation.phones import (
    BILABIAL,
    CLOSE,
    LABIODENTAL,
    OPEN,
    OTHER_OPENNESS,
    ROUND,
    SILENCE,
    SPREAD,
    VOWELS,
    Phone,
    openness,
)
from shared.arkit import ARKIT_NAMES, INDEX
from shared.lips import APERTURE, TUCK

_ROUNDING = {
    "mouthPucker": 1.0,
    "mouthFunnel": 0.75,
    "mouthSmile": -0.45,
    "mouthStretch": -0.4,
    "mouthDimple": -0.1,
}

_CLOSED = 0.25  # of the clip's usual vowel aperture
_BESIDE_SILENCE = 0.03
_CLOSURE_REACH = 0.02
_SHORTEST_VOWEL = 0.04
_NEAR = 0.06
_SHORTEST_SILENCE, _SILENCE_TRIM = 0.25, 0.1
_CORE = 0.6
_SMOOTHING, _LONGEST_LAG = 0.12, 0.3


@dataclass(frozen=True)
class LipScores:
    """One system's row; shares are 0..1, `nan` where nothing could be counted."""

    bilabial_recall: float
    bilabial_precision: float
    bilabial_f1: float
    vowel_false_closure: float
    closure_score: float
    auc_open_close: float
    auc_vowel_bilabial: float
    spearman_openness: float
    auc_round_spread: float
    auc_labiodental_tuck: float
    silence_closed: float
    lag_ms: float
    """Positive: the mouth is late."""
    peak_r: float
    r_at_zero: float


SCORE_NAMES: tuple[str, ...] = tuple(field.name for field in fields(LipScores))


@dataclass(frozen=True)
class ClipEvidence:
    """What one clip contributes to the pooled scores.

    The arrays hold one value per phone of a group: the mean over the phone's core.
    """

    bilabials: int
    bilabials_closed: int
    vowels: int
    vowels_closed: int
    closures_hit: int
    closures_false: int
    silent_frames: int
    silent_frames_closed: int
    aperture_open: Float64[np.ndarray, " open"]
    aperture_close: Float64[np.ndarray, " close"]
    aperture_bilabial: Float64[np.ndarray, " bilabial"]
    aperture_classed: Float64[np.ndarray, " classed"]
    openness_classed: Float64[np.ndarray, " classed"]
    round_round: Float64[np.ndarray, " round"]
    round_spread: Float64[np.ndarray, " spread"]
    tuck_labiodental: Float64[np.ndarray, " labiodental"]
    tuck_others: Float64[np.ndarray, " others"]
    frames: int
    fps: float
    correlation: Float64[np.ndarray, " lags"]
    """At lags of -n .. n frames; positive lags: the mouth comes after the phones."""


def _mixing(table: dict[str, float]) -> Float64[np.ndarray, " 52"]:
    """Coefficients of the shapes; a name without a side stands for both of its sides."""
    coefficients = np.zeros(len(ARKIT_NAMES))
    for name, value in table.items():
        for shape in (name,) if name in INDEX else (f"{name}Left", f"{name}Right"):
            coefficients[INDEX[shape]] = value
    return coefficients


def aperture(weights: Float32[np.ndarray, "T 52"]) -> Float64[np.ndarray, " T"]:
    """Gap between the inner lips, 1 = jawOpen at 1; never negative."""
    return np.asarray(np.maximum(weights.astype(np.float64) @ _mixing(APERTURE), 0.0))


def rounding(weights: Float32[np.ndarray, "T 52"]) -> Float64[np.ndarray, " T"]:
    """How round the lips are: pucker and funnel against smile and stretch."""
    return np.asarray(weights.astype(np.float64) @ _mixing(_ROUNDING))


def tuck(weights: Float32[np.ndarray, "T 52"]) -> Float64[np.ndarray, " T"]:
    """How far the lower lip is tucked under the upper teeth."""
    return np.asarray(weights.astype(np.float64) @ _mixing(TUCK))


def _span(start: float, end: float, fps: float, frames: int) -> slice:
    """Frames floor(start) to ceil(end), at least one, inside the clip."""
    first = min(max(floor(start * fps + 1e-9), 0), frames - 1)
    last = min(max(ceil(end * fps - 1e-9), first + 1), frames)
    return slice(first, last)


def _core(curve: Float64[np.ndarray, " T"], phone: Phone, fps: float) -> float:
    """Mean of a curve over the middle 60 % of a phone."""
    edge = (1.0 - _CORE) / 2 * phone.length
    return float(curve[_span(phone.start + edge, phone.end - edge, fps, len(curve))].mean())


def normalised_aperture(
    weights: Float32[np.ndarray, "T 52"], phones: Sequence[Phone], fps: float
) -> Float64[np.ndarray, " T"]:
    """Aperture in units of the clip's usual vowel aperture."""
    gap = aperture(weights)
    of_vowels = np.zeros(len(gap), dtype=np.bool_)
    for phone in phones:
        if phone.name in VOWELS:
            of_vowels[_span(phone.start, phone.end, fps, len(gap))] = True
    values = gap[of_vowels] if of_vowels.any() else gap
    result: Float64[np.ndarray, " T"] = gap / max(
        float(np.median(values)), 0.25 * float(values.max()), 0.001
    )
    return result


def ideal_openness(
    phones: Sequence[Phone], fps: float, frames: int
) -> Float64[np.ndarray, " frames"]:
    """The openness of the phone that touches each frame, of two the later one; silence is 0.

    Borders are rounded down, which makes every mouth read about 6 ms later than it is.
    """
    track = np.zeros(frames)
    for phone in phones:
        value = 0.0 if phone.name in SILENCE else openness(phone.name)
        track[_span(phone.start, phone.end, fps, frames)] = (
            OTHER_OPENNESS if value is None else value
        )
    return track


def gather(
    weights: Float32[np.ndarray, "T 52"], phones: Sequence[Phone], fps: float
) -> ClipEvidence:
    """Evidence of one clip from weights at `fps` and its phones."""
    apn = normalised_aperture(weights, phones, fps)
    round_curve, tuck_curve = rounding(weights), tuck(weights)
    frames = len(apn)
    closed = apn < _CLOSED
    speech = [phone for phone in phones if phone.name not in SILENCE]
    silences = [phone for phone in phones if phone.name in SILENCE]
    bilabials = [phone for phone in speech if phone.name in BILABIAL]
    inside = [phone for phone in bilabials if not _beside(phone, silences, _BESIDE_SILENCE)]
    vowels = [p for p in speech if p.name in VOWELS and p.length > _SHORTEST_VOWEL]
    hits, false = _count_runs(closed, phones, fps)

    trimmed = [
        Phone(p.start + _SILENCE_TRIM, p.end - _SILENCE_TRIM, p.name)
        for p in silences
        if p.length >= _SHORTEST_SILENCE - 1e-9
    ]
    silent = [closed[_span(p.start, p.end, fps, frames)] for p in trimmed]
    classed = [p for p in speech if openness(p.name) is not None]

    def cores(
        curve: Float64[np.ndarray, " T"], group: Sequence[Phone]
    ) -> Float64[np.ndarray, " N"]:
        return np.array([_core(curve, phone, fps) for phone in group])

    def among(names: frozenset[str]) -> list[Phone]:
        return [phone for phone in speech if phone.name in names]

    return ClipEvidence(
        bilabials=len(inside),
        bilabials_closed=sum(
            bool(closed[_span(p.start - _CLOSURE_REACH, p.end + _CLOSURE_REACH, fps, frames)].any())
            for p in inside
        ),
        vowels=len(vowels),
        vowels_closed=int(np.count_nonzero(cores(apn, vowels) < _CLOSED)),
        closures_hit=hits,
        closures_false=false,
        silent_frames=sum(len(part) for part in silent),
        silent_frames_closed=sum(int(np.count_nonzero(part)) for part in silent),
        aperture_open=cores(apn, among(OPEN)),
        aperture_close=cores(apn, among(CLOSE)),
        aperture_bilabial=cores(apn, bilabials),
        aperture_classed=cores(apn, classed),
        openness_classed=np.array([openness(p.name) for p in classed], dtype=np.float64),
        round_round=cores(round_curve, among(ROUND)),
        round_spread=cores(round_curve, among(SPREAD)),
        tuck_labiodental=cores(tuck_curve, among(LABIODENTAL)),
        tuck_others=cores(tuck_curve, [p for p in speech if p.name not in LABIODENTAL | BILABIAL]),
        frames=frames,
        fps=fps,
        correlation=_cross_correlation(apn, ideal_openness(phones, fps, frames), fps),
    )


def _beside(phone: Phone, others: Sequence[Phone], reach: float) -> bool:
    """Whether one of `others` lies within `reach` seconds of the phone."""
    return any(
        other.end > phone.start - reach - 1e-9 and other.start < phone.end + reach + 1e-9
        for other in others
    )


def _count_runs(
    closed: Bool[np.ndarray, " T"], phones: Sequence[Phone], fps: float
) -> tuple[int, int]:
    """Closures inside speech: hits, which belong to a bilabial, and false ones.

    A run of closed frames counts as one closure. Runs near a labiodental or a silence that are
    not hits count as neither.
    """
    frames = len(closed)
    near_bilabial, excused, in_speech = np.zeros((3, frames), dtype=np.bool_)
    for phone in phones:
        if phone.name not in SILENCE:
            in_speech[_span(phone.start, phone.end, fps, frames)] = True
    for phone in phones:
        wide = _span(phone.start - _NEAR, phone.end + _NEAR, fps, frames)
        if phone.name in BILABIAL:
            near_bilabial[wide] = True
        elif phone.name in LABIODENTAL or phone.name in SILENCE:
            excused[wide] = True
        if phone.name in SILENCE:
            in_speech[_span(phone.start, phone.end, fps, frames)] = False
    edges = np.flatnonzero(np.diff(np.r_[0, (closed & in_speech).astype(np.int8), 0]))
    hits = false = 0
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if near_bilabial[first:last].any():
            hits += 1
        elif not excused[first:last].any():
            false += 1
    return hits, false


def _hann(length: float, fps: float) -> Float64[np.ndarray, " N"]:
    """Hann window over `length` seconds, its zero ends included: odd in frames, unit sum."""
    window = np.hanning(2 * max(int(length * fps / 2), 1) + 1)
    result: Float64[np.ndarray, " N"] = window / window.sum()
    return result


def smooth(
    curve: Float64[np.ndarray, "*shape"], length: float, fps: float
) -> Float64[np.ndarray, "*shape"]:
    """Hann smoothing over `length` seconds along the first axis; end values are extended."""
    window = _hann(length, fps)
    half = len(window) // 2
    padded = np.pad(curve, [(half, half)] + [(0, 0)] * (curve.ndim - 1), mode="edge")
    flat = padded.reshape(len(padded), -1)
    columns = [np.convolve(flat[:, k], window, mode="valid") for k in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(curve.shape)


def _cross_correlation(
    curve: Float64[np.ndarray, " T"], ideal: Float64[np.ndarray, " T"], fps: float
) -> Float64[np.ndarray, " lags"]:
    """Correlation of two tracks at lags of -300 to 300 ms; 0 where one is constant."""
    lags = round(_LONGEST_LAG * fps)
    scaled = []
    for track in (curve, ideal):
        track = smooth(track, _SMOOTHING, fps)
        spread = float(track.std())
        scaled.append((track - track.mean()) / spread if spread > 1e-9 else np.zeros(len(track)))
    mouth, phones = scaled
    count = len(mouth)
    values = []
    for lag in range(-lags, lags + 1):
        late, early = mouth[max(lag, 0) : count + min(lag, 0)], phones[max(-lag, 0) :]
        early = early[: len(late)]
        values.append(float(late @ early) / max(len(late), 1))
    return np.array(values)


def auc(positive: Float64[np.ndarray, " N"], negative: Float64[np.ndarray, " M"]) -> float:
    """P(positive > negative) + P(equal) / 2, or nan if one side is empty."""
    if len(positive) == 0 or len(negative) == 0:
        return nan
    ranks = average_ranks(np.concatenate([positive, negative]))
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def average_ranks(values: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Ranks from 1; equal values share their mean rank."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[group], dtype=np.float64)


def spearman(one: Float64[np.ndarray, " N"], other: Float64[np.ndarray, " N"]) -> float:
    """Rank correlation, or nan for fewer than two values or a constant."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return nan
    return float(np.corrcoef(average_ranks(one), average_ranks(other))[0, 1])


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else nan


def score(clips: Sequence[ClipEvidence]) -> LipScores:
    """Scores of the pooled clips (all at the same frame rate)."""

    def total(name: str) -> float:
        return float(sum(getattr(clip, name) for clip in clips))

    def pooled(name: str) -> Float64[np.ndarray, " N"]:
        return np.concatenate([getattr(clip, name) for clip in clips])

    recall = _share(total("bilabials_closed"), total("bilabials"))
    hits = total("closures_hit")
    # The precision of a mouth that never closes is undefined.
    precision = _share(hits, hits + total("closures_false"))
    f1 = _share(2 * precision * recall, precision + recall)
    false_closure = _share(total("vowels_closed"), total("vowels"))
    open_vowels, close_vowels = pooled("aperture_open"), pooled("aperture_close")
    lag, peak, at_zero = _lag(clips)
    return LipScores(
        bilabial_recall=recall,
        bilabial_precision=precision,
        bilabial_f1=f1,
        vowel_false_closure=false_closure,
        closure_score=recall - false_closure,
        auc_open_close=auc(open_vowels, close_vowels),
        auc_vowel_bilabial=auc(
            np.concatenate([open_vowels, close_vowels]), pooled("aperture_bilabial")
        ),
        spearman_openness=spearman(pooled("aperture_classed"), pooled("openness_classed")),
        auc_round_spread=auc(pooled("round_round"), pooled("round_spread")),
        auc_labiodental_tuck=auc(pooled("tuck_labiodental"), pooled("tuck_others")),
        silence_closed=_share(total("silent_frames_closed"), total("silent_frames")),
        lag_ms=lag,
        peak_r=peak,
        r_at_zero=at_zero,
    )


def _lag(clips: Sequence[ClipEvidence]) -> tuple[float, float, float]:
    """Lag in ms, correlation there and at zero, of the clips' mean weighted by their frames."""
    weight = np.array([clip.frames for clip in clips], dtype=np.float64)
    curve = np.average([clip.correlation for clip in clips], axis=0, weights=weight)
    best = int(np.argmax(curve))
    middle = len(curve) // 2
    shift, peak = 0.0, float(curve[best])
    if 0 < best < len(curve) - 1:  # the vertex of the parabola through the three top values
        before, here, after = curve[best - 1 : best + 2]
        bend = before - 2 * here + after
        if bend < 0:
            shift = 0.5 * (before - after) / bend
            peak = float(here - 0.25 * (before - after) * shift)
    return float(1000.0 * (best - middle + shift) / clips[0].fps), peak, float(curve[middle])
