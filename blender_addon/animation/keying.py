# SPDX-License-Identifier: GPL-3.0-or-later
"""Write curves as keys, in bulk, to an Action of ours with a slot for each datablock.

The whole performance is one Action, so that exporters make one animation of it. An Action that was
there before is never written to. It gets a fake user, so that it is saved with the file, and the
datablock refers to it by the custom property 'vividkeys_previous_action'.

The user's own curves in an Action of ours, of other keys or bones, are copied to the next one; they
are recognised by their group. `set_aside` decides what becomes of the old Action.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import bpy
import numpy as np

from .. import versions
from ..contracts import dials, errors, take

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

ACTION_PROPERTY = "vividkeys"
PREVIOUS_ACTION_PROPERTY = "vividkeys_previous_action"
TRACK_NAME = "VividKeys"
SHAPE_GROUP = "VividKeys"
HEAD_GROUP = "VividKeys head"
# In an Action's description: how its performance was asked for.
NOTE = "asked"

_LINEAR = 1
_AUTO_CLAMPED = 4


def new_action(name: str, description: Mapping[str, Any]) -> bpy.types.Action:
    """An empty Action of ours; Blender adds a number when the name is taken."""
    action = bpy.data.actions.new(name)
    action[ACTION_PROPERTY] = json.dumps(dict(description))
    return action


def is_our_action(action: bpy.types.Action | None) -> TypeGuard[bpy.types.Action]:
    """Whether VividKeys made this Action."""
    return action is not None and action.get(ACTION_PROPERTY) is not None


def action_description(action: bpy.types.Action) -> dict[str, Any]:
    """What `new_action` stored; empty for an Action not ours, or whose text cannot be read."""
    try:
        description = json.loads(action[ACTION_PROPERTY])
    except (KeyError, TypeError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}


def asked(performance: take.Take) -> dict[str, float]:
    """The settings that a Take says it was made with, to store in its Action; may be empty."""
    noted = performance.meta.get("settings")
    if not isinstance(noted, dict):
        return {}
    names = ("seed", *(dial.name for dial in dials.SPEAKER))
    return {name: noted[name] for name in names if isinstance(noted.get(name), (int, float))}


def is_our_curve(curve: bpy.types.FCurve) -> bool:
    """Whether we wrote this curve, judging by its group."""
    return curve.group is not None and curve.group.name in (SHAPE_GROUP, HEAD_GROUP)


def span_of(action: bpy.types.Action) -> tuple[float, float] | None:
    """First and last frame of our curves in the Action; None for an empty one.

    Of all curves where none is recognised as ours.
    """
    curves = [curve for _, bag in versions.channelbags(action) for curve in bag.fcurves]
    ours = [curve for curve in curves if is_our_curve(curve)] or curves
    ranges = [curve.range() for curve in ours if len(curve.keyframe_points)]
    spans = [(found[0], found[1]) for found in ranges]
    if not spans:
        return None
    return min(first for first, _ in spans), max(last for _, last in spans)


def our_actions_on(owners: Sequence[versions.Animated]) -> list[bpy.types.Action]:
    """The Actions of ours that keying these datablocks would replace."""
    found: dict[str, bpy.types.Action] = {}
    for owner in owners:
        animation = owner.animation_data
        if animation is None:
            continue
        strips = (strip for track in _our_tracks(animation) for strip in track.strips)
        for action in (animation.action, *(strip.action for strip in strips)):
            if is_our_action(action):
                found[action.name] = action
    return list(found.values())


def check_editable(datablock: bpy.types.ID, what: str) -> None:
    """Raise VividKeysError(bad_target) for data linked from another file."""
    if not datablock.is_editable:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"{what} is linked from another file and cannot be keyed here.",
            "Make it local or make a library override, then animate again.",
        )


def write_shape_keys(
    action: bpy.types.Action,
    keys: bpy.types.Key,
    curves: Mapping[str, Float32[np.ndarray, " T"]],
    start_frame: int,
) -> int:
    """Key shape keys of the datablock `keys` and assign the action; returns the number of keys.

    `curves` holds one value per frame by shape key name. Keys are on whole frames from
    `start_frame` on, with linear interpolation.
    """
    check_editable(keys, f"The shape key data '{keys.name}'")
    slot, bag = versions.new_channelbag(action, keys)
    group = bag.groups.new(SHAPE_GROUP)
    written = 0
    for name, values in curves.items():
        path = f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'
        written += _write_curve(bag, group, path, 0, values, start_frame)
    _carry_over(keys, bag)
    _assign(keys, action, slot)
    return written


def write_channels(
    action: bpy.types.Action,
    owner: bpy.types.Object,
    channels: Mapping[str, Float32[np.ndarray, "T _"]],
    start_frame: int,
) -> int:
    """Key vector properties of an object (data path -> values); returns the number of keys.

    The owner's own Action, where it has one, stays in place: ours then goes to an NLA track below
    it. Check `conflicting_paths` first.
    """
    check_editable(owner, f"'{owner.name}'")
    slot, bag = versions.new_channelbag(action, owner)
    group = bag.groups.new(HEAD_GROUP)
    written = 0
    for path, values in channels.items():
        for index in range(values.shape[1]):
            written += _write_curve(bag, group, path, index, values[:, index], start_frame)
    _carry_over(owner, bag)
    _remove_our_tracks(owner)
    if _foreign_action(owner) is None:
        _assign(owner, action, slot)
    else:
        _add_track(owner, action, slot, start_frame)
    return written


def conflicting_paths(owner: versions.Animated, paths: set[str]) -> set[str]:
    """Which of the data paths the owner's own Action already animates."""
    if _foreign_action(owner) is None:
        return set()
    bag = versions.channelbag_of(owner)
    return set() if bag is None else {curve.data_path for curve in bag.fcurves} & paths


def driven_shape_keys(keys: bpy.types.Key) -> set[str]:
    """Names of shape keys whose value has a driver: keys on them would have no effect."""
    animation = keys.animation_data
    if animation is None:
        return set()
    paths = {driver.data_path for driver in animation.drivers}
    return {
        block.name
        for block in keys.key_blocks
        if f'key_blocks["{bpy.utils.escape_identifier(block.name)}"].value' in paths
    }


def displaced_actions(datablocks: Sequence[versions.Animated]) -> tuple[str, ...]:
    """Names of the user's own Actions that keying these datablocks would set aside."""
    actions = [_foreign_action(datablock) for datablock in datablocks]
    return tuple(dict.fromkeys(action.name for action in actions if action is not None))


def _foreign_action(datablock: versions.Animated) -> bpy.types.Action | None:
    animation = datablock.animation_data
    action = animation.action if animation is not None else None
    return None if action is None or is_our_action(action) else action


def _assign(
    datablock: versions.Animated, action: bpy.types.Action, slot: bpy.types.ActionSlot
) -> None:
    animation = datablock.animation_data_create()
    if animation.use_tweak_mode:
        animation.use_tweak_mode = False
    before = animation.action
    if before is not None and not is_our_action(before):
        before.use_fake_user = True
        datablock[PREVIOUS_ACTION_PROPERTY] = before
    animation.action = action
    animation.action_slot = slot


def _add_track(
    owner: bpy.types.Object,
    action: bpy.types.Action,
    slot: bpy.types.ActionSlot,
    start_frame: int,
) -> None:
    animation = owner.animation_data
    track = animation.nla_tracks.new()
    track.name = TRACK_NAME
    strip = track.strips.new(action.name, start_frame, action)
    strip.action_slot = slot
    strip.name = action.name


def _remove_our_tracks(owner: bpy.types.Object) -> None:
    animation = owner.animation_data
    if animation is not None:
        for track in _our_tracks(animation):
            animation.nla_tracks.remove(track)


def _our_tracks(animation: bpy.types.AnimData) -> list[bpy.types.NlaTrack]:
    """The tracks that `_add_track` made.

    One that the user made by pushing down or stashing an Action of ours is the user's.
    """
    return [
        track
        for track in animation.nla_tracks
        if track.name.split(".")[0] == TRACK_NAME
        and track.strips
        and all(is_our_action(strip.action) for strip in track.strips)
    ]


def _carry_over(datablock: versions.Animated, bag: bpy.types.ActionChannelbag) -> None:
    """Copy the user's own curves from the Action of ours that is on the datablock now."""
    animation = datablock.animation_data
    before = versions.channelbag_of(datablock)
    if before is None or not is_our_action(animation.action):
        return
    for curve in before.fcurves:
        is_free = bag.fcurves.find(curve.data_path, index=curve.array_index) is None
        if is_free and not is_our_curve(curve):
            versions.copy_curve(curve, bag)


def _write_curve(
    bag: bpy.types.ActionChannelbag,
    group: bpy.types.ActionGroup,
    path: str,
    index: int,
    values: Float[np.ndarray, " T"],
    start_frame: int,
) -> int:
    curve = bag.fcurves.new(path, index=index)
    curve.group = group
    count = len(values)
    points = np.empty((count, 2), np.float32)
    points[:, 0] = np.arange(start_frame, start_frame + count)
    points[:, 1] = values
    keys = curve.keyframe_points
    keys.add(count)
    keys.foreach_set("co", points.ravel())
    keys.foreach_set("interpolation", np.full(count, _LINEAR, np.int32))
    # Handles take effect once somebody makes a key Bezier; then they should already be good.
    keys.foreach_set("handle_left_type", np.full(count, _AUTO_CLAMPED, np.int32))
    keys.foreach_set("handle_right_type", np.full(count, _AUTO_CLAMPED, np.int32))
    curve.update()
    return count
