# SPDX-License-Identifier: GPL-3.0-or-later
"""Make Face Keys: a character without ARKit's 52 shape keys gets them."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..contracts import errors, requests
from ..heads import face_points
from ..heads.face_keys import CharacterPlan
from ..jobs.job import Job
from ..mapping.conventions import CONVENTIONS, DEFAULT
from ..settings import choices, head_choice, properties
from . import job_operator
from .character_job import chosen_pieces, submit


class VIVIDKEYS_OT_make_face_keys(job_operator.JobOperator, bpy.types.Operator):
    """Sends the character; adds the keys when they are made."""

    bl_idname = "vividkeys.make_face_keys"
    bl_label = "Make Face Keys"
    bl_description = "Give the active mesh, and the meshes selected with it, ARKit's 52 shape keys"
    bl_options = {"UNDO"}

    target: StringProperty(
        name="Face", description="Name of the mesh with the face; default: the active one"
    )
    face_style: EnumProperty(
        name="Style", items=properties.FACE_STYLES, default=properties.FACE_STYLES[0][0]
    )
    shapes_of: StringProperty(
        name="Shapes",
        description="Of the backend's heads; 'own' is ours. Default: the scene's",
    )
    key_convention: EnumProperty(
        name="Names",
        items=tuple((c.name, c.title, c.description) for c in CONVENTIONS),
        default=DEFAULT,
    )
    replace_keys: BoolProperty(
        name="Replace Keys", description="Give keys that are there new shapes"
    )
    surface_only: BoolProperty(
        name="Surface Only", description="Make keys also where the mouth cannot open"
    )

    def send(self, context: bpy.types.Context) -> Job[CharacterPlan]:
        return send(self, context)


def send(operator: VIVIDKEYS_OT_make_face_keys, context: bpy.types.Context) -> Job[CharacterPlan]:
    """Check the character and send it. Raises VividKeysError; changes nothing in the file."""
    chosen = properties.settings(context)
    pieces = chosen_pieces(context, operator.target)
    if face_points.are_only_guessed(pieces[0]):
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            face_points.STILL_GUESSED,
            "Or remove them, and the face will be looked for again.",
        )
    request = requests.TransferRequest(
        style=choices.setting(operator, chosen, "face_style").lower(),
        surface_only=choices.setting(operator, chosen, "surface_only"),
        shapes_of=operator.shapes_of or head_choice.chosen_shapes(str(chosen.shapes_of)),
    )
    plan = CharacterPlan(
        convention=choices.setting(operator, chosen, "key_convention"),
        replace=choices.setting(operator, chosen, "replace_keys"),
    )
    return submit(context, pieces, request, plan)


CLASSES = (VIVIDKEYS_OT_make_face_keys,)
