# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio-visual sync: the measured lip gap against the network's lip gap and against loudness."""

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

# Larger offsets are not searched for: such a film is broken in ways correlation cannot find.
_FARTHEST = 0.5
# Beyond these, somebody should look at the film before anything is learned from it.
LARGEST_OFFSET, LEAST_CORRELATION = 0.080, 0.2


@dataclass(frozen=True)
class Sync:
    """The offset at which picture and sound agree best.

    `offset` is in seconds, positive where the picture is late; `correlation` is that of the
    measured lip gap with the shipped network's, `with_loudness` with the loudness.
    """

    offset: float
    correlation: float
    with_loudness: float


@dataclass(frozen=True)
class Agreement:
    """Correlation over time of a captured Take with the shipped network on the same sound.

    Of the lip gap and of lip rounding (pucker and funnel), without any shift.
    """

    aperture: float
    rounding: float


def network_weights(audio: Audio, model: MotionModel) -> Float32[np.ndarray, "T 52"]:
    """The ARKit weights that the shipped network infers from a sound, at 100 Hz."""
    return decode(hear(audio.samples, model), model.decoder)[:, : len(ARKIT_NAMES)]


def at_times(
    times: Float64[np.ndarray, " T"], curves: Float64[np.ndarray, " T"], rate: int, count: int
) -> Float64[np.ndarray, " N"]:
    """A curve sampled at `times`, resampled to `count` frames at `rate`; the ends are held."""
    return np.asarray(np.interp(np.arange(count) / rate, times, curves))


def correlation(
    one: Float64[np.ndarray, " T"], other: Float[np.ndarray, " T"], valid: Bool[np.ndarray, " T"]
) -> float:
    """Pearson's r over the valid frames; 0 where a curve is constant."""
    one, other = one[valid], other[valid]
    if len(one) < 3 or one.std() < 1e-9 or other.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def best_lag(
    seen: Float64[np.ndarray, " T"], heard: Float[np.ndarray, " T"], valid: Bool[np.ndarray, " T"]
) -> tuple[float, float]:
    """Seconds by which `seen` lags behind `heard`, both at 100 Hz, and r at that lag.

    `valid` belongs to `seen`. The peak is refined between frames by a parabola.
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
    """Measure the sync of the lip `gap` (at 100 Hz) with the sound and with `network_weights`."""
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
    """Compare a Take with the network; `gap` (as measured) and `valid` are at 100 Hz."""
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
