# SPDX-License-Identifier: GPL-3.0-or-later
"""The running mean of speech that is subtracted from features.

It is strictly causal, so that a live voice gives the same result as the whole recording. The unit
is a block of `BLOCK` frames: the mean for a block comes from the blocks before it, and from one
second of an average spectrum (the profile) at the loudness of those blocks. At the beginning there
is only the profile.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from backend.audio.log_mel import BANDS, level

BLOCK = 10
# Number of past blocks that count.
HISTORY = 80
# Blocks within 35 dB of the peak count as speech; the peak is the third loudest block, so that one
# or two clicks do not set it.
_GATE = 35.0 / 10.0 * float(np.log(10.0))
_PEAK_RANK = 3
# The weight of the profile, in frames.
_PROFILE_FRAMES = 100.0
# The peak assumed before any speech: about -20 dB of full scale.
_USUAL_PEAK = 6.0
# A past whose peak is quieter than about -65 dB of full scale is quiet rather than faint speech:
# its mean is raised, so that faint noise does not look like speech.
_QUIET_PEAK = -4.3
_ROWS = 64


def block_sums(
    features: Float32[np.ndarray, "T 160"],
) -> tuple[Float32[np.ndarray, "N 160"], Float32[np.ndarray, " N"]]:
    """Sums over whole blocks of features, and the level of the loudest frame of each.

    Frames after the last whole block are ignored.
    """
    count = len(features) // BLOCK
    whole = features[: count * BLOCK]
    sums = whole.reshape(count, BLOCK, BANDS).sum(axis=1)
    return sums, level(whole).reshape(count, BLOCK).max(axis=1, initial=-np.inf)


def block_means(
    sums: Float32[np.ndarray, "N 160"],
    levels: Float32[np.ndarray, " N"],
    profile: Float32[np.ndarray, " 160"],
) -> Float32[np.ndarray, "N+1 160"]:
    """The reference mean at the end of each block; row k comes from the blocks before k.

    `sums` and `levels` are those of `block_sums`, `profile` is relative to the peak. Rows from
    `HISTORY` on depend on the last `HISTORY` blocks alone.
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
    # Some rows at a time, each with its own band of the past: plain matrix products are fast.
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
    before: Float32[np.ndarray, " 160"], means: Float32[np.ndarray, "N 160"], first: int, stop: int
) -> Float32[np.ndarray, "T 160"]:
    """The reference of frames `first` to `stop`, counted from the block of `means[0]`.

    `before` is the mean of the block before that one. Within a block the reference is interpolated
    linearly from the last mean to its own, so it never jumps.
    """
    index = np.arange(first, stop)
    block = index // BLOCK
    share = ((index % BLOCK + 1) / BLOCK).astype(np.float32)[:, None]
    steps = np.concatenate([before[None], means])
    return np.asarray(steps[block] + share * (steps[block + 1] - steps[block]))


def references(
    features: Float32[np.ndarray, "T 160"], profile: Float32[np.ndarray, " 160"]
) -> Float32[np.ndarray, "T 160"]:
    """The reference mean of every frame of a clip."""
    sums, levels = block_sums(features)
    means = block_means(sums, levels, profile)
    return frame_means(means[0], means, 0, len(features))
