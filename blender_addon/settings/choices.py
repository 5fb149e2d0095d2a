# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of a scene mean: the meshes, the mapping file, where head motion goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..animation import animated_moods, baking, targets
from ..contracts import errors
from ..heads import scene as heads
from . import style_dials


def full_path(text: str) -> Path | None:
    """A path as Blender's file fields hold it, '//' included; None for an empty field."""
    return Path(bpy.path.abspath(text)) if text else None


def setting(operator: Any, chosen: Any, name: str) -> Any:
    """What the operator was told, else what the scene says."""
    given = operator.properties.is_property_set(name)
    return getattr(operator if given else chosen, name)


def style(operator: Any, chosen: Any) -> Any:
    """The StyleDials to key with."""
    return style_dials.dials(lambda name: setting(operator, chosen, name))


def moving_moods(operator: Any, context: bpy.types.Context) -> tuple[str, ...]:
    """The moods that curves of the scene give, but for those that the operator was told."""
    return tuple(
        name
        for name in animated_moods.moving_moods(context.scene)
        if not operator.properties.is_property_set(name)
    )


def chosen_meshes(context: bpy.types.Context, name: str = "") -> list[Any]:
    """The target meshes of the scene, or the one object called `name`.

    Raises VividKeysError(bad_target) when there is none, or one without fitting shape keys.
    """
    if name:
        found = bpy.data.objects.get(name)
        if found is None:
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_TARGET,
                f"There is no object '{name}'.",
                "Choose a mesh with shape keys.",
            )
        meshes = [found]
    else:
        meshes = targets.target_meshes(context)
    if not meshes:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            "No target mesh is chosen.",
            "Choose a mesh with shape keys, or create a head from a photo.",
        )
    for mesh in meshes:
        targets.shape_keys_of(mesh)
    return meshes


def head_goal(chosen: Any, meshes: list[Any]) -> baking.HeadGoal | None:
    """Where head motion goes; None for nowhere. Raises VividKeysError(bad_target)."""
    owner: Any = None
    bone = ""
    match chosen.head_target:
        case "AUTO" if heads.is_our_head(meshes[0]):
            return baking.HeadGoal(targets.remember(meshes[0]))
        case "MESH":
            owner = meshes[0]
        case "OBJECT":
            owner = chosen.head_object
        case "BONE":
            owner, bone = chosen.head_armature, chosen.head_bone
        case _:
            return None
    if owner is None or (chosen.head_target == "BONE" and not bone):
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            "It is not chosen what the head motion moves.",
            "Choose it under 'Head Motion to', or choose 'Nothing' there.",
        )
    return baking.HeadGoal(targets.remember(owner), bone, chosen.head_forward)
