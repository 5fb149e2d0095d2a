# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that differs between Blender 4.5, 5.0 and 5.2, and nothing else.

Each function asks for the attribute, not for the version, wherever that is possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import bpy

if TYPE_CHECKING:
    # What of ours may have an action; in Blender each has an `animation_data` of its own.
    Animated = bpy.types.Object | bpy.types.Key | bpy.types.Scene

OLDEST = (4, 5, 0)


def new_channelbag(
    action: bpy.types.Action, datablock: Animated
) -> tuple[bpy.types.ActionSlot, bpy.types.ActionChannelbag]:
    """A slot of its own for `datablock` in `action`: (slot, the slot's channelbag).

    It uses the layered calls that 4.5, 5.0 and 5.2 have in common: `action.fcurves` is gone
    in 5.0, and `action_ensure_channelbag_for_slot` does not exist in 4.5.
    """
    slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
    return slot, strip_of(action).channelbag(slot, ensure=True)


def strip_of(action: bpy.types.Action) -> bpy.types.ActionKeyframeStrip:
    """The keyframe strip of the action's one layer, made when it is not there."""
    layer = action.layers[0] if action.layers else action.layers.new("VividKeys")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return cast("bpy.types.ActionKeyframeStrip", strip)  # there is no other kind


def channelbag_of(datablock: Animated) -> bpy.types.ActionChannelbag | None:
    """The channelbag that animates `datablock` now, or None."""
    animation = datablock.animation_data
    if animation is None or animation.action is None or animation.action_slot is None:
        return None
    for strip in _strips_of_layers(animation.action):
        bag = strip.channelbag(animation.action_slot)
        if bag is not None:
            return bag
    return None


def channelbags(
    action: bpy.types.Action,
) -> list[tuple[bpy.types.ActionSlot, bpy.types.ActionChannelbag]]:
    """All slots of an action that have curves, with their channelbags."""
    return [
        (slot, bag)
        for strip in _strips_of_layers(action)
        for slot in action.slots
        if (bag := strip.channelbag(slot)) is not None
    ]


def _strips_of_layers(action: bpy.types.Action) -> list[bpy.types.ActionKeyframeStrip]:
    strips = [strip for layer in action.layers for strip in layer.strips]
    return cast("list[bpy.types.ActionKeyframeStrip]", strips)  # there is no other kind


def copy_curve(source: bpy.types.FCurve, bag: bpy.types.ActionChannelbag) -> bpy.types.FCurve:
    """A copy of an F-curve in another channelbag, in a group of the same name."""
    if hasattr(bag.fcurves, "new_from_fcurve"):  # since 5.0
        made: bpy.types.FCurve = bag.fcurves.new_from_fcurve(source)
    else:
        made = bag.fcurves.new(source.data_path, index=source.array_index)
        made.keyframe_points.add(len(source.keyframe_points))
        for old, new in zip(source.keyframe_points, made.keyframe_points, strict=True):
            _copy_values(old, new)
        for modifier in source.modifiers:
            copied: Any = made.modifiers.new(modifier.type)  # of a type that depends on its kind
            _copy_values(modifier, copied)
            for point in getattr(modifier, "control_points", ()):
                _copy_values(point, copied.control_points.add(point.frame))
        _copy_values(source, made)
        made.update()
    if source.group is not None:
        name = source.group.name
        made.group = bag.groups.get(name) or bag.groups.new(name)
    return made


def _copy_values(source: bpy.types.bpy_struct, goal: bpy.types.bpy_struct) -> None:
    for name, described in source.bl_rna.properties.items():
        if not described.is_readonly and described.type not in ("POINTER", "COLLECTION"):
            setattr(goal, name, getattr(source, name))


def new_shape_key(owner: bpy.types.Object, name: str) -> bpy.types.ShapeKey:
    """A new shape key of the object, in its rest shape and with the value 0.

    Blender adds it with the value 1 since 5.2, and with 0 before; a key that is to be animated must
    have no effect until it is.
    """
    block = owner.shape_key_add(name=name, from_mix=False)
    block.value = 0.0
    return block


def strips_of(editor: bpy.types.SequenceEditor) -> bpy.types.StripsTopLevel:
    """All strips of a sequence editor: `sequences` until 4.5, `strips` since 4.4."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def strip_frames(strip: bpy.types.Strip) -> tuple[int, int, int]:
    """Frames of a strip: where its content starts, its first frame, the one after its last.

    The first two differ when the start is trimmed. The names changed with 5.2.
    """
    newer: Any = strip
    if hasattr(newer, "left_handle"):
        return round(newer.content_start), int(newer.left_handle), int(newer.right_handle)
    return (
        round(strip.frame_start),
        int(strip.frame_final_start),
        int(strip.frame_final_end),
    )


def content_length(strip: bpy.types.Strip) -> int:
    """The length of a strip's content in frames, trimmed or not. The name changed with 5.2."""
    return int(getattr(strip, "content_duration", None) or strip.frame_duration)


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene whose strips the sequencer shows: since 5.0 the workspace chooses it."""
    workspace = getattr(context, "workspace", None)
    shown = getattr(workspace, "sequencer_scene", None) or context.scene
    return cast("bpy.types.Scene", shown)


def show_in_sequencer(context: bpy.types.Context, scene: bpy.types.Scene) -> None:
    """Show the scene's strips unless others are shown: since 5.0 a new workspace shows none."""
    workspace: Any = getattr(context, "workspace", None)
    if workspace is not None and getattr(workspace, "sequencer_scene", scene) is None:
        workspace.sequencer_scene = scene


def ensure_nodes(material: bpy.types.Material) -> None:
    """Give a new material nodes, which since 5.0 it has already."""
    if material.node_tree is None:
        material.use_nodes = True


def is_supported() -> bool:
    """Blender 4.4 and older have no slotted Actions."""
    return tuple(bpy.app.version) >= OLDEST
