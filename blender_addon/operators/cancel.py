# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancel the job under way."""

from __future__ import annotations

import bpy

from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.work import state
from .job_operator import OperatorResult


class VIVIDKEYS_OT_cancel(bpy.types.Operator):
    """Cancels the job that the panel shows."""

    bl_idname = "vividkeys.cancel"
    bl_label = "Cancel"
    bl_description = "Stop the job under way; nothing in the file changes"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def execute(self, _context: bpy.types.Context) -> OperatorResult:
        state().cancel()
        redraw()
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_cancel,)
