# SPDX-License-Identifier: GPL-3.0-or-later
"""How many channels become one without losing the voice.

The plain mean is right for nearly every recording. It is wrong when a channel is dead (the
voice would come out at half its level) and when two channels carry the same voice with opposite
sign (it would vanish). Both show in the channels' covariance, which costs little to collect
while the sound is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# A channel quieter than this share of the loudest one's level is dead: 1 % is -40 dB.
_ALIVE_LEVEL = 0.01
# Below this correlation with the loudest channel a channel holds the same sound upside down.
_UPSIDE_DOWN = -0.5
# The mean of the living channels may lose this share of their mean power before signs are looked
# at: unrelated channels keep 1/n of it, so only a real cancellation comes below a quarter of that.
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

    def add(self, block: NDArray[np.float32]) -> None:
        """Take in a block of samples [frames, channels]."""
        wide = block.astype(np.float64)
        self.frames += len(wide)
        self._sum += np.ones(len(wide)) @ wide  # sum(axis=0) is slow on narrow arrays
        self._products += wide.T @ wide

    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the channels [channels, channels]; a constant offset does not count."""
        count = max(self.frames, 1)
        mean = self._sum / count
        covariance: NDArray[np.float64] = self._products / count - np.outer(mean, mean)
        return covariance


def plain_mix(channels: int) -> NDArray[np.float32]:
    """The mean of all channels, as weights [channels]."""
    return np.full(channels, 1.0 / channels, dtype=np.float32)


def mix_weights(statistics: ChannelStatistics) -> NDArray[np.float32]:
    """Weights [channels] whose weighted sum is the voice at its own level.

    Dead channels get 0; the living share the sum evenly. If their mean would cancel, channels
    that run against the loudest one are turned over.
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
