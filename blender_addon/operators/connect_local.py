# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a backend on this computer and connect to it."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..contracts import errors
from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.work import state
from ..settings.preferences import local_backend, preferences
from .job_operator import OperatorResult, fail


class VIVIDKEYS_OT_connect_local(bpy.types.Operator):
    """Starts the backend of the preferences, or the one that install.py noted."""

    bl_idname = "vividkeys.connect_local"
    bl_label = "Start Local Backend"
    bl_description = "Start the backend on this computer; it stops when Blender quits"

    python: StringProperty(
        name="Python", description="Default: the one that is set or found", subtype="FILE_PATH"
    )
    folder: StringProperty(
        name="Folder", description="Default: the one that is set or found", subtype="DIR_PATH"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> OperatorResult:
        return _start(self, context)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        """For scripts: blocks until the backend answers."""
        result = _start(self, context)
        if result == {"FINISHED"}:
            try:
                # The process has its own deadline; the handshake comes after it.
                state().wait_until_connected(preferences(context).start_seconds + 10.0)
            except errors.VividKeysError as error:
                state().disconnect()
                return fail(self, error)
        return result


def _start(operator: VIVIDKEYS_OT_connect_local, context: bpy.types.Context) -> OperatorResult:
    known_python, known_folder = local_backend(context)
    python = operator.python or known_python
    folder = operator.folder or known_folder
    try:
        if not python or not folder:
            raise errors.VividKeysError(
                errors.ErrorKind.MISSING_DEPENDENCY,
                "No backend was found on this computer.",
                "Run 'python install.py backend', or set it in the preferences of VividKeys.",
            )
        state().start_local(
            Path(bpy.path.abspath(python)),
            Path(bpy.path.abspath(folder)),
            preferences(context).start_seconds,
        )
    except errors.VividKeysError as error:
        return fail(operator, error)
    state().notice = None
    redraw()
    return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_connect_local,)
