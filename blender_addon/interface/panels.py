# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab 'VividKeys' in the sidebar of the 3D view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

from ..animation import baking, keying, targets
from ..animation.exporting import FORMATS, performance_actions
from ..contracts import dials, errors
from ..jobs.kinds import animate, reconstruct
from ..jobs.work import Work, state
from ..settings import performance_dials, properties
from ..settings.preferences import preferences
from ..video import sequencer
from . import panels_character, panels_video
from .availability import disabled_reason
from .panel_parts import SidebarPanel, button, draw_progress, lines, shorten

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon

CONSENT = "Only animate a face with that person's consent."
_MOST_OFFERS = 3


class VIVIDKEYS_PT_backend(SidebarPanel, bpy.types.Panel):
    """The connection to a backend, and its state."""

    bl_idname = "VIVIDKEYS_PT_backend"
    bl_label = "Backend"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        work = state()
        row = layout.row()
        row.label(text=shorten(work.backend.sentence), icon=_connection_icon(work))
        if work.backend.connected or work.backend.connecting:
            row.operator("vividkeys.disconnect", text="", icon="X")
        else:
            button(layout, context, "connect_local", icon="PLAY")
            box = layout.column(align=True)
            box.prop(preferences(context), "address")
            box.prop(preferences(context), "key_file")
            button(layout, context, "connect_address", icon="LINKED")
        _draw_offers(layout, work)
        _draw_notice(layout, work)


class VIVIDKEYS_PT_connection(SidebarPanel, bpy.types.Panel):
    """Finding out why a connection fails."""

    bl_idname = "VIVIDKEYS_PT_connection"
    bl_parent_id = "VIVIDKEYS_PT_backend"
    bl_label = "Trouble?"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        button(layout, context, "check_connection", icon="VIEWZOOM")
        for step in state().checks:
            lines(
                layout,
                f"{step.name.capitalize()}: {step.sentence}",
                icon="CHECKMARK" if step.ok else "ERROR",
            )
            if step.next_step:
                lines(layout, step.next_step)
        layout.operator("vividkeys.open_log", icon="TEXT")


class VIVIDKEYS_PT_head(SidebarPanel, bpy.types.Panel):
    """From a photo to a head."""

    bl_idname = "VIVIDKEYS_PT_head"
    bl_label = "Head"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        chosen = properties.settings(context)
        layout.prop(chosen, "image_file", text="Photo")
        layout.prop(chosen, "head")
        layout.prop(chosen, "head_objects")
        lines(layout, CONSENT, icon="INFO")
        if not draw_progress(layout, reconstruct.KIND):
            button(layout, context, "create_head", icon="USER")


class VIVIDKEYS_PT_animate(SidebarPanel, bpy.types.Panel):
    """From a voice to keys."""

    bl_idname = "VIVIDKEYS_PT_animate"
    bl_label = "Animate"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        chosen = properties.settings(context)
        layout.row().prop(chosen, "audio_source", expand=True)
        if chosen.audio_source == "FILE":
            layout.prop(chosen, "audio_file", text="")
            layout.prop(chosen, "start_frame")
        else:
            strip = sequencer.selected_sound_strip(context)
            layout.label(text=strip.name if strip else "No sound strip selected", icon="SOUND")
        _draw_targets(layout, context, chosen)
        work = state()
        if not draw_progress(layout, animate.KIND):
            column = layout.column()
            column.scale_y = 1.4
            button(column, context, "animate", icon="SHAPEKEY_DATA")
        if work.pending is not None or performance_actions(targets.target_meshes(context)):
            button(layout, context, "apply_take", icon="FILE_REFRESH")


class VIVIDKEYS_PT_performance(SidebarPanel, bpy.types.Panel):
    """Settings that need 'Animate' again, and what is keyed where."""

    bl_idname = "VIVIDKEYS_PT_performance"
    bl_parent_id = "VIVIDKEYS_PT_animate"
    bl_label = "Performance"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        chosen = properties.settings(context)
        layout.prop(chosen, "seed")
        speaker = layout.column(align=True)
        for dial in dials.SPEAKER:
            speaker.prop(chosen, dial.name)
        if _asks_for_another_performance(context, chosen):
            lines(layout, "Press 'Animate' again for these to take effect.", icon="INFO")
        layout.prop(chosen, "lip_detail")
        layout.prop(chosen, "head_target")
        if chosen.head_target == "OBJECT":
            layout.prop(chosen, "head_object")
        elif chosen.head_target == "BONE":
            layout.prop(chosen, "head_armature")
            if chosen.head_armature is not None:
                layout.prop_search(chosen, "head_bone", chosen.head_armature.data, "bones")
        if chosen.head_target in ("MESH", "OBJECT", "BONE"):
            layout.prop(chosen, "head_forward")
        layout.prop(chosen, "lay_sound")
        layout.prop(chosen, "extend_scene")
        layout.prop(chosen, "mapping_file")
        layout.operator("vividkeys.save_mapping", icon="FILE_TICK")


class VIVIDKEYS_PT_style(SidebarPanel, bpy.types.Panel):
    """The dials that can still be turned on a finished performance."""

    bl_idname = "VIVIDKEYS_PT_style"
    bl_parent_id = "VIVIDKEYS_PT_animate"
    bl_label = "Style"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        chosen = properties.settings(context)
        for group in dials.STYLE_GROUPS:
            column = layout.column(align=True)
            for dial in group:
                column.prop(chosen, dial.name)
        if performance_actions(targets.target_meshes(context)):
            button(layout, context, "apply_take", icon="FILE_REFRESH")


class VIVIDKEYS_PT_export(SidebarPanel, bpy.types.Panel):
    """Files for other programs."""

    bl_idname = "VIVIDKEYS_PT_export"
    bl_label = "Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        reason = disabled_reason(context, "export")
        grid = layout.grid_flow(columns=2, even_columns=True, align=True)
        grid.enabled = not reason
        for form in FORMATS.values():
            grid.operator("vividkeys.export", text=form.label).format = form.name
        if reason:
            lines(layout, reason)


class VIVIDKEYS_UL_targets(bpy.types.UIList):
    """The target meshes, each as a field in which another mesh can be chosen."""

    bl_idname = "VIVIDKEYS_UL_targets"

    def draw_item(  # type: ignore[override]  # Blender leaves out what is not asked for
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: object,
        item: Any,
        _icon: int | None,
        _active_data: object,
        _active_property: str | None,
    ) -> None:
        layout.prop(item, "mesh", text="", emboss=item.mesh is None)


def _draw_targets(
    layout: bpy.types.UILayout, context: bpy.types.Context, chosen: properties.VividKeysSettings
) -> None:
    row = layout.row()
    row.template_list(
        "VIVIDKEYS_UL_targets", "", chosen, "targets", chosen, "active_target", rows=2
    )
    column = row.column(align=True)
    column.operator("vividkeys.use_selected", text="", icon="RESTRICT_SELECT_OFF")
    column.operator("vividkeys.remove_target", text="", icon="REMOVE")
    meshes = targets.target_meshes(context)
    if not meshes:
        return
    try:
        path = bpy.path.abspath(chosen.mapping_file) if chosen.mapping_file else ""
        lines(layout, baking.preview_match_at(meshes, path).sentence)
    except errors.VividKeysError as error:
        lines(layout, error.sentence, icon="ERROR")


def _asks_for_another_performance(
    context: bpy.types.Context, chosen: properties.VividKeysSettings
) -> bool:
    actions = performance_actions(targets.target_meshes(context))
    return any(
        performance_dials.differs(
            keying.action_description(action), lambda name: getattr(chosen, name)
        )
        for action in actions[:1]
    )


def _draw_offers(layout: bpy.types.UILayout, work: Work) -> None:
    for offer in work.offers[:_MOST_OFFERS]:
        row = layout.row(align=True)
        row.label(text=f"Unfinished: {offer.label}", icon="TIME")
        row.operator("vividkeys.fetch", text="", icon="IMPORT").job = offer.job
        row.operator("vividkeys.forget", text="", icon="TRASH").job = offer.job


def _draw_notice(layout: bpy.types.UILayout, work: Work) -> None:
    notice = work.notice
    if notice is None:
        return
    box = layout.box().column(align=True)
    box.alert = notice.is_error
    for number, sentence in enumerate(notice.sentences):
        icon: Icon = ("ERROR" if notice.is_error else "INFO") if number == 0 else "NONE"
        lines(box, sentence, icon=icon)
    if notice.next_step:
        lines(box, notice.next_step, icon="FORWARD")
    if notice.is_error:
        box.operator("vividkeys.open_log", icon="TEXT")


def _connection_icon(work: Work) -> Icon:
    if work.backend.connected:
        return "CHECKMARK"
    return "SORTTIME" if work.backend.connecting else "UNLINKED"


CLASSES = (
    VIVIDKEYS_UL_targets,
    VIVIDKEYS_PT_backend,
    VIVIDKEYS_PT_connection,
    VIVIDKEYS_PT_head,
    *panels_character.CLASSES,
    VIVIDKEYS_PT_animate,
    VIVIDKEYS_PT_style,
    VIVIDKEYS_PT_performance,
    *panels_video.CLASSES,
    VIVIDKEYS_PT_export,
)
