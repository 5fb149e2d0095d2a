# SPDX-License-Identifier: GPL-3.0-or-later
"""`capture`: tracks videos of a talking face into Takes, also as data for fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from backend.commands.progress import progress_bar


@dataclass(frozen=True)
class Capture:
    """Track a talking face in videos into Takes that a network can be fine-tuned on.

    Animating a real person's face, or training on it, needs that person's consent.
    """

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Videos in which one person speaks to the camera, with the face well lit and not covered."""
    out: Path
    """A folder for NAME.take.npz, NAME.wav, NAME.capture.json and index.json."""
    neutral: Path | None = None
    """A photo of the actor at rest; without it the calmest frames of each video are used."""
    shift: float = 0.0
    """Milliseconds to move the motion later; negative values move it earlier."""
    correct_sync: bool = False
    """Correct the measured offset between picture and sound."""
    plot: Path | None = None
    """A folder for a PNG per video: lips and blinks over the waveform."""

    def run(self) -> int:
        from backend.training.capture.clip import CaptureSettings
        from backend.training.capture.run import capture_films, report
        from shared.errors import ErrorKind, VividKeysError

        if not self.videos:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST, "No video was named.", "Name at least one video file."
            )
        if not abs(self.shift) <= 2000.0:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"A shift of {self.shift} ms is not between -2000 and 2000.",
                "Cut videos that are further out of sync first.",
            )
        settings = CaptureSettings(
            neutral=self.neutral, shift=self.shift / 1000.0, correct_sync=self.correct_sync
        )
        with progress_bar("Reading the videos") as watch:
            done, failed = capture_films(self.videos, self.out, settings, self.plot, watch)
        return report(done, failed, self.out)
