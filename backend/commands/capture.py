# SPDX-License-Identifier: GPL-3.0-or-later
"""`capture`: films of a talking face become Takes, and material for fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from backend.commands.progress import progress_bar


@dataclass(frozen=True)
class Capture:
    """Track a talking face in films into Takes that a network can be fine-tuned on.

    Animating a real person's face, or training on it, needs that person's consent.
    """

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Films in which one person speaks to the camera, the face well lit and not covered."""
    out: Path
    """A folder for NAME.take.npz, NAME.wav, NAME.capture.json and index.json."""
    neutral: Path | None = None
    """A photo of the actor at rest; without it the calmest pictures of each film are used."""
    shift: float = 0.0
    """Milliseconds to move the picture's motion later; negative moves it earlier."""
    correct_sync: bool = False
    """Take back the measured offset between picture and sound."""
    plot: Path | None = None
    """A folder for a PNG per film: lips and blinks over the waveform."""

    def run(self) -> int:
        from backend.training.capture.clip import CaptureSettings
        from backend.training.capture.run import capture_films, report
        from shared.errors import ErrorKind, VividKeysError

        if not self.videos:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST, "No film was named.", "Name at least one video file."
            )
        if not abs(self.shift) <= 2000.0:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"A shift of {self.shift} ms is not between -2000 and 2000.",
                "Films that are further off have to be cut first.",
            )
        settings = CaptureSettings(
            neutral=self.neutral, shift=self.shift / 1000.0, correct_sync=self.correct_sync
        )
        with progress_bar("Reading the films") as watch:
            done, failed = capture_films(self.videos, self.out, settings, self.plot, watch)
        return report(done, failed, self.out)
