# SPDX-License-Identifier: GPL-3.0-or-later
"""The network's output for a stretch of sound, before contacts and poses are decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from backend.audio_to_mesh.channels import CHANNELS, EVENTS
from backend.audio_to_mesh.speaker import OFFSETS


@dataclass(frozen=True)
class Heard:
    """The network's output for a stretch of sound, at 100 Hz.

    curves   in 0..1, as the branches predict them
    expected in 0..1, the mean pose of the phones that it could be
    events   probabilities of bilabial, labiodental and silence
    offsets  of the lip region, in units of the basis
    """

    curves: Float32[np.ndarray, "T C"]
    expected: Float32[np.ndarray, "T C"]
    events: Float32[np.ndarray, "T 3"]
    offsets: Float32[np.ndarray, "T K"]

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
        """Concatenate consecutive stretches."""
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
    """Certain silence, with the mouth at rest."""
    channels = np.zeros((count, len(CHANNELS)), np.float32)
    events = np.zeros((count, len(EVENTS)), np.float32)
    events[:, EVENTS.index("silence")] = 1.0
    return Heard(channels, channels, events, np.zeros((count, OFFSETS), np.float32))
