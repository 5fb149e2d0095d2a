# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that validates the settings of a video."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

from backend.mesh_to_video.film.encode import checked_output, exact_rate
from backend.mesh_to_video.settings import BACKGROUNDS, RenderSettings
from shared.errors import ErrorKind, VividKeysError

SMALLEST_SIDE, LARGEST_SIDE = 64, 4096
SLOWEST, FASTEST = 1.0, 120.0
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


def checked_settings(settings: RenderSettings, out: Path | None = None) -> RenderSettings:
    """The same settings with their exact frame rate, if all of them are valid.

    With `out`, also checks that this file can hold such a video. Raises
    VividKeysError(bad_request), which says what is wrong and what would be valid.
    """
    size, fps = settings.size, settings.fps
    if isinstance(size, bool) or not isinstance(size, int):
        raise _refused(f"The size {size!r} is not a whole number of pixels.", _SIZES)
    if size != 0 and not SMALLEST_SIDE <= size <= LARGEST_SIDE:
        raise _refused(f"The longer side of a video cannot be {size} pixels.", _SIZES)
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not math.isfinite(fps):
        raise _refused(f"The frame rate {fps!r} is not a number.", _RATES)
    if not SLOWEST <= fps <= FASTEST:
        raise _refused(f"A video cannot have {fps:g} frames per second.", _RATES)
    if settings.background not in BACKGROUNDS:
        raise _refused(
            f"There is no background '{settings.background}'.",
            f"Choose {', '.join(BACKGROUNDS[:-1])} or {BACKGROUNDS[-1]}.",
        )
    if not _DEVICE.fullmatch(settings.device):
        raise _refused(
            f"There is no device '{settings.device}'.", "Choose auto, cpu, or for example cuda:0."
        )
    if out is not None:
        checked_output(out, settings.background == "alpha")
    return replace(settings, fps=float(exact_rate(fps)))


def checked_duration(seconds: float | None) -> float | None:
    """The same duration in seconds, if it is valid. Raises VividKeysError(bad_request)."""
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise _refused(
            f"A video cannot last {seconds:g} seconds.", "Give more than 0, or leave it out."
        )
    return seconds


_SIZES = (
    f"Give the longer side, {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, or 0 for the photo's own."
)
_RATES = f"Choose {SLOWEST:g} to {FASTEST:g}, for example 25."


def _refused(sentence: str, next_step: str) -> VividKeysError:
    return VividKeysError(ErrorKind.BAD_REQUEST, sentence, next_step)
