# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress and cancellation of long-running work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.errors import ErrorKind, VividKeysError


def _say_nothing(_fraction: float, _sentence: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """Passed into long-running work, which calls it from any thread.

    progress   receives a fraction, 0..1, and a sentence about the current step
    cancelled  returns whether the work should stop
    """

    progress: Callable[[float, str], None] = _say_nothing
    cancelled: Callable[[], bool] = _never

    def stage(self, fraction: float, sentence: str) -> None:
        """Report that a stage begins; raises VividKeysError(cancelled) if the work should stop."""
        self.check()
        self.progress(fraction, sentence)

    def check(self) -> None:
        """Raise VividKeysError(cancelled) if the work should stop."""
        if self.cancelled():
            raise stopped()

    def part(self, start: float, end: float) -> Watch:
        """A watch for part of the work, whose 0..1 becomes `start`..`end` of the whole."""

        def scaled(fraction: float, sentence: str) -> None:
            self.progress(start + (end - start) * fraction, sentence)

        return replace(self, progress=scaled)


UNWATCHED = Watch()


def stopped() -> VividKeysError:
    """The error that cancelled work raises."""
    return VividKeysError(ErrorKind.CANCELLED, "Cancelled.")
