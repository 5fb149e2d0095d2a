# SPDX-License-Identifier: GPL-3.0-or-later
"""Save Mapping: which shape key follows which channel, as a file to edit and share."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from .. import mapping
from ..animation import baking, targets
from ..contracts import errors
from ..interface.availability import poll
from ..jobs.sidebar import redraw
from ..jobs.work import state
from ..settings import choices, properties
from .job_operator import OperatorResult, fail


class VIVIDKEYS_OT_save_mapping(bpy.types.Operator):
    """Asks for a file, writes the mapping and makes it that of the scene."""

    bl_idname = "vividkeys.save_mapping"
    bl_label = "Save Mapping"
    bl_description = (
        "Write the mapping of the targets to a file, to edit gains or to add shape keys "
    )

    filepath: StringProperty(name="File", subtype="FILE_PATH", default="//mapping.json")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> OperatorResult:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            chosen = choices.full_path(properties.settings(context).mapping_file)
            mappings = baking.propose_mappings(targets.target_meshes(context), chosen)
            mapping.save_mapping(mappings, path)
        except errors.VividKeysError as error:
            return fail(self, error)
        except OSError as problem:
            return fail(
                self,
                errors.VividKeysError(
                    errors.ErrorKind.BAD_FILE,
                    f"{path.name} cannot be written: {problem.strerror or problem}.",
                    "Choose a folder in which you may write.",
                ),
            )
        properties.settings(context).mapping_file = str(path)
        state().tell(f"Written: {path}", "It is now the mapping of this scene.")
        redraw()
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_save_mapping,)
