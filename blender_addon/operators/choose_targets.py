# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of target meshes: replace it by the selection, remove one."""

from __future__ import annotations

import bpy

from ..animation import targets
from ..settings import properties
from .job_operator import OperatorResult


class VIVIDKEYS_OT_use_selected(bpy.types.Operator):
    """Replaces the list of targets."""

    bl_idname = "vividkeys.use_selected"
    bl_label = "Use Selected Meshes"
    bl_description = (
        "Make the selected meshes with shape keys the targets; the active one comes first"
    )
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        active = context.view_layer.objects.active
        chosen = [
            candidate
            for candidate in context.view_layer.objects
            if candidate.select_get()
            and candidate.type == "MESH"
            and candidate.data.shape_keys is not None
        ]
        chosen.sort(key=lambda candidate: candidate != active)
        if not chosen:
            self.report({"WARNING"}, "No selected mesh has shape keys")
            return {"CANCELLED"}
        targets.choose_targets(context, chosen)
        return {"FINISHED"}


class VIVIDKEYS_OT_remove_target(bpy.types.Operator):
    """Removes one entry from the list of targets."""

    bl_idname = "vividkeys.remove_target"
    bl_label = "Remove Target"
    bl_description = "Remove the active mesh from the list; the mesh itself stays"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene is not None and len(properties.settings(context).targets) > 0

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        chosen = properties.settings(context)
        chosen.targets.remove(min(chosen.active_target, len(chosen.targets) - 1))
        chosen.active_target = max(0, chosen.active_target - 1)
        return {"FINISHED"}


CLASSES = (VIVIDKEYS_OT_use_selected, VIVIDKEYS_OT_remove_target)
