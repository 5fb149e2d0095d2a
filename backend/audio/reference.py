# SPDX-License-Identifier: GPL-3.0-or-later
"""What average speech is, from what was heard before: the mean that features are taken from.

Strictly causal, so that a voice that is still being spoken gives what the whole recording gives.
Blocks of `BLOCK` frames are the unit: the mean for a block comes from the blocks before it, and
from one second of a usual spectrum (the profile) as loud as what was heard, which is all there is
at the beginning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.audio.log_mel import BANDS, level

BLOCK = 10
# Blocks of the past that count.
HISTORY = 80
# Blocks within 35 dB of the peak count as speech; the peak is the third loudest block, so that a
# click or two do not set it.
_GATE = 35.0 / 10.0 * float(np.log(10.0))
_PEAK_RANK = 3
# The profile counts as so many frames.
_PROFILE_FRAMES = 100.0
# Before anything was heard: the peak of speech at about -20 dB of full scale.
_USUAL_PEAK = 6.0
# A past whose peak is quieter than about -65 dB of full scale is quiet rather than faint speech:
# its mean is raised, so that faint noise does not look like speech.
_QUIET_PEAK = -4.3
_ROWS = 64


def block_sums(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sums [n, 160] over whole blocks of features [T, 160], and the loudest frame [n] of each.

    Frames behind the last whole block are left out.
    """
    count = len(features) // BLOCK
    whole = features[: count * BLOCK]
    sums = whole.reshape(count, BLOCK, BANDS).sum(axis=1)
    return sums, level(whole).reshape(count, BLOCK).max(axis=1, initial=-np.inf)


def block_means(
    sums: NDArray[np.float32], levels: NDArray[np.float32], profile: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The reference mean at the end of each block: [n + 1, 160], row k from blocks before k.

    `sums` [n, 160] and `levels` [n] as `block_sums` gives them, `profile` [160] relative to the
    peak. Rows from `HISTORY` on depend on the last `HISTORY` blocks alone.
    """
    count = len(sums)
    past = np.concatenate([np.full(HISTORY, -np.inf, np.float32), levels])
    padded_sums = np.concatenate([np.zeros((HISTORY, BANDS), np.float32), sums])
    windows = np.lib.stride_tricks.sliding_window_view(past, HISTORY)
    loudest = np.sort(np.partition(windows, HISTORY - _PEAK_RANK, axis=1)[:, -_PEAK_RANK:])
    unknown = _PEAK_RANK - np.minimum(np.arange(count + 1), _PEAK_RANK)[:, None]
    loudest = np.where(np.arange(_PEAK_RANK) < unknown, np.float32(_USUAL_PEAK), loudest)
    peak = loudest.min(axis=1)
    means = np.empty((count + 1, BANDS), np.float32)
    # Some rows at a time, each with its own band of the past: plain matrix products are quick.
    for first in range(0, count + 1, _ROWS):
        rows = peak[first : first + _ROWS, None]
        reach = slice(first, first + len(rows) + HISTORY - 1)
        place = np.arange(len(rows) + HISTORY - 1) - np.arange(len(rows))[:, None]
        loud = (past[reach] >= rows - _GATE) & (place >= 0) & (place < HISTORY)
        weights = loud.astype(np.float32)
        total = weights @ padded_sums[reach] + _PROFILE_FRAMES * (rows + profile)
        frames = BLOCK * weights.sum(axis=1, keepdims=True) + _PROFILE_FRAMES
        raised = np.maximum(_QUIET_PEAK - rows, 0.0)
        means[first : first + len(rows)] = total / frames + raised
    return means


def frame_means(
    before: NDArray[np.float32], means: NDArray[np.float32], first: int, stop: int
) -> NDArray[np.float32]:
    """The reference [stop - first, 160] of frames `first` to `stop`, counted from the beginning of
    the block of `means[0]` [n + 1, 160]; `before` [160] is the mean of the block ahead of it.

    Within a block the reference goes in a straight line from the last mean to its own, so it never
    jumps.
    """
    index = np.arange(first, stop)
    block = index // BLOCK
    share = ((index % BLOCK + 1) / BLOCK).astype(np.float32)[:, None]
    steps = np.concatenate([before[None], means])
    return np.asarray(steps[block] + share * (steps[block + 1] - steps[block]))


def references(features: NDArray[np.float32], profile: NDArray[np.float32]) -> NDArray[np.float32]:
    """The reference mean [T, 160] of every frame of a clip's features [T, 160]."""
    sums, levels = block_sums(features)
    means = block_means(sums, levels, profile)
    return frame_means(means[0], means, 0, len(features))
