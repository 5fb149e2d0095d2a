# SPDX-License-Identifier: GPL-3.0-or-later
"""Check Connection: try each step on the way to the backend and name the one that fails."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..connection.connection_check import CheckStep, check_connection
from ..contracts import connection, errors
from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.timer import TICK_SECONDS
from ..jobs.work import state
from ..settings import online_access
from ..settings.preferences import preferences
from .job_operator import OperatorResult


class VIVIDKEYS_OT_check_connection(bpy.types.Operator):
    """Runs the steps on a thread when invoked, and blocks when executed."""

    bl_idname = "vividkeys.check_connection"
    bl_label = "Check Connection"
    bl_description = "Try every step on the way to the backend and say which one fails"

    address: StringProperty(name="Address", description="Default: that of the preferences")
    key_file: StringProperty(
        name="Key File", description="Default: that of the preferences", subtype="FILE_PATH"
    )

    timer: bpy.types.Timer | None = None
    steps: queue.SimpleQueue[tuple[CheckStep, ...]] | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        address, keys = _where(self, context)
        state().checks = _offline(address) or take_steps(address, keys)
        return conclude(self)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> OperatorResult:
        address, keys = _where(self, context)
        state().checks = _offline(address)
        if state().checks:
            return conclude(self)
        steps: queue.SimpleQueue[tuple[CheckStep, ...]] = queue.SimpleQueue()
        self.steps = steps
        # A thread of its own: names and ports may take seconds. It never touches bpy.
        threading.Thread(
            target=lambda: steps.put(take_steps(address, keys)),
            name="VividKeys check",
            daemon=True,
        ).start()
        manager = context.window_manager
        self.timer = manager.event_timer_add(TICK_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        if event.type != "TIMER" or self.steps.empty():
            return {"PASS_THROUGH"}
        state().checks = self.steps.get()
        self.cancel(context)
        return conclude(self)

    def cancel(self, context: bpy.types.Context) -> None:
        if self.timer is not None:
            context.window_manager.event_timer_remove(self.timer)
            self.timer = None


def _offline(address: str) -> tuple[CheckStep, ...]:
    """The step that fails before the others: Blender may not go online."""
    try:
        refused = online_access.refusal(address)
    except errors.VividKeysError:
        return ()  # not an address: the steps say so
    if refused is None:
        return ()
    return (CheckStep("online access", False, refused.sentence, refused.next_step),)


def take_steps(address: str, keys: connection.ClientKeys | Path) -> tuple[CheckStep, ...]:
    """All steps, first the key file where one is used. May take seconds."""
    if isinstance(keys, connection.ClientKeys):
        return tuple(check_connection(address, keys))
    try:
        read = connection.load_client_keys(keys)
    except errors.VividKeysError as error:
        return (CheckStep("key file", False, error.sentence, error.next_step),)
    found = CheckStep("key file", True, f"{keys.name} can be read.")
    return (found, *check_connection(address, read))


def conclude(operator: bpy.types.Operator) -> OperatorResult:
    """Report the step that failed, or success."""
    redraw()
    checks = state().checks
    failed = next((step for step in checks if not step.ok), None)
    if failed is not None:
        operator.report({"WARNING"}, f"{failed.name}: {failed.sentence} {failed.next_step}")
    elif checks:
        operator.report({"INFO"}, "The connection works")
    return {"FINISHED"}


def _where(
    operator: VIVIDKEYS_OT_check_connection, context: bpy.types.Context
) -> tuple[str, connection.ClientKeys | Path]:
    chosen = preferences(context)
    process = state().backend.process
    if process is not None and process.keys is not None and not operator.address:
        return process.keys.address, process.keys
    key_file = operator.key_file or chosen.key_file
    return operator.address or chosen.address, Path(bpy.path.abspath(key_file))


CLASSES = (VIVIDKEYS_OT_check_connection,)
