# SPDX-License-Identifier: GPL-3.0-or-later
"""VividKeys for Blender: a voice and a photo become a keyed, talking head.

Blender calls `register` and `unregister`. Nothing here imports bpy, so that the modules without
bpy (mapping, session) can be imported and tested by any Python.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from .registration import register_all

    register_all()


def unregister() -> None:
    """Called by Blender when the extension is disabled or Blender quits."""
    from .registration import unregister_all

    unregister_all()
