# SPDX-License-Identifier: GPL-3.0-or-later
"""Create Head: a photo becomes a mesh with 52 shape keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..animation import targets
from ..contracts import errors, requests
from ..jobs.job import Job
from ..jobs.kinds import reconstruct
from ..jobs.work import state
from ..settings import choices, head_choice, properties
from . import job_operator


class VIVIDKEYS_OT_create_head(job_operator.JobOperator, bpy.types.Operator):
    """Sends the photo; adds the head to the scene when it is made."""

    bl_idname = "vividkeys.create_head"
    bl_label = "Create Head"
    bl_description = "Make a head from the photo, with its texture and 52 shape keys"
    bl_options = {"UNDO"}

    image_file: StringProperty(
        name="Photo", description="Default: the scene's", subtype="FILE_PATH"
    )
    name: StringProperty(name="Name", description="Of the new object; default: the photo's name")

    head: StringProperty(
        name="Head", description="Of the backend's heads; 'own' is ours. Default: the scene's"
    )
    head_objects: EnumProperty(
        name="As",
        items=(("ONE", "One Object", ""), ("PARTS", "Parts as Objects", "")),
        description="Default: the scene's",
    )

    def send(self, context: bpy.types.Context) -> Job[reconstruct.HeadPlan]:
        return send(self, context)


def send(
    operator: VIVIDKEYS_OT_create_head, context: bpy.types.Context
) -> Job[reconstruct.HeadPlan]:
    """Check the photo's path and send the job. Raises VividKeysError."""
    text = operator.image_file or properties.settings(context).image_file
    path = Path(bpy.path.abspath(text)) if text else None
    if path is None or not path.is_file():
        sentence = "No photo is chosen." if path is None else f"There is no file '{path.name}'."
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_IMAGE, sentence, "Choose a photo of one face."
        )
    name = operator.name or f"{path.stem[:40]} Head"
    chosen = properties.settings(context)
    as_parts = choices.setting(operator, chosen, "head_objects") == "PARTS"
    plan = reconstruct.HeadPlan(name, targets.remember(properties.scene_of(context)), as_parts)
    head = operator.head or head_choice.chosen(str(chosen.head))
    params = asdict(requests.ReconstructRequest(image="0" * 64, image_name=path.name, head=head))
    # The session puts the hash of the upload here.
    del params["image"]
    return state().submit(reconstruct.KIND, params, {"image": path}, path.stem, plan)


CLASSES = (VIVIDKEYS_OT_create_head,)
