# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of a scene mean: the meshes, the mapping file, what head motion moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..animation import animated_moods, baking, targets
from ..contracts import errors
from ..contracts import style as style_contract
from ..heads import scene as heads
from . import style_dials
from .properties import VividKeysSettings, scene_of


def full_path(text: str) -> Path | None:
    """A path as Blender's file fields hold it, '//' included; None for an empty field."""
    return Path(bpy.path.abspath(text)) if text else None


def setting(operator: bpy.types.Operator, chosen: VividKeysSettings, name: str) -> Any:
    """The operator's property if it was set, else the scene's."""
    given = operator.properties.is_property_set(name)
    return getattr(operator if given else chosen, name)


def style(operator: bpy.types.Operator, chosen: VividKeysSettings) -> style_contract.StyleDials:
    """The style to key with."""
    return style_dials.dials(lambda name: setting(operator, chosen, name))


def moving_moods(operator: bpy.types.Operator, context: bpy.types.Context) -> tuple[str, ...]:
    """The moods that curves of the scene animate, but for those that the operator was given."""
    return tuple(
        name
        for name in animated_moods.moving_moods(scene_of(context))
        if not operator.properties.is_property_set(name)
    )


def chosen_meshes(context: bpy.types.Context, name: str = "") -> list[bpy.types.Object]:
    """The target meshes of the scene, or the one object called `name`.

    Raises VividKeysError(bad_target) when there is none, or one without matching shape keys.
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


def head_goal(chosen: VividKeysSettings, meshes: list[bpy.types.Object]) -> baking.HeadGoal | None:
    """What head motion moves; None for nothing. Raises VividKeysError(bad_target)."""
    owner: bpy.types.Object | None = None
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
            "Nothing is chosen for the head motion to move.",
            "Choose it under 'Head Motion to', or choose 'Nothing' there.",
        )
    return baking.HeadGoal(targets.remember(owner), bone, chosen.head_forward)
