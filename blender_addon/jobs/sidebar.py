# SPDX-License-Identifier: GPL-3.0-or-later
"""Redrawing the sidebar: Blender draws a panel again only when it is told to."""

from __future__ import annotations

import bpy


def redraw() -> None:
    """Draw the sidebars of all 3D views again."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager is not None else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
