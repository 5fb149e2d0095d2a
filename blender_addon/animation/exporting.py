# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for other programs: the formats of a Take, and the targets as GLB and FBX.

The settings of Blender's two exporters are those that keep shape key names, order, key times and
values equal to the Take's; the tests read the files back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any, cast

import bpy

from ..contracts import errors, take_formats, whole_files
from . import fbx_times, glb_times, keying, one_clip


def export_glb(context: bpy.types.Context, exported: list[bpy.types.Object], path: Path) -> None:
    """Write the objects as one GLB with one animation: what they do during the performance.

    Its time 0 is the performance's first frame. Raises VividKeysError.

    `export_apply` stays off: with it a subdivision modifier would drop every shape key.
    """
    span = performance_range(exported)
    if span is None:
        settings: dict[str, Any] = {"export_animation_mode": "ACTIONS"}
    elif one_clip.is_plain(exported, span):
        settings = {"export_animation_mode": "ACTIVE_ACTIONS", "export_force_sampling": False}
    else:
        # Something else moves them too, so Blender has to evaluate them, which is much slower.
        _check_reachable(span)
        settings = {
            "export_animation_mode": "SCENE",
            "export_anim_scene_split_object": False,
            "export_force_sampling": True,
        }

    def run(temporary: str) -> set[str]:
        finished = bpy.ops.export_scene.gltf(
            filepath=temporary,
            export_format="GLB",
            use_selection=True,
            export_apply=False,
            export_animations=True,
            export_anim_slide_to_zero=False,
            export_anim_single_armature=False,
            export_optimize_animation_size=False,
            export_morph=True,
            export_morph_normal=False,
            export_morph_animation=True,
            export_extras=False,
            **settings,
        )
        result = cast("set[str]", finished)  # the stubs say None
        if span is not None and result == {"FINISHED"}:
            name = performance_actions(exported)[0].name
            fps = context.scene.render.fps / context.scene.render.fps_base
            glb_times.start_animations_at_zero(Path(temporary), name, fps)
        return result

    with _only_selected(context, exported), _scene_of_performance(context, span):
        _export(path, run)


def export_fbx(context: bpy.types.Context, exported: list[bpy.types.Object], path: Path) -> None:
    """Write the objects with their textures as one FBX with one animation, like `export_glb`.

    Raises VividKeysError.
    """
    span = performance_range(exported)
    if span is not None:
        _check_reachable(span)

    def run(temporary: str) -> set[str]:
        finished = bpy.ops.export_scene.fbx(
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
        )
        result = cast("set[str]", finished)  # the stubs say None
        if span is not None and result == {"FINISHED"}:
            fbx_times.start_animation_at_zero(Path(temporary))
        return result

    with _only_selected(context, exported), _scene_of_performance(context, span):
        _export(path, run)


@dataclass(frozen=True)
class SceneFormat:
    """A kind of file that holds objects with their animation, as Blender's exporters write it.

    `name`, `suffix`, `label` and `description` as in a `TakeFormat`.
    """

    name: str
    suffix: str
    label: str
    description: str
    write: Callable[[bpy.types.Context, list[bpy.types.Object], Path], None]


_IN_PANEL_ORDER: tuple[SceneFormat | take_formats.TakeFormat, ...] = (
    SceneFormat(
        "GLB", ".glb", "GLB", "The targets with their animation, as one glTF file", export_glb
    ),
    SceneFormat("FBX", ".fbx", "FBX", "The targets with their animation and textures", export_fbx),
    *take_formats.TAKE_FORMATS,
)
FORMATS = {form.name: form for form in _IN_PANEL_ORDER}
"""All formats that the extension writes, by the name that scripts use."""


def with_relations(objects: list[bpy.types.Object]) -> list[bpy.types.Object]:
    """The objects with their parents and the armatures that deform them: what a file needs."""
    found: dict[str, bpy.types.Object] = {}
    waiting: list[bpy.types.Object | None] = list(objects)
    while waiting:
        current = waiting.pop()
        if current is None or current.name in found:
            continue
        found[current.name] = current
        waiting.append(current.parent)
        waiting += [
            cast("bpy.types.ArmatureModifier", modifier).object
            for modifier in current.modifiers
            if modifier.type == "ARMATURE"
        ]
    return list(found.values())


def _export(path: Path, run: Callable[[str], set[str]]) -> None:
    """Write to a temporary name first, so that a failure leaves an older file whole."""
    try:
        # Exporters choose the format by the suffix.
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
def _only_selected(context: bpy.types.Context, exported: list[bpy.types.Object]) -> Iterator[None]:
    """Select exactly these objects in the view layer, and put everything back."""
    layer = context.view_layer
    # The layer learns only by an update what a script has just linked or unlinked.
    layer.update()
    members = {member.name for member in layer.objects}
    missing = [wanted.name for wanted in exported if wanted.name not in members]
    if missing:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"'{missing[0]}' is not in the current view layer.",
            "Enable its collection, then export again.",
        )
    mode = layer.objects.active.mode if context.mode != "OBJECT" else "OBJECT"
    if mode != "OBJECT":
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
        if mode != "OBJECT":
            bpy.ops.object.mode_set(mode=mode)


@contextmanager
def _scene_of_performance(
    context: bpy.types.Context, span: tuple[int, int] | None
) -> Iterator[None]:
    """Temporarily set the scene's range, which exporters evaluate, to the performance's."""
    scene = context.scene
    before = (scene.frame_start, scene.frame_end, scene.frame_current, scene.frame_subframe)
    if span is not None:
        scene.frame_start, scene.frame_end = span
    try:
        yield
    finally:
        scene.frame_start, scene.frame_end = before[0], before[1]
        scene.frame_set(before[2], subframe=before[3])


def _check_reachable(span: tuple[int, int]) -> None:
    """Raise VividKeysError(bad_target) for frames before 0, where no Blender scene begins."""
    if span[0] < 0:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"The performance begins at frame {span[0]}, but a scene cannot begin before frame 0.",
            "Animate it from frame 0 or later, then export again.",
        )


def performance_range(objects: list[bpy.types.Object]) -> tuple[int, int] | None:
    """First and last frame of the performance on these objects.

    The user's own keys in the same Actions, say of a body, may lie outside it.
    """
    spans = [
        span
        for action in performance_actions(objects)
        if (span := keying.span_of(action)) is not None
    ]
    if not spans:
        return None
    return floor(min(first for first, _ in spans)), ceil(max(last for _, last in spans))


def performance_actions(objects: list[bpy.types.Object]) -> list[bpy.types.Action]:
    """Actions of ours that currently animate these objects or their shape keys."""
    found: dict[str, bpy.types.Action] = {}
    for current in objects:
        for owner in reversed(one_clip.animated_owners(current)):
            animation = owner.animation_data
            if animation is not None and keying.is_our_action(animation.action):
                found[animation.action.name] = animation.action
    return list(found.values())
