# SPDX-License-Identifier: GPL-3.0-or-later
"""What panels are made of: sentences, buttons with reasons, progress."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import bpy

from ..jobs.job import JobKind
from ..jobs.work import state
from .availability import disabled_reason

if TYPE_CHECKING:
    # Only the type stubs have the names of icons.
    from bpy.stub_internal.rna_enums import IconItems as Icon

    _Panel = bpy.types.Panel
else:
    _Panel = object  # Blender's classes are for what is registered; a mixin is not

CATEGORY = "VividKeys"
# A label does not wrap, so sentences are cut to the sidebar's width. Pixels at a scale of 1.
_PIXELS_PER_CHARACTER = 5.5
_PIXELS_BESIDE_TEXT = 58
_CHARACTERS_OF_AN_ICON = 4
_FEWEST_CHARACTERS, _MOST_CHARACTERS = 24, 120
_USUAL_CHARACTERS = 38


class SidebarPanel(_Panel):
    """Mixed into every panel: where it is, and that it has a layout whenever it is drawn."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    layout: bpy.types.UILayout


def draw_progress(layout: bpy.types.UILayout, kind: JobKind[Any]) -> bool:
    """A bar and a cancel button while a job of this kind is under way."""
    work = state()
    if not work.busy or work.job is None or work.job.kind != kind:
        return False
    layout.progress(factor=work.job.fraction, type="BAR", text=work.job.sentence)
    layout.operator("vividkeys.cancel", icon="CANCEL")
    return True


def button(
    layout: bpy.types.UILayout, context: bpy.types.Context, operator: str, icon: Icon
) -> None:
    """A button, and if it is grey the reason under it."""
    reason = disabled_reason(context, operator)
    row = layout.row()
    row.enabled = not reason
    row.operator(f"vividkeys.{operator}", icon=icon)
    if reason:
        lines(layout, reason)


def lines(layout: bpy.types.UILayout, text: str, icon: Icon = "NONE") -> None:
    """A sentence in as many labels as it needs: Blender's labels do not wrap."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    width = _characters_per_line()
    # The icon takes room on the first line only.
    indent = " " * (0 if icon == "NONE" else _CHARACTERS_OF_AN_ICON)
    for number, line in enumerate(textwrap.wrap(text, width, initial_indent=indent) or [""]):
        column.label(text=line.strip(), icon=icon if number == 0 else "NONE")


def shorten(text: str) -> str:
    """The text cut to one line beside two icons."""
    width = _characters_per_line() - 2 * _CHARACTERS_OF_AN_ICON
    text = text.replace("tcp://", "")
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def _characters_per_line() -> int:
    region = getattr(bpy.context, "region", None)
    if region is None or region.type != "UI" or region.width <= 1:
        return _USUAL_CHARACTERS
    scale = bpy.context.preferences.system.ui_scale
    room = (region.width / scale - _PIXELS_BESIDE_TEXT) / _PIXELS_PER_CHARACTER
    return int(min(max(room, _FEWEST_CHARACTERS), _MOST_CHARACTERS))
