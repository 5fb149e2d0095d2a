# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a finished job: a head, a character's face keys, or a performance on its targets.

A result that was computed is never lost: when its target is gone, or Blender opened another file
meanwhile, the Take lies in a file and 'Apply Take' puts it onto other targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import bpy

from .. import folders
from ..animation import animated_moods, baking, exporting, keying, targets
from ..contracts import errors, face, style, take
from ..heads import scene as heads
from ..settings import performance_dials, properties
from . import character_delivery, takes, video_delivery
from .work import Job, PendingTake, state


@dataclass(frozen=True)
class HeadPlan:
    """Where a reconstructed head goes, and what it is called."""

    name: str
    scene: targets.Reference
    as_parts: bool = False


def head_plan_to_json(plan: HeadPlan) -> dict[str, Any]:
    return {"name": plan.name, "scene": plan.scene.name, "as_parts": plan.as_parts}


def head_plan_from_json(values: dict[str, Any]) -> HeadPlan:
    scene = targets.Reference("scenes", targets.NO_UID, str(values.get("scene", "")))
    return HeadPlan(str(values.get("name", "Head")), scene, values.get("as_parts") is True)


def deliver(context: Any, job: Job) -> tuple[str, ...]:
    """Put a finished job's result into the file; returns sentences about it.

    Raises VividKeysError: the job's own error, or why its result fits nowhere (then it is kept
    as a pending Take). Either way the job is settled, except when the backend was lost: then it
    may still be fetched or sent again.
    """
    work = state()
    if job.kind == "transfer":
        return character_delivery.deliver(context, job)
    if job.kind == "render":
        return video_delivery.deliver(context, job)
    if job.error is not None:
        if job.error.kind is errors.ErrorKind.BACKEND_LOST:
            work.job = None
        else:
            work.settle(job)
        raise job.error
    assert job.done is not None
    try:
        if job.kind == "reconstruct":
            return _deliver_head(context, job)
        return _deliver_performance(context, job)
    finally:
        work.settle(job)


def apply_take(context: Any, pending: PendingTake, plan: baking.BakePlan) -> tuple[str, ...]:
    """Bake a kept Take; on failure it stays pending. Raises VividKeysError."""
    work = state()
    work.pending = replace(pending, plan=plan)
    description: dict[str, Any] = {"take": pending.take_id, "voice": plan.name}
    description[performance_dials.NOTE] = performance_dials.asked(pending.performance)
    report = baking.bake_take(context, pending.performance, plan, description)
    work.pending = None
    _remembered[pending.take_id or report.action] = pending.performance
    return report.sentences


def rescue(job: Job) -> None:
    """The operator that waited for this job is gone: keep the result and say so."""
    work = state()
    try:
        if job.kind == "render":
            # Another file may be open now, so it goes into no sequencer.
            what = "preview" if job.plan.is_preview else "video"
            work.tell(f"The {what} '{job.label}' is saved as {video_delivery.save_film(job)}.")
            return
        if job.error is not None:
            raise job.error
        if job.kind in ("reconstruct", "transfer"):
            work.tell(*deliver(bpy.context, job))
            return
        pending = _keep(_performance_of(job), job.plan)
        work.settle(job)
        work.pending = pending
        work.tell(
            f"The performance '{job.label}' is finished.",
            *_where(pending),
            "Choose a target mesh and press 'Apply Take'.",
        )
    except errors.VividKeysError as error:
        work.tell_error(error)
        if work.job is job:
            work.settle(job)


def performance_on(context: Any) -> take.Take:
    """The performance as it is on the targets, style included, or the one that waits.

    Raises VividKeysError(bad_target) when there is none.
    """
    work = state()
    dials = style.StyleDials()
    plain = plain_performance_on(context)
    moods = {}
    for action in _actions(context)[:1]:
        description = keying.action_description(action)
        noted, fps = description.get("style", {}), description.get("fps", 0)
        dials = style.dials_from(noted if isinstance(noted, dict) else {})
        if isinstance(fps, (int, float)):
            moods = animated_moods.at_frames(description.get("moods"), fps, plain)
    if not _actions(context) and work.pending is not None and work.pending.plan is not None:
        dials = work.pending.plan.style
    return style.restyle_take(plain, dials, moods)


def plain_performance_on(context: Any) -> take.Take:
    """The Take of what is on the targets, or the one that waits, before any style dial.

    Raises VividKeysError(bad_target) when there is none.
    """
    work = state()
    for action in _actions(context)[:1]:
        take_id = keying.action_description(action).get("take", "")
        for name in (take_id, action.name):
            if name and name in _remembered:
                return _remembered[name]
        return takes.kept_take(folders.takes_folder(), take_id)
    if work.pending is not None:
        return work.pending.performance
    raise errors.VividKeysError(
        errors.ErrorKind.BAD_TARGET,
        "The targets have no performance yet.",
        "Animate them first.",
    )


def _actions(context: Any) -> list[Any]:
    return exporting.performance_actions(properties.target_meshes(context))


# Takes of this session by their id, or by their Action where the disk was full. Only a few.
_remembered: dict[str, take.Take] = {}
_MOST_REMEMBERED = 4


def _deliver_head(context: Any, job: Job) -> tuple[str, ...]:
    assert job.done is not None
    mesh_of_face = face.face_from_arrays(dict(job.done.arrays))
    try:
        scene = targets.find(job.plan.scene)
    except errors.VividKeysError:
        scene = context.scene
    head = heads.create_head(scene, mesh_of_face, job.plan.name, job.plan.as_parts)
    if scene == context.scene:
        properties.choose_targets(context, heads.objects_of(head))
        context.view_layer.update()
        for other in context.view_layer.objects:
            other.select_set(False)
        if head.name in context.view_layer.objects:
            head.select_set(True)
            context.view_layer.objects.active = head
    return (f"'{head.name}' has 52 shape keys.", *heads.head_warnings(head))


def _deliver_performance(context: Any, job: Job) -> tuple[str, ...]:
    work = state()
    performance = _on_own_face(_performance_of(job), job.plan)
    pending = _keep(performance, job.plan)
    try:
        sentences = apply_take(context, pending, job.plan)
    except errors.VividKeysError as error:
        where = " ".join(_where(pending))
        raise errors.VividKeysError(
            error.kind, f"{error.sentence} {where}".strip(), error.next_step
        ) from error
    if not pending.take_id:
        sentences = (*sentences, "The disk is full: the Take itself could not be kept.")
    work.pending = None
    return sentences


def _performance_of(job: Job) -> take.Take:
    assert job.done is not None
    return take.take_from_arrays(dict(job.done.arrays))


def _on_own_face(performance: take.Take, plan: baking.BakePlan) -> take.Take:
    """The Take with the neutral face of our own head, when that is what it goes onto."""
    if not plan.meshes:
        return performance
    try:
        head = targets.find(plan.meshes[0])
    except errors.VividKeysError:
        return performance
    if not heads.is_our_head(head):
        return performance
    neutral = heads.landmarks_at_rest(head)
    if len(neutral) != len(performance.neutral):
        return performance
    return replace(performance, neutral=neutral)


def _keep(performance: take.Take, plan: baking.BakePlan) -> PendingTake:
    take_id, file = "", None
    try:
        folder = folders.takes_folder()
        take_id = takes.keep_take(performance, folder)
        file = takes.take_file(folder, take_id)
    except (errors.VividKeysError, OSError):
        # A full disk must not cost the performance: it is still in memory.
        pass
    while len(_remembered) >= _MOST_REMEMBERED:
        del _remembered[next(iter(_remembered))]
    return PendingTake(performance, take_id, file, plan)


def _where(pending: PendingTake) -> tuple[str, ...]:
    if pending.file is None:
        return ("The Take could not be saved; it is in memory until Blender quits.",)
    return (f"The Take is saved as {pending.file}.",)
