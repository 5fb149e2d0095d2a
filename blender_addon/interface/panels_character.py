# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the sidebar where a character of the user's own gets its 52 keys."""

from __future__ import annotations

import bpy

from ..animation import targets
from ..contracts import arkit
from ..heads import characters, face_points
from ..jobs.kinds import transfer
from ..jobs.work import state
from ..settings import properties
from .panel_parts import SidebarPanel, button, draw_progress, lines

_MOST_NAMES = 4


class VIVIDKEYS_PT_character(SidebarPanel, bpy.types.Panel):
    """From a character without face keys to one with them."""

    bl_idname = "VIVIDKEYS_PT_character"
    bl_label = "Character"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        chosen = properties.settings(context)
        face = characters.face_of(context)
        if face is None or face.type != "MESH":
            lines(layout, "Select the mesh with the face, and with it eyes, teeth, tongue, lashes.")
        else:
            _draw_state(layout, context, characters.pieces_of(context, face))
        if draw_progress(layout, transfer.KIND):
            return
        row = layout.row(align=True)
        button(row.column(), context, "find_face_points", icon="EMPTY_AXIS")
        if face is not None and face_points.of(face):
            row.operator("vividkeys.remove_face_points", text="", icon="X")
        options = layout.column(align=True)
        options.use_property_split = True
        options.use_property_decorate = False
        options.prop(chosen, "face_style")
        options.prop(chosen, "shapes_of")
        options.prop(chosen, "key_convention")
        options.prop(chosen, "replace_keys")
        if state().offers_surface_only or chosen.surface_only:
            options.prop(chosen, "surface_only")
        button(layout, context, "make_face_keys", icon="SHAPEKEY_DATA")


def _draw_state(
    layout: bpy.types.UILayout, context: bpy.types.Context, pieces: list[bpy.types.Object]
) -> None:
    face, *others = pieces
    text = f"Face: '{face.name}'"
    if others:
        shown = ", ".join(f"'{other.name}'" for other in others[:_MOST_NAMES])
        more = len(others) - _MOST_NAMES
        text += f", with {shown}" + (f" and {more} more" if more > 0 else "")
    lines(layout, f"{text}.", icon="MESH_DATA")
    count, whole = characters.key_count(pieces), len(arkit.ARKIT_NAMES)
    if count == whole and face in targets.target_meshes(context):
        lines(layout, f"It has all {whole} keys and is a target: it can be animated.")
    elif count == whole:
        lines(layout, f"It has all {whole} keys: choose it as a target below.")
    elif count:
        lines(layout, f"It has {count} of the {whole} keys.")
    else:
        lines(layout, f"It has none of the {whole} keys.")
    points = len(face_points.of(face))
    if points:
        guessed = ", only guessed" if face_points.are_only_guessed(face) else ""
        lines(layout, f"{points} face points say where the face is{guessed}.")
    else:
        lines(layout, "The face will be found when the keys are made.")


CLASSES = (VIVIDKEYS_PT_character,)
