# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the kind `reconstruct`: a photo becomes a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bpy

from ...animation import targets
from ...contracts import errors, face, messages
from ...heads import scene as heads
from ...settings import properties
from .. import settling
from ..job import Job, JobKind


@dataclass(frozen=True)
class HeadPlan:
    """Where a reconstructed head goes, and what it is called."""

    name: str
    scene: targets.Reference
    as_parts: bool = False


def plan_to_json(plan: HeadPlan) -> dict[str, Any]:
    """The plan as JSON values, for the list of unfinished jobs."""
    return {"name": plan.name, "scene": plan.scene.name, "as_parts": plan.as_parts}


def plan_from_json(values: Mapping[str, Any]) -> HeadPlan:
    """A plan from an earlier session of Blender; what is missing has its usual value."""
    scene = targets.Reference("scenes", targets.NO_UID, str(values.get("scene", "")))
    return HeadPlan(str(values.get("name", "Head")), scene, values.get("as_parts") is True)


def deliver(context: bpy.types.Context, job: Job[HeadPlan]) -> tuple[str, ...]:
    """Put the head into its scene and make it the target.

    Raises VividKeysError: the job's own error, or why the result is not a head.
    """
    with settling.result_of(job) as done:
        return _deliver_head(context, done, job.plan)


def rescue(job: Job[HeadPlan]) -> tuple[str, ...]:
    """The operator that waited for this job is gone: the head still comes into the file."""
    return deliver(bpy.context, job)


def _deliver_head(
    context: bpy.types.Context, done: messages.Done, plan: HeadPlan
) -> tuple[str, ...]:
    mesh_of_face = face.face_from_arrays(dict(done.arrays))
    try:
        scene: bpy.types.Scene = targets.find(plan.scene)
    except errors.VividKeysError:
        scene = properties.scene_of(context)
    head = heads.create_head(scene, mesh_of_face, plan.name, plan.as_parts)
    if scene == context.scene:
        targets.choose_targets(context, heads.objects_of(head))
        context.view_layer.update()
        for other in context.view_layer.objects:
            other.select_set(False)
        if head.name in context.view_layer.objects:
            head.select_set(True)
            context.view_layer.objects.active = head
    return (f"'{head.name}' has 52 shape keys.", *heads.head_warnings(head))


KIND = JobKind(
    name="reconstruct",
    deed="make heads",
    operators=("create_head",),
    plan_to_json=plan_to_json,
    plan_from_json=plan_from_json,
    deliver=deliver,
    rescue=rescue,
)
