# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply Take: the last performance again, without the backend, onto the targets as they are now."""

from __future__ import annotations

from typing import Any

import bpy

from .. import baking, delivery, exporting, keying, properties, targets
from ..availability import poll
from ..contracts import errors
from ..work import PendingTake, redraw, state
from .animate import _head_goal, _path
from .job_operator import fail


class VIVIDKEYS_OT_apply_take(bpy.types.Operator):
    """Key the last performance again: after another target, mapping or frame rate was chosen"""

    bl_idname = "vividkeys.apply_take"
    bl_label = "Apply Take"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return poll(cls, context)

    def execute(self, context: Any) -> set[str]:
        work = state()
        waiting = work.pending
        try:
            pending, before = _source(context)
            plan = _plan(context, pending, before)
            sentences = delivery.apply_take(context, pending, plan)
        except errors.VividKeysError as error:
            # A Take that waited goes on waiting; one that is on a target already is not lost.
            work.pending = waiting
            return fail(self, error)
        work.tell(*sentences)
        self.report({"INFO"}, sentences[0])
        redraw()
        return {"FINISHED"}


def _source(context: Any) -> tuple[PendingTake, Any | None]:
    """The Take to apply and, where it is on the targets already, the Action it is in."""
    work = state()
    if work.pending is not None:
        return work.pending, None
    performance = delivery.performance_on(context)
    action = exporting.performance_actions(properties.target_meshes(context))[0]
    take_id = keying.action_description(action).get("take", "")
    return PendingTake(performance, take_id, None, None), action


def _plan(context: Any, pending: PendingTake, action: Any | None) -> baking.BakePlan:
    chosen = properties.settings(context)
    meshes = properties.target_meshes(context)
    known: baking.BakePlan | None = pending.plan
    start_frame = known.start_frame if known is not None else int(action.frame_range[0])
    return baking.BakePlan(
        name=known.name
        if known is not None
        else str(keying.action_description(action).get("voice", "take")),
        scene=targets.remember(context.scene),
        meshes=tuple(targets.remember(mesh) for mesh in meshes),
        head=_head_goal(chosen, meshes),
        start_frame=start_frame,
        heard=known.heard if known is not None else None,
        sound_file=known.sound_file if known is not None else None,
        extend_scene=chosen.extend_scene,
        mapping_file=_path(chosen.mapping_file),
    )


CLASSES = (VIVIDKEYS_OT_apply_take,)
