# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect to a backend that runs elsewhere, with a key file."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..contracts import errors
from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.work import state
from ..settings.preferences import preferences
from .job_operator import OperatorResult, fail

_ANSWER_SECONDS = 10.0


class VIVIDKEYS_OT_connect_address(bpy.types.Operator):
    """Connects with the address and key file of the preferences, or its own."""

    bl_idname = "vividkeys.connect_address"
    bl_label = "Connect"
    bl_description = "Connect to the backend at the address, with the key file"

    address: StringProperty(name="Address", description="Default: that of the preferences")
    key_file: StringProperty(
        name="Key File", description="Default: that of the preferences", subtype="FILE_PATH"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> OperatorResult:
        return _connect(self, context)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        """For scripts: blocks until the backend answers."""
        result = _connect(self, context)
        if result == {"FINISHED"}:
            try:
                state().wait_until_connected(_ANSWER_SECONDS)
            except errors.VividKeysError as error:
                state().disconnect()
                return fail(self, error)
        return result


def _connect(operator: VIVIDKEYS_OT_connect_address, context: bpy.types.Context) -> OperatorResult:
    chosen = preferences(context)
    address = operator.address or chosen.address
    key_file = operator.key_file or chosen.key_file
    try:
        if not address or not key_file:
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_REQUEST,
                "The address or the key file of the backend is missing.",
                "Enter both under 'Backend'.",
            )
        path = Path(bpy.path.abspath(key_file))
        state().connect(address, path, chosen.patience_seconds)
    except errors.VividKeysError as error:
        return fail(operator, error)
    state().notice = None
    redraw()
    return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_connect_address,)
