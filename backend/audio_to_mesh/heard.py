# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network makes of sound, before contacts and poses are decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.audio_to_mesh.channels import CHANNELS, EVENTS
from backend.audio_to_mesh.speaker import OFFSETS


@dataclass(frozen=True)
class Heard:
    """What the network makes of a stretch of sound, at 100 Hz.

    curves   [T, C] in 0..1, as the branches say
    expected [T, C] in 0..1, the mean pose of the phones that it could be
    events   [T, 3] probabilities of bilabial, labiodental and silence
    offsets  [T, K] of the lip region, in units of the basis
    """

    curves: NDArray[np.float32]
    expected: NDArray[np.float32]
    events: NDArray[np.float32]
    offsets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.curves)

    def slice(self, start: int, stop: int) -> Heard:
        """Frames start..stop-1."""
        return Heard(
            self.curves[start:stop],
            self.expected[start:stop],
            self.events[start:stop],
            self.offsets[start:stop],
        )

    @staticmethod
    def join(parts: Sequence[Heard]) -> Heard:
        """Stretches in a row."""
        return Heard(
            np.concatenate([part.curves for part in parts]),
            np.concatenate([part.expected for part in parts]),
            np.concatenate([part.events for part in parts]),
            np.concatenate([part.offsets for part in parts]),
        )


def no_frames() -> Heard:
    """Nothing heard yet."""
    channels = np.zeros((0, len(CHANNELS)), np.float32)
    events = np.zeros((0, len(EVENTS)), np.float32)
    return Heard(channels, channels, events, np.zeros((0, OFFSETS), np.float32))


def silent_frames(count: int) -> Heard:
    """Nobody speaks: certain silence, a mouth at rest."""
    channels = np.zeros((count, len(CHANNELS)), np.float32)
    events = np.zeros((count, len(EVENTS)), np.float32)
    events[:, EVENTS.index("silence")] = 1.0
    return Heard(channels, channels, events, np.zeros((count, OFFSETS), np.float32))
