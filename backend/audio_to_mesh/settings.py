# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user may turn before the voice is heard."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from backend.audio_to_mesh.speaker import SpeakerStyle
from shared.errors import ErrorKind, VividKeysError
from shared.performance.style import StyleDials

# Lowest and highest value of each number.
RANGES: dict[str, tuple[float, float]] = {
    "fps": (1.0, 240.0),
    **dict.fromkeys(("articulation", "blinks", "gaze", "head_motion"), (0.0, 3.0)),
    **dict.fromkeys(("effort", "jaw_share", "head_liveliness"), (-1.0, 1.0)),
    "parted": (0.0, 1.0),
}


@dataclass(frozen=True)
class AnimateSettings:
    """A dial at 0 removes that motion completely; the speaker's are explained in `speaker`.

    `style` is applied to the finished curves, after everything else.
    """

    seed: int = 0
    fps: float = 60.0
    articulation: float = 1.0
    blinks: float = 1.0
    gaze: float = 1.0
    head_motion: float = 1.0
    head_liveliness: float = 0.0
    effort: float = 0.0
    jaw_share: float = 0.0
    parted: float = 0.0
    style: StyleDials = field(default_factory=StyleDials)

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if math.isfinite(value) and low <= value <= high:
                continue
            if name == "fps":
                sentence = f"A frame rate of {value} is not between {low:g} and {high:g}."
                raise VividKeysError(
                    ErrorKind.BAD_REQUEST, sentence, "Choose the scene's frame rate, or 60."
                )
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"The setting '{name}' is {value}, which is not between {low:g} and {high:g}.",
                f"Choose {getattr(type(self), name):g} for the usual motion.",
            )

    @property
    def speaker(self) -> SpeakerStyle:
        """How the voice's owner speaks, for the motion network."""
        return SpeakerStyle(self.effort, self.jaw_share, self.parted)
