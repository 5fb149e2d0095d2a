# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Face Points: twelve empties show where the backend sees the face, for the user to drag."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ..contracts import requests
from ..heads import characters, face_points
from ..heads.face_keys import CharacterPlan
from ..interface.availability import poll
from ..jobs.job import Job
from . import job_operator
from .character_job import chosen_pieces, submit
from .job_operator import OperatorResult


class VIVIDKEYS_OT_find_face_points(job_operator.JobOperator, bpy.types.Operator):
    """Sends the character for its landmarks alone."""

    bl_idname = "vividkeys.find_face_points"
    bl_label = "Find Face Points"
    bl_description = (
        "Show where eyes, brows, nose, mouth and chin of the active mesh are, as points to drag"
    )
    bl_options = {"UNDO"}

    target: StringProperty(
        name="Face", description="Name of the mesh with the face; default: the active one"
    )

    def send(self, context: bpy.types.Context) -> Job[CharacterPlan]:
        return send(self, context)


class VIVIDKEYS_OT_remove_face_points(bpy.types.Operator):
    """Deletes the empties of the active mesh."""

    bl_idname = "vividkeys.remove_face_points"
    bl_label = "Remove Face Points"
    bl_description = "Delete the face points of the active mesh"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        face = characters.face_of(context)
        assert face is not None, "the button is grey then"
        face_points.remove(face)
        context.view_layer.objects.active = face
        return {"FINISHED"}


def send(operator: VIVIDKEYS_OT_find_face_points, context: bpy.types.Context) -> Job[CharacterPlan]:
    """Check the character and send it. Raises VividKeysError; changes nothing in the file."""
    pieces = chosen_pieces(context, operator.target)
    request = requests.TransferRequest(only_landmarks=True)
    return submit(context, pieces, request, CharacterPlan())


CLASSES = (VIVIDKEYS_OT_find_face_points, VIVIDKEYS_OT_remove_face_points)
