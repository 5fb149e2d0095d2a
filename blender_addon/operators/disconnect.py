# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave the backend; one that was started here is stopped."""

from __future__ import annotations

import bpy

from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.work import state
from .job_operator import OperatorResult


class VIVIDKEYS_OT_disconnect(bpy.types.Operator):
    """Ends the connection and, if there is one, our own process."""

    bl_idname = "vividkeys.disconnect"
    bl_label = "Disconnect"
    bl_description = "Close the connection. A backend that Blender started is stopped"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def execute(self, _context: bpy.types.Context) -> OperatorResult:
        work = state()
        work.disconnect()
        work.notice = None
        redraw()
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_disconnect,)
