# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that differs between Blender 4.5, 5.0 and 5.2, and nothing else.

Each function asks for the attribute, not for the version, wherever that is possible.
"""

from __future__ import annotations

from typing import Any

import bpy

OLDEST = (4, 5, 0)


def new_channelbag(action: bpy.types.Action, datablock: Any) -> tuple[Any, Any]:
    """A slot of its own for `datablock` in `action`: (slot, the slot's channelbag).

    Written with the layered calls that 4.5, 5.0 and 5.2 have in common: `action.fcurves` is gone
    in 5.0, and `action_ensure_channelbag_for_slot` does not exist in 4.5.
    """
    slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
    return slot, strip_of(action).channelbag(slot, ensure=True)


def strip_of(action: bpy.types.Action) -> Any:
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


def channelbags(action: bpy.types.Action) -> list[tuple[Any, Any]]:
    """All slots of an action that have curves, with their channelbags."""
    return [
        (slot, bag)
        for layer in action.layers
        for strip in layer.strips
        for slot in action.slots
        if (bag := strip.channelbag(slot)) is not None
    ]


def copy_curve(source: Any, bag: Any) -> Any:
    """A copy of an F-curve in another channelbag, in a group of the same name."""
    if hasattr(bag.fcurves, "new_from_fcurve"):  # since 5.0
        made = bag.fcurves.new_from_fcurve(source)
    else:
        made = bag.fcurves.new(source.data_path, index=source.array_index)
        made.keyframe_points.add(len(source.keyframe_points))
        for old, new in zip(source.keyframe_points, made.keyframe_points, strict=True):
            _copy_values(old, new)
        for modifier in source.modifiers:
            new = made.modifiers.new(modifier.type)
            _copy_values(modifier, new)
            for point in getattr(modifier, "control_points", ()):
                _copy_values(point, new.control_points.add(point.frame))
        _copy_values(source, made)
        made.update()
    if source.group is not None:
        name = source.group.name
        made.group = bag.groups.get(name) or bag.groups.new(name)
    return made


def _copy_values(source: Any, goal: Any) -> None:
    for name, described in source.bl_rna.properties.items():
        if not described.is_readonly and described.type not in ("POINTER", "COLLECTION"):
            setattr(goal, name, getattr(source, name))


def new_shape_key(owner: Any, name: str) -> Any:
    """A new shape key of the object in its rest shape, switched off.

    Since 5.2 Blender adds them at value 1, before at 0; a key that is there to be animated must
    not show until it is.
    """
    block = owner.shape_key_add(name=name, from_mix=False)
    block.value = 0.0
    return block


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


def content_length(strip: Any) -> int:
    """How many frames a strip's content has, whatever is trimmed off. The name changed with 5.2."""
    return int(getattr(strip, "content_duration", None) or strip.frame_duration)


def sequencer_scene(context: bpy.types.Context) -> Any:
    """The scene whose strips the sequencer shows: since 5.0 the workspace chooses it."""
    workspace = getattr(context, "workspace", None)
    return getattr(workspace, "sequencer_scene", None) or context.scene


def show_in_sequencer(context: bpy.types.Context, scene: bpy.types.Scene) -> None:
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
