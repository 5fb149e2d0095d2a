# SPDX-License-Identifier: GPL-3.0-or-later
"""Mix channels to one without losing the voice.

The plain mean is right for nearly every recording. It is wrong when a channel is dead (the
voice would come out at half its level) and when two channels carry the same voice with opposite
sign (it would vanish). Both show in the channels' covariance, which costs little to collect
while the sound is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

# A channel is dead below this share of the loudest one's level: 1 % is -40 dB.
_ALIVE_LEVEL = 0.01
# Below this correlation with the loudest channel a channel has the same sound inverted.
_UPSIDE_DOWN = -0.5
# Polarity is examined if the mean of the living channels keeps less than this share of the power
# that unrelated channels keep, 1/n: only a real cancellation loses that much.
_CANCELLED = 0.25


@dataclass
class ChannelStatistics:
    """Sums over all frames so far, in float64: count, per-channel sum and second moments."""

    channels: int
    frames: int = 0
    _sum: NDArray[np.float64] = field(init=False)
    _products: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self._sum = np.zeros(self.channels)
        self._products = np.zeros((self.channels, self.channels))

    def add(self, block: Float32[np.ndarray, "frames channels"]) -> None:
        """Add a block of samples."""
        wide = block.astype(np.float64)
        self.frames += len(wide)
        self._sum += np.ones(len(wide)) @ wide  # sum(axis=0) is slow on narrow arrays
        self._products += wide.T @ wide

    def covariance(self) -> Float64[np.ndarray, "channels channels"]:
        """Covariance of the channels; a constant offset does not count."""
        count = max(self.frames, 1)
        mean = self._sum / count
        covariance: NDArray[np.float64] = self._products / count - np.outer(mean, mean)
        return covariance


def plain_mix(channels: int) -> Float32[np.ndarray, " channels"]:
    """The weights of the plain mean of all channels."""
    return np.full(channels, 1.0 / channels, dtype=np.float32)


def mix_weights(statistics: ChannelStatistics) -> Float32[np.ndarray, " channels"]:
    """Weights whose weighted sum is the voice at its own level.

    Dead channels get 0, the others equal weights. If their mean would cancel, channels of
    opposite polarity to the loudest one are inverted.
    """
    covariance = statistics.covariance()
    power = np.maximum(np.diag(covariance), 0.0)
    loudest = int(np.argmax(power))
    if power[loudest] <= 1e-16:  # silence everywhere: any mix will do
        return plain_mix(statistics.channels)
    alive = power > power[loudest] * _ALIVE_LEVEL**2
    weights = np.where(alive, 1.0 / alive.sum(), 0.0)
    mixed_power = float(weights @ covariance @ weights)
    if mixed_power < _CANCELLED * power[alive].mean() / alive.sum():
        correlation = covariance[loudest] / np.sqrt(np.maximum(power * power[loudest], 1e-30))
        weights = np.where(correlation < _UPSIDE_DOWN, -weights, weights)
    return weights.astype(np.float32)
