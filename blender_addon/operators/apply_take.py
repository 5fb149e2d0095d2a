# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply Take: key the last performance again, on the targets as they are, without the backend."""

from __future__ import annotations

import bpy

from ..animation import baking, exporting, keying, targets
from ..contracts import errors
from ..interface.availability import poll
from ..jobs import performances
from ..jobs.pending_take import PendingTake
from ..jobs.sidebar import redraw
from ..jobs.work import state
from ..settings import choices, properties
from ..settings.style_dials import StyleProperties
from .job_operator import OperatorResult, fail


class VIVIDKEYS_OT_apply_take(StyleProperties, bpy.types.Operator):
    """Keys the Take that waits, or the one that the targets were keyed from."""

    bl_idname = "vividkeys.apply_take"
    bl_label = "Apply Take"
    bl_description = (
        "Key the last performance again: with other style dials, target, mapping or frame rate"
    )
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        work = state()
        waiting = work.pending
        try:
            pending, plan = _take_and_plan(self, context)
            sentences = performances.apply_take(context, pending, plan)
        except errors.VividKeysError as error:
            # A Take that waited still waits; one that is on a target already is not lost.
            work.pending = waiting
            return fail(self, error)
        work.tell(*sentences)
        self.report({"INFO"}, sentences[0])
        redraw()
        return {"FINISHED"}


def _take_and_plan(
    operator: VIVIDKEYS_OT_apply_take, context: bpy.types.Context
) -> tuple[PendingTake, baking.BakePlan]:
    """The Take that waits, else the one on the targets, and how to key it; or VividKeysError."""
    work = state()
    chosen = properties.settings(context)
    meshes = targets.target_meshes(context)
    pending = work.pending
    if pending is not None:
        assert pending.plan is not None
        known = pending.plan
        name, start_frame = known.name, known.start_frame
        heard, sound_file = known.heard, known.sound_file
    else:
        performance = performances.plain_performance_on(context)
        action = exporting.performance_actions(meshes)[0]
        description = keying.action_description(action)
        pending = PendingTake(performance, str(description.get("take", "")), None, None)
        # Its sound is in the sequencer already, or the user removed it.
        name = str(description.get("voice", "take"))
        start_frame, heard = baking.noted_place(description, int(action.frame_range[0]))
        sound_file = None
    plan = baking.BakePlan(
        name=name,
        scene=targets.remember(properties.scene_of(context)),
        meshes=tuple(targets.remember(mesh) for mesh in meshes),
        head=choices.head_goal(chosen, meshes),
        start_frame=start_frame,
        heard=heard,
        sound_file=sound_file,
        extend_scene=chosen.extend_scene,
        mapping_file=choices.full_path(chosen.mapping_file),
        style=choices.style(operator, chosen),
        moving_moods=choices.moving_moods(operator, context),
        lip_detail=chosen.lip_detail,
    )
    return pending, plan


CLASSES = (VIVIDKEYS_OT_apply_take,)
