# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch the result of a job that an earlier session of Blender sent and did not wait for."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..contracts import errors
from ..jobs.job import Job
from ..jobs.kinds import kind_called
from ..jobs.work import state
from . import job_operator


class VIVIDKEYS_OT_fetch(job_operator.JobOperator, bpy.types.Operator):
    """Takes up a job of an earlier session, and delivers its result."""

    bl_idname = "vividkeys.fetch"
    bl_label = "Fetch"
    bl_description = "Fetch the result of a job that was sent before Blender quit"
    bl_options = {"UNDO"}

    job: StringProperty(name="Job", description="Its id; default: the oldest one")

    def send(self, _context: bpy.types.Context) -> Job[Any]:
        return attach(self)


def attach(operator: VIVIDKEYS_OT_fetch) -> Job[Any]:
    """Take the job up again. Raises VividKeysError(unknown_job, bad_file, busy)."""
    work = state()
    offer = next((o for o in work.offers if operator.job in ("", o.job)), None)
    if offer is None:
        raise errors.VividKeysError(
            errors.ErrorKind.UNKNOWN_JOB, "There is no such unfinished job.", "Send it again."
        )
    return work.attach(offer, kind_called(offer.kind))


CLASSES = (VIVIDKEYS_OT_fetch,)
