# SPDX-License-Identifier: GPL-3.0-or-later
"""Moods that the artist keyed in the style panel: curves of the scene, sampled for a Take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from .. import versions
from ..contracts import dials, take

if TYPE_CHECKING:
    from jaxtyping import Float32

# Samples are stored in the Action, so they are rounded to a precision that nobody can see.
_DIGITS = 4


def moving_moods(scene: bpy.types.Scene) -> tuple[str, ...]:
    """Names of the moods that F-curves of the scene animate."""
    return tuple(name for name in dials.MOODS if _curve(scene, name) is not None)


def sampled(
    scene: bpy.types.Scene, names: Iterable[str], start_frame: int, seconds: float, fps: float
) -> dict[str, list[float]]:
    """Values of the moods `names` at every scene frame of a performance, 0..1.

    A mood that is no longer animated is left out; its dial applies.
    """
    frames = range(start_frame, start_frame + int(np.ceil(seconds * fps)) + 2)
    found = {}
    for name in names:
        curve = _curve(scene, name)
        if curve is not None:
            values = np.clip([curve.evaluate(frame) for frame in frames], 0.0, 1.0)
            found[name] = np.round(values, _DIGITS).tolist()
    return found


def at_frames(
    noted: Any, fps: float, performance: take.Take
) -> dict[str, Float32[np.ndarray, " T"]]:
    """The samples stored in an Action, resampled to the frames of the performance."""
    curves = {}
    for name, values in noted.items() if isinstance(noted, Mapping) else ():
        numbers = isinstance(values, list) and all(type(v) in (int, float) for v in values)
        if name in dials.MOODS and numbers and values and fps > 0:
            time = np.arange(performance.frame_count) / performance.fps
            curve = np.interp(time * fps, np.arange(len(values)), values)
            curves[name] = np.clip(curve, 0.0, 1.0).astype(np.float32)
    return curves


def _curve(scene: bpy.types.Scene, name: str) -> bpy.types.FCurve | None:
    bag = versions.channelbag_of(scene)
    return None if bag is None else bag.fcurves.find(f"vividkeys.{name}")
