# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for other programs: the Take itself, Live Link Face CSV, GLB and FBX.

The settings of the two exporters are those with which shape key names, order, key times and
values come out equal to the Take; the tests read the files back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from ..contracts import errors, formats, take, whole_files
from . import glb_times, keying


def export_take(performance: take.Take, path: Path) -> None:
    """The Take as *.take.npz, at its own frame rate."""
    take.save_take(performance, path)


def export_live_link(performance: take.Take, path: Path) -> None:
    """The Take as a Live Link Face CSV, at its own frame rate."""
    formats.save_livelink_csv(performance, path)


def export_glb(context: Any, exported: list[Any], path: Path) -> None:
    """The objects with their animation as one GLB; its time 0 is the first key.

    `export_apply` stays off: with it a subdivision modifier would drop every shape key.
    """

    def run(temporary: str) -> Any:
        result = bpy.ops.export_scene.gltf(
            filepath=temporary,
            export_format="GLB",
            use_selection=True,
            export_apply=False,
            export_animations=True,
            export_animation_mode="ACTIONS",
            export_anim_slide_to_zero=False,
            export_force_sampling=False,
            export_optimize_animation_size=False,
            export_morph=True,
            export_morph_normal=False,
            export_morph_animation=True,
            export_extras=False,
        )
        span = performance_range(exported)
        if span is not None and result == {"FINISHED"}:
            names = {action.name for action in performance_actions(exported)}
            fps = context.scene.render.fps / context.scene.render.fps_base
            glb_times.start_animations_at_zero(Path(temporary), names, span[0], fps)
        return result

    with _only_selected(context, exported), _scene_of_performance(context, exported):
        _export(path, run)


def export_fbx(context: Any, exported: list[Any], path: Path) -> None:
    """The objects with their animation and pictures as one FBX; its time 0 is frame 0."""
    with _only_selected(context, exported), _scene_of_performance(context, exported):
        _export(
            path,
            lambda temporary: bpy.ops.export_scene.fbx(
                filepath=temporary,
                use_selection=True,
                object_types={"MESH", "EMPTY", "ARMATURE"},
                add_leaf_bones=False,
                use_mesh_modifiers=False,
                bake_anim=True,
                bake_anim_use_all_bones=True,
                bake_anim_use_nla_strips=False,
                bake_anim_use_all_actions=False,
                bake_anim_step=1.0,
                bake_anim_simplify_factor=0.0,
                path_mode="COPY",
                embed_textures=True,
            ),
        )


def with_relations(objects: list[Any]) -> list[Any]:
    """The objects, what they hang on and the armatures that deform them: what a file needs."""
    found: dict[str, Any] = {}
    waiting = list(objects)
    while waiting:
        current = waiting.pop()
        if current is None or current.name in found:
            continue
        found[current.name] = current
        waiting.append(current.parent)
        waiting += [m.object for m in current.modifiers if m.type == "ARMATURE"]
    return list(found.values())


def _export(path: Path, run: Callable[[str], Any]) -> None:
    """Write to a temporary name first, so that a failure leaves an older file whole."""
    try:
        # Exporters go by the suffix.
        with whole_files.written_whole(path, suffix=path.suffix) as temporary:
            if run(str(temporary)) != {"FINISHED"} or not temporary.stat().st_size:
                raise RuntimeError("Blender's exporter wrote nothing")
    except (OSError, RuntimeError) as problem:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            f"{path.name} could not be written: {_first_line(problem)}",
            "Choose a folder that you may write to and that has room.",
        ) from problem


def _first_line(problem: BaseException) -> str:
    lines = [line for line in str(problem).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(problem).__name__


@contextmanager
def _only_selected(context: Any, exported: list[Any]) -> Iterator[None]:
    """Select exactly these objects in the view layer, and put everything back."""
    layer = context.view_layer
    # What a script has linked or unlinked just now is only known to the layer after an update.
    layer.update()
    members = {member.name for member in layer.objects}
    missing = [wanted.name for wanted in exported if wanted.name not in members]
    if missing:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"'{missing[0]}' is not in the current view layer.",
            "Enable its collection, then export again.",
        )
    if context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    selected = [member for member in layer.objects if member.select_get(view_layer=layer)]
    active = layer.objects.active
    hidden = [member for member in exported if member.hide_get(view_layer=layer)]
    for member in selected:
        member.select_set(False, view_layer=layer)
    for member in exported:
        member.hide_set(False, view_layer=layer)
        member.select_set(True, view_layer=layer)
    layer.objects.active = exported[0]
    try:
        yield
    finally:
        for member in exported:
            member.select_set(False, view_layer=layer)
        for member in hidden:
            member.hide_set(True, view_layer=layer)
        for member in selected:
            member.select_set(True, view_layer=layer)
        layer.objects.active = active


@contextmanager
def _scene_of_performance(context: Any, exported: list[Any]) -> Iterator[None]:
    """Let the scene span exactly the performance: the FBX exporter bakes the scene's range."""
    scene = context.scene
    before = (scene.frame_start, scene.frame_end, scene.frame_current, scene.frame_subframe)
    span = performance_range(exported)
    if span is not None:
        scene.frame_start, scene.frame_end = span
    try:
        yield
    finally:
        scene.frame_start, scene.frame_end = before[0], before[1]
        scene.frame_set(before[2], subframe=before[3])


def performance_range(objects: list[Any]) -> tuple[int, int] | None:
    """First and last frame of the Actions of ours on these objects."""
    ranges = [tuple(action.frame_range) for action in performance_actions(objects)]
    if not ranges:
        return None
    return int(min(first for first, _ in ranges)), int(max(last for _, last in ranges))


def performance_actions(objects: list[Any]) -> list[Any]:
    """Actions of ours that animate these objects or their shape keys now."""
    found: dict[str, Any] = {}
    for current in objects:
        owners = [current]
        if current.type == "MESH" and current.data.shape_keys is not None:
            owners.insert(0, current.data.shape_keys)
        for owner in owners:
            animation = owner.animation_data
            if animation is not None and keying.is_our_action(animation.action):
                found[animation.action.name] = animation.action
    return list(found.values())
