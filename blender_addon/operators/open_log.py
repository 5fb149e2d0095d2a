# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the log of the local backend."""

from __future__ import annotations

import bpy

from .. import folders
from .job_operator import OperatorResult


class VIVIDKEYS_OT_open_log(bpy.types.Operator):
    """Opens the log in the system's own program, or its folder."""

    bl_idname = "vividkeys.open_log"
    bl_label = "Open Log"
    bl_description = "Show the log of the local backend"

    def execute(self, _context: bpy.types.Context) -> OperatorResult:
        log = folders.log_folder() / "backend.log"
        shown = log if log.is_file() else log.parent
        if not bpy.app.background:
            bpy.ops.wm.path_open(filepath=str(shown))
        self.report({"INFO"}, str(shown))
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_open_log,)
