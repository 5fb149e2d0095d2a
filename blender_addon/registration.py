# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender has to know of, in order; taken back in the reverse order."""

from __future__ import annotations

from typing import Any

import bpy

from .interface import panels
from .jobs import work
from .operators import (
    animate,
    apply_take,
    cancel,
    check_connection,
    choose_targets,
    connect_address,
    connect_local,
    create_head,
    disconnect,
    export,
    fetch,
    find_face_points,
    forget,
    make_face_keys,
    open_log,
    render_video,
    save_mapping,
)
from .settings import preferences, properties

_MODULES = (
    preferences,
    properties,
    connect_local,
    connect_address,
    disconnect,
    check_connection,
    create_head,
    find_face_points,
    make_face_keys,
    animate,
    cancel,
    apply_take,
    fetch,
    forget,
    render_video,
    export,
    save_mapping,
    open_log,
    choose_targets,
    panels,
)


def classes() -> tuple[type[Any], ...]:
    """All classes in the order in which they are registered."""
    return tuple(registered for module in _MODULES for registered in module.CLASSES)


def register_all() -> None:
    """For `blender_addon.register`."""
    for registered in classes():
        bpy.utils.register_class(registered)
    properties.register()


def unregister_all() -> None:
    """For `blender_addon.unregister`: also ends threads, timers and a backend of ours."""
    work.close()
    properties.unregister()
    for registered in reversed(classes()):
        bpy.utils.unregister_class(registered)
