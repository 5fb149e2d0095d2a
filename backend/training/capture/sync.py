# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what is seen fit what is heard, and when? Lips against the network's lips and loudness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from backend.audio.load import Audio
from backend.audio_to_mesh.decoder import RATE, decode
from backend.audio_to_mesh.listener import hear
from backend.audio_to_mesh.loudness import loudness
from backend.audio_to_mesh.motion_model import MotionModel
from shared.arkit import ARKIT_NAMES, INDEX
from shared.lips import aperture
from shared.take import Take, resample_take

# Farther apart than this a film is broken in a way that correlation does not find.
_FARTHEST = 0.5
# Beyond these the film should be looked at before anything is learned from it.
LARGEST_OFFSET, LEAST_CORRELATION = 0.080, 0.2


@dataclass(frozen=True)
class Sync:
    """`offset` seconds by which the picture is late (negative: early) and the correlation of the
    measured gap between the lips there, with the shipped network's and with loudness.
    """

    offset: float
    correlation: float
    with_loudness: float


@dataclass(frozen=True)
class Agreement:
    """A captured Take beside the shipped network on the same sound: correlation over time of the
    gap between the lips and of rounding (pucker and funnel), without any shift.
    """

    aperture: float
    rounding: float


def network_weights(audio: Audio, model: MotionModel) -> Float32[np.ndarray, "T 52"]:
    """What the shipped network makes of a sound: ARKit weights [T,52] at 100 Hz."""
    return decode(hear(audio.samples, model), model.decoder)[:, : len(ARKIT_NAMES)]


def at_times(
    times: Float64[np.ndarray, " T"], curves: Float64[np.ndarray, " T"], rate: float, count: int
) -> Float64[np.ndarray, " N"]:
    """A curve [T] at its own `times` [T], on `count` frames at `rate`; ends are held."""
    return np.asarray(np.interp(np.arange(count) / rate, times, curves))


def correlation(
    one: Float64[np.ndarray, " T"], other: Float[np.ndarray, " T"], valid: Bool[np.ndarray, " T"]
) -> float:
    """Pearson's r over the valid frames [T]; 0 where a curve does not move."""
    one, other = one[valid], other[valid]
    if len(one) < 3 or one.std() < 1e-9 or other.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def best_lag(
    seen: Float64[np.ndarray, " T"], heard: Float[np.ndarray, " T"], valid: Bool[np.ndarray, " T"]
) -> tuple[float, float]:
    """Seconds by which `seen` [T] is late behind `heard` [T], both at 100 Hz, and r there.

    `valid` [T] belongs to `seen`. The peak is refined between the frames by a parabola.
    """
    farthest = min(round(_FARTHEST * RATE), len(seen) // 3)
    lags = np.arange(-farthest, farthest + 1)
    scores = np.array([_at_lag(seen, heard, valid, int(lag)) for lag in lags])
    best = int(np.argmax(scores))
    offset = float(lags[best])
    if 0 < best < len(lags) - 1:
        before, peak, after = scores[best - 1 : best + 2]
        bend = before - 2 * peak + after
        if bend < -1e-12:
            offset += 0.5 * (before - after) / bend
    return float(offset / RATE), float(scores[best])


def _at_lag(
    seen: Float64[np.ndarray, " T"],
    heard: Float[np.ndarray, " T"],
    valid: Bool[np.ndarray, " T"],
    lag: int,
) -> float:
    if lag >= 0:
        size = len(seen) - lag
        return correlation(seen[lag:], heard[:size], valid[lag:])
    size = len(seen) + lag
    return correlation(seen[:size], heard[-lag:], valid[:size])


def measure_sync(
    gap: Float64[np.ndarray, " T"],
    valid: Bool[np.ndarray, " T"],
    audio: Audio,
    network: Float32[np.ndarray, "N 52"],
) -> Sync:
    """`gap` [T] and `valid` [T] at 100 Hz as seen; `network` [T,52] of `network_weights`."""
    count = min(len(gap), len(network))
    heard = aperture(network[:count].T).astype(np.float64)
    offset, peak = best_lag(gap[:count], heard, valid[:count])
    level = loudness(audio.samples)
    count = min(len(gap), len(level))
    decibels = 20 * np.log10(np.maximum(level[:count], 1e-4))
    _, with_loudness = best_lag(gap[:count], decibels, valid[:count])
    return Sync(offset, peak, with_loudness)


def agreement(
    take: Take,
    valid: Bool[np.ndarray, " T"],
    gap: Float64[np.ndarray, " T"],
    network: Float32[np.ndarray, "N 52"],
) -> Agreement:
    """Compare; `gap` [T] as measured and `valid` [T] at 100 Hz."""
    weights = resample_take(take, float(RATE)).weights
    count = min(len(weights), len(network), len(gap))
    valid = valid[:count]
    heard = aperture(network[:count].T).astype(np.float64)
    return Agreement(
        correlation(gap[:count], heard, valid),
        correlation(_rounding(weights[:count]), _rounding(network[:count]), valid),
    )


def _rounding(weights: Float32[np.ndarray, "T 52"]) -> Float64[np.ndarray, " T"]:
    columns = [INDEX["mouthPucker"], INDEX["mouthFunnel"]]
    return np.asarray(weights[:, columns].sum(axis=1), np.float64)
