# SPDX-License-Identifier: GPL-3.0-or-later
"""Who watches long work: is told how far it is, and may have it stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.errors import ErrorKind, VividKeysError


def _say_nothing(fraction: float, sentence: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """Handed down into long work; the work calls it, from any thread.

    progress   is told a fraction, 0..1, and a sentence about what is being done
    cancelled  says whether the work is to stop
    """

    progress: Callable[[float, str], None] = _say_nothing
    cancelled: Callable[[], bool] = _never

    def stage(self, fraction: float, sentence: str) -> None:
        """A stage begins. Raises VividKeysError(cancelled) instead when the work is to stop."""
        self.check()
        self.progress(fraction, sentence)

    def check(self) -> None:
        """Raise VividKeysError(cancelled) when the work is to stop."""
        if self.cancelled():
            raise stopped()

    def part(self, start: float, end: float) -> Watch:
        """For a piece of the work: its 0..1 is `start`..`end` of the whole."""

        def scaled(fraction: float, sentence: str) -> None:
            self.progress(start + (end - start) * fraction, sentence)

        return replace(self, progress=scaled)


UNWATCHED = Watch()


def stopped() -> VividKeysError:
    """What work that was cancelled ends with."""
    return VividKeysError(ErrorKind.CANCELLED, "Cancelled.")
