# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own timer, where it has one (not in `blender -b`)."""

from __future__ import annotations

from collections.abc import Callable

import bpy

TICK_SECONDS = 0.1

_at_each_tick: Callable[[], bool] | None = None


def start(at_each_tick: Callable[[], bool]) -> None:
    """Call this ten times a second until it returns False."""
    global _at_each_tick
    _at_each_tick = at_each_tick
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS, persistent=True)


def stop() -> None:
    """End the timer, whether it runs or not."""
    global _at_each_tick
    _at_each_tick = None
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)


def tick() -> float | None:
    """What Blender calls; None ends its timer."""
    return TICK_SECONDS if _at_each_tick is not None and _at_each_tick() else None
