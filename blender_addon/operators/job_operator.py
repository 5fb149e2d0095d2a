# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators that send a job have in common: modal when invoked, blocking when executed.

Both end in the same place and make exactly one undo step: Blender pushes it when an operator with
the option UNDO finishes, whichever way it ran.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import bpy

from ..contracts import errors
from ..interface.availability import poll
from ..jobs.job import Job
from ..jobs.sidebar import redraw
from ..jobs.timer import TICK_SECONDS
from ..jobs.work import state

# What `execute`, `invoke` and `modal` return.
OperatorResult = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]

if TYPE_CHECKING:
    _Operator = bpy.types.Operator
else:
    _Operator = object  # Blender's classes are for what is registered; a mixin is not


class JobOperator(_Operator):
    """Mixed into an operator that sends a job: it says how in `send`, the rest is common to all."""

    job_id = ""
    timer: bpy.types.Timer | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def send(self, context: bpy.types.Context) -> Job[Any]:
        """Check the inputs and send the job. Raises VividKeysError; changes nothing in the file."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        return run_blocking(self, context, lambda: self.send(context))

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> OperatorResult:
        return start_modal(self, context, lambda: self.send(context))

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        return step(self, context, event)

    def cancel(self, context: bpy.types.Context) -> None:
        end_modal(self, context)


def run_blocking(
    operator: bpy.types.Operator, context: bpy.types.Context, send: Callable[[], Job[Any]]
) -> OperatorResult:
    """For `execute`: send the job, wait for it, deliver it."""
    try:
        job = send()
        state().wait(job)
    except errors.VividKeysError as error:
        return fail(operator, error)
    return conclude(operator, context, job)


def start_modal(
    operator: JobOperator, context: bpy.types.Context, send: Callable[[], Job[Any]]
) -> OperatorResult:
    """For `invoke`: send the job, then watch it with `step` while Blender stays usable."""
    result = go_on(operator, context, send)
    if result == {"CANCELLED"}:
        return result
    context.window_manager.modal_handler_add(operator)
    return {"RUNNING_MODAL"}


def go_on(
    operator: JobOperator, context: bpy.types.Context, send: Callable[[], Job[Any]]
) -> OperatorResult:
    """For `modal`, after `step` has finished a job: send another one and watch that."""
    try:
        job = send()
    except errors.VividKeysError as error:
        return fail(operator, error)
    operator.job_id = job.id
    manager = context.window_manager
    operator.timer = manager.event_timer_add(TICK_SECONDS, window=context.window)
    redraw()
    return {"PASS_THROUGH"}


def step(
    operator: JobOperator, context: bpy.types.Context, event: bpy.types.Event
) -> OperatorResult:
    """For `modal`: pump, and deliver the job once it has ended. Never swallows an event."""
    if event.type != "TIMER":
        return {"PASS_THROUGH"}
    work = state()
    if work.pump():
        redraw()
    job = work.job
    if job is None or job.id != operator.job_id:
        # It was dealt with elsewhere, e.g. the extension was disabled and enabled again.
        end_modal(operator, context)
        return {"CANCELLED"}
    job.looked_at = time.monotonic()
    if not job.finished:
        return {"PASS_THROUGH"}
    end_modal(operator, context)
    return conclude(operator, context, job)


def end_modal(operator: JobOperator, context: bpy.types.Context) -> None:
    """Remove the timer; also when Blender ends the operator, as it does for a new file."""
    if operator.timer is not None:
        context.window_manager.event_timer_remove(operator.timer)
        operator.timer = None


def conclude(
    operator: bpy.types.Operator, context: bpy.types.Context, job: Job[Any]
) -> OperatorResult:
    """Deliver the job and report it."""
    try:
        sentences = job.kind.deliver(context, job)
    except errors.VividKeysError as error:
        return fail(operator, error)
    state().tell(*sentences)
    operator.report({"INFO"}, sentences[0])
    redraw()
    return {"FINISHED"}


def fail(operator: bpy.types.Operator, error: errors.VividKeysError) -> OperatorResult:
    """Show the error in the panel and as Blender's own message; scripts get a RuntimeError."""
    state().tell_error(error)
    redraw()
    if error.kind is errors.ErrorKind.CANCELLED:
        operator.report({"WARNING"}, error.sentence)
    else:
        operator.report({"ERROR"}, f"{error.sentence} {error.next_step}".strip())
    return {"CANCELLED"}
