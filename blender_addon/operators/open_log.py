# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the folder with the logs."""

from __future__ import annotations

import bpy

from .. import folders


class VIVIDKEYS_OT_open_log(bpy.types.Operator):
    """Show the log of the local backend"""

    bl_idname = "vividkeys.open_log"
    bl_label = "Open Log"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        log = folders.log_folder() / "backend.log"
        shown = log if log.is_file() else log.parent
        if not bpy.app.background:
            bpy.ops.wm.path_open(filepath=str(shown))
        self.report({"INFO"}, str(shown))
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_open_log,)
