# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch the result of a job that an earlier Blender sent and did not wait for."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..animation import baking
from ..contracts import errors
from ..heads import face_keys
from ..jobs import delivery, video_delivery
from ..jobs.work import Job, state
from . import job_operator


class VIVIDKEYS_OT_fetch(job_operator.JobOperator, bpy.types.Operator):
    """Fetch the result of a job that was sent before Blender quit"""

    bl_idname = "vividkeys.fetch"
    bl_label = "Fetch"
    bl_options = {"UNDO"}

    job: StringProperty(name="Job", description="Its id; default: the oldest one")

    def send(self, _context: Any) -> Job:
        return attach(self)


def attach(operator: Any) -> Job:
    """Hear of the job again. Raises VividKeysError(unknown_job) when there is none."""
    work = state()
    offer = next((o for o in work.offers if operator.job in ("", o.job)), None)
    if offer is None:
        raise errors.VividKeysError(
            errors.ErrorKind.UNKNOWN_JOB, "There is no such unfinished job.", "Send it again."
        )
    plan: Any
    if offer.kind == "reconstruct":
        plan = delivery.head_plan_from_json(offer.plan)
    elif offer.kind == "transfer":
        plan = face_keys.plan_from_json(offer.plan)
    elif offer.kind == "render":
        plan = video_delivery.plan_from_json(offer.plan)
    else:
        plan = baking.plan_from_json(offer.plan)
    return work.attach(offer, plan)


CLASSES = (VIVIDKEYS_OT_fetch,)
