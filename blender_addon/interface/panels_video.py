# SPDX-License-Identifier: GPL-3.0-or-later
"""The section 'Talking Video' of the sidebar: the photo itself speaks."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..jobs import first_picture
from ..jobs.kinds import render
from ..settings import properties
from .panel_parts import SidebarPanel, button, draw_progress, lines

CONSENT = "Only animate the face of someone who agreed to it."
_PICTURE_SCALE = 6.0


class VIVIDKEYS_PT_video(SidebarPanel, bpy.types.Panel):
    """From a photo and a performance to a video."""

    bl_idname = "VIVIDKEYS_PT_video"
    bl_label = "Talking Video"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        chosen = properties.settings(context)
        layout.prop(chosen, "video_photo")
        if not chosen.video_photo and chosen.image_file:
            lines(layout, f"The head's photo: {Path(chosen.image_file).name}", icon="IMAGE_DATA")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name in ("video_size", "video_background"):
            column.prop(chosen, name)
        switches = column.column(align=True)
        for name in ("video_preview", "video_replace", "video_mark"):
            switches.prop(chosen, name)
        lines(layout, CONSENT, icon="INFO")
        if draw_progress(layout, render.KIND):
            if first_picture.icon():
                layout.template_icon(icon_value=first_picture.icon(), scale=_PICTURE_SCALE)
        else:
            button(layout, context, "render_video", icon="FILE_MOVIE")


CLASSES = (VIVIDKEYS_PT_video,)
