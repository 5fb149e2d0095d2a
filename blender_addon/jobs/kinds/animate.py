# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the kind `animate`: a voice becomes a performance on its targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import bpy

from ...animation import targets
from ...animation.baking import BakePlan, HeadGoal
from ...contracts import errors, messages, style, take
from ...heads import scene as heads
from .. import performances, settling
from ..job import Job, JobKind
from ..work import state


def plan_to_json(plan: BakePlan) -> dict[str, Any]:
    """The plan as JSON values, for the list of unfinished jobs."""
    values = asdict(plan)
    for name in ("sound_file", "mapping_file"):
        values[name] = "" if values[name] is None else str(values[name])
    values["style"] = plan.style.turned()
    return values


def plan_from_json(values: Mapping[str, Any]) -> BakePlan:
    """A plan from an earlier session of Blender, whose uids are no longer valid.

    Raises VividKeysError(bad_file) when it was not written by `plan_to_json`.
    """
    try:
        head, heard = values["head"], values["heard"]
        return BakePlan(
            name=str(values["name"]),
            scene=targets.by_name(values["scene"]),
            meshes=tuple(targets.by_name(mesh) for mesh in values["meshes"]),
            head=None
            if head is None
            else HeadGoal(targets.by_name(head["owner"]), str(head["bone"]), str(head["forward"])),
            start_frame=int(values["start_frame"]),
            heard=None if heard is None else (int(heard[0]), int(heard[1])),
            sound_file=Path(values["sound_file"]) if values["sound_file"] else None,
            extend_scene=bool(values["extend_scene"]),
            mapping_file=Path(values["mapping_file"]) if values["mapping_file"] else None,
            style=style.dials_from(values.get("style", {})),
            moving_moods=tuple(map(str, values.get("moving_moods", ()))),
            lip_detail=bool(values.get("lip_detail", True)),
        )
    except (KeyError, TypeError, ValueError, IndexError, errors.VividKeysError) as problem:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            "The list of unfinished jobs does not say where this performance belongs.",
            "Choose a target mesh and press 'Apply Take'.",
        ) from problem


def deliver(context: bpy.types.Context, job: Job[BakePlan]) -> tuple[str, ...]:
    """Key the targets; a performance that fits nowhere is kept as a pending Take.

    Raises VividKeysError: the job's own error, or why the result fits nowhere.
    """
    with settling.result_of(job) as done:
        performance = _on_own_face(_performance_of(done), job.plan)
        pending = performances.keep(performance, job.plan)
    try:
        sentences = performances.apply_take(context, pending, job.plan)
    except errors.VividKeysError as error:
        where = " ".join(performances.where(pending))
        raise errors.VividKeysError(
            error.kind, f"{error.sentence} {where}".strip(), error.next_step
        ) from error
    if not pending.take_id:
        sentences = (*sentences, "The disk is full: the Take itself could not be kept.")
    state().pending = None
    return sentences


def rescue(job: Job[BakePlan]) -> tuple[str, ...]:
    """The operator that waited for this job is gone: keep the performance and say so."""
    with settling.result_of(job) as done:
        pending = performances.keep(_performance_of(done), job.plan)
    state().pending = pending
    return (
        f"The performance '{job.label}' is finished.",
        *performances.where(pending),
        "Choose a target mesh and press 'Apply Take'.",
    )


def _performance_of(done: messages.Done) -> take.Take:
    return take.take_from_arrays(dict(done.arrays))


def _on_own_face(performance: take.Take, plan: BakePlan) -> take.Take:
    """The Take with the neutral face of our own head, if that is its target."""
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


KIND = JobKind(
    name="animate",
    deed="animate",
    operators=("animate",),
    plan_to_json=plan_to_json,
    plan_from_json=plan_from_json,
    deliver=deliver,
    rescue=rescue,
)
