# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances: kept as a Take when they are made, keyed on targets, and found there again.

A result that was computed is never lost: when its target is gone, or Blender opened another file
meanwhile, the Take lies in a file and 'Apply Take' puts it onto other targets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy

from .. import folders
from ..animation import animated_moods, baking, exporting, keying, targets
from ..contracts import errors, style, take
from . import takes
from .pending_take import PendingTake
from .work import state


def apply_take(
    context: bpy.types.Context, pending: PendingTake, plan: baking.BakePlan
) -> tuple[str, ...]:
    """Key a kept Take; on failure it stays pending. Raises VividKeysError."""
    work = state()
    work.pending = replace(pending, plan=plan)
    description: dict[str, Any] = {"take": pending.take_id, "voice": plan.name}
    description[keying.NOTE] = keying.asked(pending.performance)
    report = baking.bake_take(context, pending.performance, plan, description)
    work.pending = None
    _remembered[pending.take_id or report.action] = pending.performance
    return report.sentences


def performance_on(context: bpy.types.Context) -> take.Take:
    """The performance on the targets, style included, or the one that waits for a target.

    Raises VividKeysError(bad_target) when there is none.
    """
    work = state()
    dials = style.StyleDials()
    plain = plain_performance_on(context)
    moods = {}
    for action in _actions(context)[:1]:
        description = keying.action_description(action)
        noted, fps = description.get("style", {}), description.get("fps", 0)
        dials = style.dials_from(noted if isinstance(noted, dict) else {})
        if isinstance(fps, (int, float)):
            moods = animated_moods.at_frames(description.get("moods"), fps, plain)
    if not _actions(context) and work.pending is not None and work.pending.plan is not None:
        dials = work.pending.plan.style
    return style.restyle_take(plain, dials, moods)


def plain_performance_on(context: bpy.types.Context) -> take.Take:
    """The Take of the performance on the targets, or the one that waits, before any style dial.

    Raises VividKeysError(bad_target) when there is none.
    """
    work = state()
    for action in _actions(context)[:1]:
        take_id = keying.action_description(action).get("take", "")
        for name in (take_id, action.name):
            if name and name in _remembered:
                return _remembered[name]
        return takes.kept_take(folders.takes_folder(), take_id)
    if work.pending is not None:
        return work.pending.performance
    raise errors.VividKeysError(
        errors.ErrorKind.BAD_TARGET,
        "The targets have no performance yet.",
        "Animate them first.",
    )


def _actions(context: bpy.types.Context) -> list[bpy.types.Action]:
    return exporting.performance_actions(targets.target_meshes(context))


# Takes of this session by their id, or by their Action where the disk was full. Only a few.
_remembered: dict[str, take.Take] = {}
_MOST_REMEMBERED = 4


def keep(performance: take.Take, plan: baking.BakePlan) -> PendingTake:
    """A performance that was just made, saved as a Take if the disk has room for it."""
    take_id, file = "", None
    try:
        folder = folders.takes_folder()
        take_id = takes.keep_take(performance, folder)
        file = takes.take_file(folder, take_id)
    except (errors.VividKeysError, OSError):
        # A full disk must not cost the performance: it is still in memory.
        pass
    while len(_remembered) >= _MOST_REMEMBERED:
        del _remembered[next(iter(_remembered))]
    return PendingTake(performance, take_id, file, plan)


def where(pending: PendingTake) -> tuple[str, ...]:
    """A sentence that says where a Take is that is not on a target yet."""
    if pending.file is None:
        return ("The Take could not be saved; it is in memory until Blender quits.",)
    return (f"The Take is saved as {pending.file}.",)
