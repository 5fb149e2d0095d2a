# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that a user can choose before the voice is animated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backend.audio_to_mesh.speaker import SpeakerStyle
from shared.dialled import Dialled
from shared.dials import Applied, applied
from shared.errors import ErrorKind, VividKeysError
from shared.performance.style import StyleDials

FRAME_RATES = (1.0, 240.0)
HEARD_OR_MADE = applied(Applied.VOICE, Applied.MOTION)


@dataclass(frozen=True)
class AnimateSettings(Dialled, dials=HEARD_OR_MADE):
    """A dial at 0 removes that motion completely; the speaker's are explained in `speaker`.

    `style` is applied to the finished curves, after everything else. Raises
    VividKeysError(bad_request) for a number outside its range.
    """

    seed: int = 0
    fps: float = 60.0
    style: StyleDials = field(default_factory=StyleDials)

    if TYPE_CHECKING:

        def __init__(
            self, *, seed: int = 0, fps: float = 60.0, style: StyleDials = ..., **dials: Any
        ) -> None: ...
        def __getattr__(self, name: str) -> float: ...

    def __post_init__(self) -> None:
        low, high = FRAME_RATES
        if not (math.isfinite(self.fps) and low <= self.fps <= high):
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"A frame rate of {self.fps} is not between {low:g} and {high:g}.",
                "Choose the scene's frame rate, or 60.",
            )
        self.check_dials()

    @property
    def speaker(self) -> SpeakerStyle:
        """How the speaker talks, for the motion network."""
        return SpeakerStyle(self.effort, self.jaw_share, self.parted)
