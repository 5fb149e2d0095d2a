# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the performance in one of the formats that `exporting` knows."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from ..animation import exporting, targets
from ..contracts import errors
from ..heads import characters
from ..heads import scene as heads
from ..interface.availability import poll
from ..jobs import performances
from ..jobs.sidebar import redraw
from ..jobs.work import state
from .job_operator import OperatorResult, fail


class VIVIDKEYS_OT_export(bpy.types.Operator):
    """Asks for a file and writes it."""

    bl_idname = "vividkeys.export"
    bl_label = "Export"
    bl_description = "Write the performance to a file for another program"

    filepath: StringProperty(name="File", subtype="FILE_PATH")
    format: EnumProperty(
        name="Format",
        items=tuple((f.name, f.label, f.description) for f in exporting.FORMATS.values()),
        default="GLB",
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> OperatorResult:
        self.filepath = default_path(self.format)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        try:
            path = _full_path(self.filepath, exporting.FORMATS[self.format].suffix)
            _write(context, self.format, path)
        except errors.VividKeysError as error:
            return fail(self, error)
        state().tell(f"Written: {path}")
        self.report({"INFO"}, f"Written: {path.name}")
        redraw()
        return {"FINISHED"}


def default_path(chosen_format: str) -> str:
    """Beside the .blend file and with its name; in the current folder if it was never saved."""
    saved = Path(bpy.data.filepath) if bpy.data.filepath else Path("performance.blend")
    return str(saved.with_name(saved.stem + exporting.FORMATS[chosen_format].suffix))


def _full_path(text: str, suffix: str) -> Path:
    if not text:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE, "No file is chosen.", "Choose where to write it."
        )
    path = Path(bpy.path.abspath(text))
    return path if path.name.lower().endswith(suffix) else path.with_name(path.name + suffix)


def _write(context: bpy.types.Context, chosen_format: str, path: Path) -> None:
    form = exporting.FORMATS[chosen_format]
    if not isinstance(form, exporting.SceneFormat):
        form.write(performances.performance_on(context), path)
        return
    meshes = targets.target_meshes(context)
    if not meshes:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET, "No target mesh is chosen.", "Choose what to export."
        )
    wanted = exporting.with_relations([*meshes, *_still_pieces(context, meshes)])
    form.write(context, wanted, path)


def _still_pieces(
    context: bpy.types.Context, meshes: list[bpy.types.Object]
) -> list[bpy.types.Object]:
    """Meshes that belong to the targets but have no keys of their own, such as upper teeth."""
    return [
        piece
        for mesh in meshes
        for piece in (*heads.parts_of(mesh), *characters.noted_pieces(mesh))
        if piece.type == "MESH"
        and piece.data.shape_keys is None
        and piece.name in context.view_layer.objects
    ]


CLASSES = (VIVIDKEYS_OT_export,)
