# SPDX-License-Identifier: GPL-3.0-or-later
"""Forget a job that an earlier session of Blender sent."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.work import state
from .job_operator import OperatorResult


class VIVIDKEYS_OT_forget(bpy.types.Operator):
    """Takes the job off the list, here and at the backend."""

    bl_idname = "vividkeys.forget"
    bl_label = "Forget"
    bl_description = "Delete the result of this unfinished job"

    job: StringProperty(name="Job", description="Its id")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def execute(self, _context: bpy.types.Context) -> OperatorResult:
        state().forget_offer(self.job)
        redraw()
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_forget,)
