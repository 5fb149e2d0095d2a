# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that differs between Blender 4.5, 5.0 and 5.2, and nothing else.

Each function asks for the attribute, not for the version, wherever that is possible.
"""

from __future__ import annotations

from typing import Any

import bpy

OLDEST = (4, 5, 0)


def new_channelbag(action: Any, datablock: Any) -> tuple[Any, Any]:
    """A slot of its own for `datablock` in `action`: (slot, the slot's channelbag).

    Written with the layered calls that 4.5, 5.0 and 5.2 have in common: `action.fcurves` is gone
    in 5.0, and `action_ensure_channelbag_for_slot` does not exist in 4.5.
    """
    slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
    return slot, strip_of(action).channelbag(slot, ensure=True)


def strip_of(action: Any) -> Any:
    """The keyframe strip of the action's one layer, made when it is not there."""
    layer = action.layers[0] if action.layers else action.layers.new("VividKeys")
    return layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")


def channelbag_of(datablock: Any) -> Any | None:
    """The channelbag that animates `datablock` now, or None."""
    animation = datablock.animation_data
    if animation is None or animation.action is None or animation.action_slot is None:
        return None
    for layer in animation.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(animation.action_slot)
            if bag is not None:
                return bag
    return None


def strips_of(editor: Any) -> Any:
    """All strips of a sequence editor: `sequences` until 4.5, `strips` since 4.4."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def strip_frames(strip: Any) -> tuple[int, int, int]:
    """Frames of a strip: where its content begins, its first one, the one after its last one.

    The first two differ when the start is trimmed. The names changed with 5.2.
    """
    if hasattr(strip, "left_handle"):
        return round(strip.content_start), int(strip.left_handle), int(strip.right_handle)
    return (
        round(strip.frame_start),
        int(strip.frame_final_start),
        int(strip.frame_final_end),
    )


def sequencer_scene(context: Any) -> Any:
    """The scene whose strips the sequencer shows: since 5.0 the workspace chooses it."""
    workspace = getattr(context, "workspace", None)
    return getattr(workspace, "sequencer_scene", None) or context.scene


def show_in_sequencer(context: Any, scene: Any) -> None:
    """Since 5.0 a new workspace shows no scene's strips; show these unless others are shown."""
    workspace = getattr(context, "workspace", None)
    if workspace is not None and getattr(workspace, "sequencer_scene", scene) is None:
        workspace.sequencer_scene = scene


def ensure_nodes(material: Any) -> None:
    """A new material has nodes since 5.0; before, they must be asked for."""
    if material.node_tree is None:
        material.use_nodes = True


def is_supported() -> bool:
    """Blender 4.4 and older have no slotted Actions."""
    return tuple(bpy.app.version) >= OLDEST
