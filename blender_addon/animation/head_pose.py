# SPDX-License-Identifier: GPL-3.0-or-later
"""Key a Take's head motion on an object, an empty or a pose bone, relative to its rest pose."""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import TYPE_CHECKING

import bpy
import numpy as np
from mathutils import Euler, Matrix, Quaternion, Vector

from ..contracts import errors, take
from . import keying

if TYPE_CHECKING:
    from jaxtyping import Float32

    Posed = bpy.types.Object | bpy.types.PoseBone

REST_PROPERTY = "vividkeys_rest"

# Rotation of a face about +Z, in radians, relative to a Take's axes, where it looks along -Y.
FORWARD_TURNS: dict[str, float] = {
    "-Y": 0.0,
    "+X": radians(90),
    "+Y": radians(180),
    "-X": radians(-90),
}


@dataclass(frozen=True)
class PoseOwner:
    """What is keyed: `owner` is the animated object (an armature for a bone); bone may be ''."""

    owner: bpy.types.Object
    bone: str = ""
    forward: str = "-Y"

    @property
    def posed(self) -> Posed:
        """The object or the pose bone whose location and rotation are keyed."""
        if not self.bone:
            return self.owner
        pose_bone = self.owner.pose.bones.get(self.bone) if self.owner.pose else None
        if pose_bone is None:
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_TARGET,
                f"'{self.owner.name}' has no bone '{self.bone}' any more.",
                "Choose the bone for the head motion again.",
            )
        return pose_bone

    @property
    def prefix(self) -> str:
        return self.posed.path_from_id() + "." if self.bone else ""


def key_head_motion(
    action: bpy.types.Action, target: PoseOwner, performance: take.Take, start_frame: int
) -> tuple[int, str]:
    """Key rotation and location; returns (keys written, a warning or '').

    `performance` must have the scene's frame rate. Nothing is written when the owner's own Action
    already moves the same channels; then the warning says so.
    """
    posed = target.posed
    rotation_path = target.prefix + rotation_property(posed.rotation_mode)
    location_path = target.prefix + "location"
    taken = keying.conflicting_paths(target.owner, {rotation_path, location_path})
    if taken:
        own = target.owner.animation_data.action.name
        return 0, (
            f"Head motion was left out: '{own}' already moves "
            f"{target.bone or target.owner.name}. Choose an empty or another bone for it."
        )
    location, rotation = rest_transform(target)
    channels = pose_channels(target, location, rotation, performance)
    written = keying.write_channels(
        action,
        target.owner,
        {rotation_path: channels[0], location_path: channels[1]},
        start_frame,
    )
    target.owner[_rest_name(target)] = [*location[:], *rotation[:]]
    if target.bone and posed.bone.use_connect:
        return written, f"The bone '{target.bone}' is connected: it turns but cannot shift."
    return written, ""


def pose_channels(
    target: PoseOwner, location: Vector, rotation: Quaternion, performance: take.Take
) -> tuple[Float32[np.ndarray, "T R"], Float32[np.ndarray, "T 3"]]:
    """(rotation in the rotation mode of what is posed, with R = 3 or 4 values; location)."""
    turn = Quaternion((0.0, 0.0, 1.0), FORWARD_TURNS[target.forward])
    if target.bone:
        # The motion happens in the armature's axes; the bone's own rest axes are turned.
        turn = target.posed.bone.matrix_local.to_quaternion().inverted() @ turn
    back = turn.inverted()
    posed = target.posed
    quaternions = []
    shifts = np.empty((performance.frame_count, 3), np.float32)
    for frame, (angles, shift) in enumerate(
        zip(performance.head_rotation.tolist(), performance.head_translation.tolist(), strict=True)
    ):
        motion = turn @ Euler(angles, "XYZ").to_quaternion() @ back
        moved = turn @ Vector(shift)
        if target.bone:
            quaternions.append(motion @ rotation)
            shifts[frame] = (location + moved)[:]
        else:
            quaternions.append(rotation @ motion)
            shifts[frame] = (location + rotation @ moved)[:]
    return rotation_values(quaternions, posed.rotation_mode), shifts


def rotation_property(mode: str) -> str:
    """The property that holds the rotation in this rotation mode."""
    return {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(
        mode, "rotation_euler"
    )


def rotation_values(quaternions: list[Quaternion], mode: str) -> Float32[np.ndarray, "T R"]:
    """Rotations in a rotation mode, each as close as possible to the one before."""
    values: list[tuple[float, ...]] = []
    euler: Euler | None = None
    quaternion: Quaternion | None = None
    axis = Vector((0.0, 1.0, 0.0))
    for rotation in quaternions:
        current = rotation.normalized()
        if mode == "QUATERNION":
            if quaternion is not None:
                current.make_compatible(quaternion)
            quaternion = current
            values.append(current[:])
        elif mode == "AXIS_ANGLE":
            new_axis, angle = current.to_axis_angle()
            if abs(angle) < 1e-6:
                new_axis = axis
            elif new_axis.dot(axis) < 0:
                new_axis, angle = -new_axis, -angle
            axis = new_axis
            values.append((angle, *new_axis[:]))
        else:
            euler = current.to_euler(mode, euler) if euler is not None else current.to_euler(mode)
            values.append(euler[:])
    return np.array(values, np.float32)


def rest_transform(target: PoseOwner) -> tuple[Vector, Quaternion]:
    """Location and rotation that the motion is relative to.

    Under an Action of ours the current pose belongs to the last performance; then the rest
    transform that was stored with it is used, so that motion never accumulates.
    """
    noted = target.owner.get(_rest_name(target))
    animation = target.owner.animation_data
    ours = animation is not None and (
        keying.is_our_action(animation.action)
        or any(
            keying.is_our_action(strip.action)
            for track in animation.nla_tracks
            for strip in track.strips
        )
    )
    if ours and noted is not None and len(noted) == 7:
        return Vector(noted[:3]), Quaternion(noted[3:])
    posed = target.posed
    return posed.location.copy(), current_rotation(posed)


def current_rotation(posed: Posed) -> Quaternion:
    """The rotation of an object or a pose bone, whatever its rotation mode."""
    if posed.rotation_mode == "QUATERNION":
        return posed.rotation_quaternion.normalized()
    if posed.rotation_mode == "AXIS_ANGLE":
        angle, *axis = posed.rotation_axis_angle
        if not any(axis):
            return Quaternion()
        return Matrix.Rotation(angle, 3, Vector(axis)).to_quaternion()
    return posed.rotation_euler.to_quaternion()


def _rest_name(target: PoseOwner) -> str:
    return f"{REST_PROPERTY}_{target.bone}" if target.bone else REST_PROPERTY
