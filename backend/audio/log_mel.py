# SPDX-License-Identifier: GPL-3.0-or-later
"""Log-mel features at 100 Hz, and their normalisation by the preceding audio (`reference`).

Frame i is centred on sample i * 160 (i / 100 s). A frame holds 80 bands of a 25 ms window and
twice 40 bands of a 12 ms window (2.5 ms before and after the centre) for the quick events. Every
frame depends on its own samples only, so the features of an excerpt equal that excerpt of the
features of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.fft
from jaxtyping import Float32
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
FRAME_RATE = 100
HOP = SAMPLE_RATE // FRAME_RATE
COARSE_BANDS = 80
FINE_BANDS = 40
BANDS = COARSE_BANDS + 2 * FINE_BANDS
_LOWEST, _HIGHEST = 20.0, 7600.0
# Energy below this counts as silence: about -100 dB of full scale in a band.
_FLOOR = 1e-6
_SCALE = 3.0
_LIMIT = 4.0


@dataclass(frozen=True)
class _Filterbank:
    window: NDArray[np.float32]
    matrix: NDArray[np.float32]
    fft_size: int


def _mel(frequency: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """O'Shaughnessy's mel scale."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(frequency) / 700.0))


@cache
def _filterbank(length: int, fft_size: int, bands: int) -> _Filterbank:
    edges = np.linspace(float(_mel(_LOWEST)), float(_mel(_HIGHEST)), bands + 2)
    bins = _mel(np.fft.rfftfreq(fft_size, 1.0 / SAMPLE_RATE))
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    matrix = np.maximum(np.minimum(rising, falling), 0.0)
    # The lowest triangles are narrower than a bin: they take the bin nearest to their centre.
    for band in np.flatnonzero(matrix.sum(axis=0) < 1e-3):
        matrix[int(np.argmin(np.abs(bins - edges[band + 1]))), band] = 1.0
    window = np.hanning(length + 2)[1:-1]
    return _Filterbank(window.astype(np.float32), matrix.astype(np.float32), fft_size)


def _bands(
    samples: NDArray[np.float32], first: int, step: int, count: int, bank: _Filterbank
) -> NDArray[np.float32]:
    """Log energies [count, bands] of windows that begin at `first`, `step` samples apart."""
    length = len(bank.window)
    windows = np.lib.stride_tricks.sliding_window_view(samples[first:], length)[::step][:count]
    spectrum = scipy.fft.rfft(windows * bank.window, bank.fft_size, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    energies: NDArray[np.float32] = np.log(power @ bank.matrix + np.float32(_FLOOR))
    return energies


def frame_count(sample_count: int) -> int:
    """Feature frames of a clip: one per 10 ms, the last within the clip."""
    return sample_count // HOP + 1


def log_mel(
    samples: Float32[np.ndarray, " S"], start: int = 0, stop: int | None = None
) -> Float32[np.ndarray, "T 160"]:
    """Features of mono 16 kHz `samples` for frames start..stop-1.

    Anything outside the clip counts as silence. Any range gives the same values as that slice of
    the whole.
    """
    total = frame_count(len(samples))
    stop = total if stop is None else min(stop, total)
    count = max(stop - start, 0)
    if count == 0:
        return np.zeros((0, BANDS), np.float32)
    margin = 256
    low, high = start * HOP - margin, (stop - 1) * HOP + margin
    piece = samples[max(low, 0) : max(high, 0)].astype(np.float32, copy=False)
    piece = np.pad(piece, (max(-low, 0), max(high - max(len(samples), 0), 0)))
    coarse = _filterbank(400, 512, COARSE_BANDS)
    fine = _filterbank(192, 256, FINE_BANDS)
    features = np.empty((count, BANDS), np.float32)
    features[:, :COARSE_BANDS] = _bands(piece, margin - 200, HOP, count, coarse)
    middle = COARSE_BANDS + FINE_BANDS
    features[:, COARSE_BANDS:middle] = _bands(piece, margin - 40 - 96, HOP, count, fine)
    features[:, middle:] = _bands(piece, margin + 40 - 96, HOP, count, fine)
    return features


def level(features: Float32[np.ndarray, "T 160"]) -> Float32[np.ndarray, " T"]:
    """Loudness of each frame in nats: log of the energy summed over the coarse bands."""
    energies = np.exp(features[:, :COARSE_BANDS]) @ np.ones(COARSE_BANDS, np.float32)
    return np.asarray(np.log(energies), np.float32)


def normalise(
    features: Float32[np.ndarray, "T 160"], mean: Float32[np.ndarray, "T 160"]
) -> Float32[np.ndarray, "T 160"]:
    """Features relative to reference means, scaled and limited."""
    return np.asarray(np.clip((features - mean) / np.float32(_SCALE), -_LIMIT, _LIMIT))
