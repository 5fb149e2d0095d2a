# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings for every file of this user: where the backend is, and how long to wait."""

from __future__ import annotations

from typing import cast

import bpy
from bpy.props import FloatProperty, StringProperty

from ..contracts import backend_location
from ..folders import PACKAGE


class VividKeysPreferences(bpy.types.AddonPreferences):
    """Set by hand, by the installer or by a script."""

    bl_idname = PACKAGE

    backend_python: StringProperty(
        name="Backend Python",
        description="The Python of the backend's environment; empty: the backend that install.py "
        "set up on this computer",
        subtype="FILE_PATH",
    )
    backend_folder: StringProperty(
        name="Backend Folder",
        description="Where 'python -m backend' is run; empty: the folder that install.py noted",
        subtype="DIR_PATH",
    )
    address: StringProperty(
        name="Address",
        description="Name and port of the computer where the backend runs, e.g. gpu-box:7761",
    )
    key_file: StringProperty(
        name="Key File",
        description="The file that 'python -m backend keys' made for this client",
        subtype="FILE_PATH",
    )
    start_seconds: FloatProperty(
        name="Wait for Start",
        description="How long a local backend may take until it answers",
        default=60.0,
        min=1.0,
        max=600.0,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
    )
    patience_seconds: FloatProperty(
        name="Wait for Reconnect",
        description="How long jobs on another computer wait for a lost connection to come back",
        default=60.0,
        min=0.0,
        max=3600.0,
        subtype="TIME_ABSOLUTE",
        unit="TIME_ABSOLUTE",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        local = layout.column(heading="This computer")
        local.prop(self, "backend_python")
        local.prop(self, "backend_folder")
        local.prop(self, "start_seconds")
        other = layout.column(heading="Another computer")
        other.prop(self, "address")
        other.prop(self, "key_file")
        other.prop(self, "patience_seconds")


def preferences(context: bpy.types.Context | None = None) -> VividKeysPreferences:
    """The add-on's preferences."""
    addon = (context or bpy.context).preferences.addons[PACKAGE]
    return cast(VividKeysPreferences, addon.preferences)


def local_backend(context: bpy.types.Context) -> tuple[str, str]:
    """Python and folder of the backend on this computer; '' where neither set nor found."""
    chosen = preferences(context)
    noted = backend_location.find_location()
    python = chosen.backend_python or (str(noted.python) if noted else "")
    folder = chosen.backend_folder or (str(noted.folder) if noted else "")
    return python, folder


CLASSES = (VividKeysPreferences,)
