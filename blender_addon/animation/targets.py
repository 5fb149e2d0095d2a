# SPDX-License-Identifier: GPL-3.0-or-later
"""What is animated: which meshes can be, which were chosen, and how a job remembers them.

A job takes a while, and the file changes meanwhile: a pointer dangles when its datablock is
removed, and an index shifts after a deletion. Blender's session uid survives renaming and undo; the
name helps after the file has been loaded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import bpy

from ..contracts import errors

# In a reference from an earlier session of Blender: only its name counts.
NO_UID = -1


@dataclass(frozen=True)
class Reference:
    """One object or scene as it was when the job was sent."""

    collection: str  # the name of the bpy.data collection: "objects" or "scenes"
    session_uid: int
    name: str


NOTHING = Reference("objects", NO_UID, "")


def remember(datablock: bpy.types.ID) -> Reference:
    """A reference to an object or a scene."""
    collection = "scenes" if datablock.id_type == "SCENE" else "objects"
    return Reference(collection, datablock.session_uid, datablock.name)


def find(reference: Reference) -> Any:
    """The object or scene itself. Raises VividKeysError(bad_target) when it is gone."""
    candidates = bpy.data.scenes if reference.collection == "scenes" else bpy.data.objects
    for candidate in candidates:
        if candidate.session_uid == reference.session_uid:
            return candidate
    # Loading a file assigns new uids; then the name has to do.
    found = candidates.get(reference.name)
    if found is None:
        what = "scene" if reference.collection == "scenes" else "object"
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"The {what} '{reference.name}' is not in the file any more.",
            "Choose another target, then press 'Apply Take'.",
        )
    return found


def by_name(values: Mapping[str, Any]) -> Reference:
    """A reference that was saved as JSON by an earlier session of Blender."""
    return Reference(str(values["collection"]), NO_UID, str(values["name"]))


def keys_on(mesh: bpy.types.Object) -> bpy.types.Key:
    """The shape key datablock of a mesh object that is known to have one."""
    return cast("bpy.types.Key", mesh.data.shape_keys)


def shape_keys_of(target: bpy.types.Object) -> bpy.types.Key:
    """The shape key datablock of a mesh object that can be animated.

    Raises VividKeysError(bad_target), which says what is wrong and what to do.
    """
    problem = target_problem(target)
    if problem:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET, problem, "Choose another target mesh."
        )
    return keys_on(target)


def target_problem(target: bpy.types.Object | None) -> str:
    """Why this object cannot be a target, as a sentence; '' when it can."""
    if target is None:
        return "No target mesh is chosen."
    if target.type != "MESH":
        return f"'{target.name}' is not a mesh."
    keys: bpy.types.Key | None = target.data.shape_keys
    if keys is None or len(keys.key_blocks) < 2:
        return f"'{target.name}' has no shape keys."
    if not keys.use_relative:
        return f"The shape keys of '{target.name}' are absolute; only relative ones can be mixed."
    if not keys.is_editable and target.is_editable:
        return f"The mesh of '{target.name}' is still linked; make a library override of it too."
    if not keys.is_editable:
        return f"'{target.name}' is linked from another file; make it local or override it."
    return ""


def target_meshes(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The chosen target objects that still exist, each once, in their order."""
    found: dict[str, bpy.types.Object] = {}
    for item in context.scene.vividkeys.targets:
        # The pointer keeps a deleted object, which is in no scene, until the file is saved.
        if item.mesh is not None and item.mesh.users_scene:
            found[item.mesh.name] = item.mesh
    return list(found.values())


def choose_targets(context: bpy.types.Context, meshes: list[bpy.types.Object]) -> None:
    """Make these objects the targets, in this order."""
    chosen = context.scene.vividkeys
    chosen.targets.clear()
    for mesh in meshes:
        chosen.targets.add().mesh = mesh
    chosen.active_target = 0
