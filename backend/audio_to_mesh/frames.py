# SPDX-License-Identifier: GPL-3.0-or-later
"""What is heard at every moment of a clip of any length, in constant memory.

Features, reference means and network outputs are made in blocks at fixed places of the clip and
forgotten again, so the result does not depend on which stretch is asked for first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.audio.log_mel import (
    FRAME_RATE,
    frame_count,
    level,
    log_mel,
    normalise,
    reference_mean,
)
from backend.audio_to_mesh.motion_model import Heard, MotionModel

# Seconds of sound before and after a moment that say what average speech is there.
HISTORY, AHEAD = 8.0, 4.0
_ANCHOR = 2 * FRAME_RATE
_FEATURE_BLOCK = 4 * FRAME_RATE
_HEARD_BLOCK = 6 * FRAME_RATE


@dataclass(frozen=True)
class _Block:
    """Features [T, 160] and their `level` [T]."""

    features: NDArray[np.float32]
    level: NDArray[np.float32]


class ClipFrames:
    """Frames at 100 Hz of one clip; `samples` [N] mono 16 kHz. Ask from front to back."""

    def __init__(
        self,
        samples: NDArray[np.float32],
        model: MotionModel,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._samples = samples
        self._model = model
        self._check = check
        self.total = frame_count(len(samples))
        self._features: dict[int, _Block] = {}
        self._means: dict[int, NDArray[np.float32]] = {}
        self._heard: dict[int, Heard] = {}

    def heard(self, start: int, stop: int) -> Heard:
        """What is heard in frames start..stop-1 (cut to the clip)."""
        start, stop = max(start, 0), min(stop, self.total)
        curves, events = [], []
        for block in range(start // _HEARD_BLOCK, (stop - 1) // _HEARD_BLOCK + 1):
            if block not in self._heard:
                self._check()
                self._heard[block] = self._listen(block)
            first = block * _HEARD_BLOCK
            inside = slice(max(start - first, 0), min(stop - first, _HEARD_BLOCK))
            curves.append(self._heard[block].curves[inside])
            events.append(self._heard[block].events[inside])
        _forget(self._heard, start // _HEARD_BLOCK - 1)
        return Heard(np.concatenate(curves), np.concatenate(events))

    def _listen(self, block: int) -> Heard:
        first = block * _HEARD_BLOCK
        last = min(first + _HEARD_BLOCK, self.total)
        margin = self._model.context + self._model.context % 2
        low, high = max(first - margin, 0), min(last + margin, self.total)
        features = normalise(self._get_features(low, high), self._reference(low, high))
        if len(features) % 2:
            # The network works on pairs of frames; zeros are what lies behind its edges anyway.
            features = np.pad(features, ((0, 1), (0, 0)))
        heard = self._model.listen(features)
        inside = slice(first - low, last - low)
        return Heard(heard.curves[inside], heard.events[inside])

    def _feature_blocks(self, start: int, stop: int) -> list[tuple[_Block, slice]]:
        """The blocks that hold frames start..stop-1, and which of their frames these are."""
        found = []
        for block in range(start // _FEATURE_BLOCK, (stop - 1) // _FEATURE_BLOCK + 1):
            first = block * _FEATURE_BLOCK
            if block not in self._features:
                self._check()
                features = log_mel(self._samples, first, first + _FEATURE_BLOCK)
                self._features[block] = _Block(features, level(features))
            inside = slice(max(start - first, 0), min(stop - first, _FEATURE_BLOCK))
            found.append((self._features[block], inside))
        return found

    def _get_features(self, start: int, stop: int) -> NDArray[np.float32]:
        blocks = self._feature_blocks(start, stop)
        return np.concatenate([block.features[inside] for block, inside in blocks])

    def _reference(self, start: int, stop: int) -> NDArray[np.float32]:
        """Reference means [stop - start, 160]: one every two seconds, straight lines between."""
        anchors = range(start // _ANCHOR, (stop - 1) // _ANCHOR + 2)
        for anchor in anchors:
            if anchor not in self._means:
                self._means[anchor] = self._anchor_mean(anchor)
        table = np.stack([self._means[anchor] for anchor in anchors])
        position = (np.arange(start, stop) - anchors[0] * _ANCHOR) / _ANCHOR
        below = position.astype(np.int64)
        share = (position - below).astype(np.float32)[:, None]
        _forget(self._means, anchors[0] - 2)
        oldest = start - int((HISTORY + 4.0) * FRAME_RATE)
        _forget(self._features, oldest // _FEATURE_BLOCK)
        return table[below] * (1.0 - share) + table[below + 1] * share

    def _anchor_mean(self, anchor: int) -> NDArray[np.float32]:
        middle = anchor * _ANCHOR
        start = max(middle - int(HISTORY * FRAME_RATE), 0)
        stop = min(middle + int(AHEAD * FRAME_RATE), self.total)
        blocks = self._feature_blocks(min(start, stop - 1), stop)
        return reference_mean(
            [block.features[inside] for block, inside in blocks],
            [block.level[inside] for block, inside in blocks],
        )


def _forget(blocks: dict[int, Any], before: int) -> None:
    for block in [number for number in blocks if number < before]:
        del blocks[block]
