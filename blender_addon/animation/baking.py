# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a Take onto the targets: mapping, keys, head motion and sound, with a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from .. import mapping, versions
from ..contracts import errors, style, take
from ..mapping.presets import viseme_names
from ..video import sequencer
from . import animated_moods, head_pose, keying, lip_detail, set_aside, targets

# A mesh, its shape keys, and what each of them follows.
Binding = tuple[bpy.types.Object, bpy.types.Key, mapping.Mapping]


@dataclass(frozen=True)
class HeadGoal:
    """Where head motion goes: an object or empty, or a bone of an armature."""

    owner: targets.Reference
    bone: str = ""
    forward: str = "-Y"


@dataclass(frozen=True)
class BakePlan:
    """Everything that is decided when a job is sent.

    So later edits in the panel do not change a result that is on its way. `heard` limits the keys
    to the frames [first, end) of a trimmed strip. `moving_moods` are those that the scene's own
    curves set while the performance is keyed, in place of their dials.
    """

    name: str
    scene: targets.Reference
    meshes: tuple[targets.Reference, ...]
    head: HeadGoal | None = None
    start_frame: int = 1
    heard: tuple[int, int] | None = None
    sound_file: Path | None = None
    extend_scene: bool = True
    mapping_file: Path | None = None
    style: style.StyleDials = field(default_factory=style.StyleDials)
    moving_moods: tuple[str, ...] = ()
    lip_detail: bool = True


@dataclass(frozen=True)
class BakeReport:
    """What baking did, in words for the panel and in numbers for scripts."""

    action: str
    keys: int
    first_frame: int
    last_frame: int
    match: mapping.MatchReport
    set_aside: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def sentences(self) -> tuple[str, ...]:
        frames = f"Frames {self.first_frame} to {self.last_frame} in the Action '{self.action}'."
        kept = tuple(
            f"Your Action '{name}' was set aside unchanged; it is still in the file."
            for name in self.set_aside
        )
        return (self.match.sentence, frames, *kept, *self.warnings)


def bake_take(
    context: bpy.types.Context,
    performance: take.Take,
    plan: BakePlan,
    description: Mapping[str, Any],
) -> BakeReport:
    """Key the plan's meshes and head motion, lay the sound, and say what was done.

    The plan's style is applied to the performance first; `description` is stored in the Action.
    Everything that can fail is checked before the first change, so that a failure leaves the file
    as it was. Raises VividKeysError(bad_target) when a target is gone, has no matching keys, or is
    linked.
    """
    scene: bpy.types.Scene = targets.find(plan.scene)
    meshes: list[bpy.types.Object] = [targets.find(reference) for reference in plan.meshes]
    bindings = _bindings(meshes, plan.mapping_file)
    pose_owner = _pose_owner(plan.head)
    fps = scene.render.fps / scene.render.fps_base
    moods = animated_moods.sampled(
        scene, plan.moving_moods, plan.start_frame, performance.duration, fps
    )
    curves_of_moods = animated_moods.at_frames(moods, fps, performance)
    styled = style.restyle_take(performance, plan.style, curves_of_moods)
    resampled, start_frame = heard_part(
        take.resample_take(styled, fps), plan.start_frame, plan.heard
    )

    match = mapping.match_report([(_key_names(keys), binding) for _, keys, binding in bindings])
    warnings = [*_warnings(bindings, match), *_about_lip_detail(bindings, performance, plan)]
    # A mesh that nothing moves keeps its Action.
    moving = [bound for bound in bindings if _moved_keys(bound)]
    rekeyed: list[versions.Animated] = [keys for _, keys, _ in moving]
    displaced = keying.displaced_actions(rekeyed)
    if pose_owner is not None:
        rekeyed.append(pose_owner.owner)
    earlier = keying.our_actions_on(rekeyed)

    noted = {**description, **_place(plan), "fps": fps, "style": plan.style.turned()}
    if moods:
        noted["moods"] = moods
    action = keying.new_action(f"VividKeys {plan.name}", noted)
    written = 0
    for mesh, keys, binding in moving:
        curves = mapping.mapped_curves(binding, resampled.weights)
        if plan.lip_detail:
            curves.update(lip_detail.curves(mesh, resampled))
        for name in keying.driven_shape_keys(keys):
            curves.pop(name, None)
        written += keying.write_shape_keys(action, keys, curves, start_frame)
        lip_detail.settle(keys, plan.lip_detail, set(curves))
    if pose_owner is not None:
        count, warning = head_pose.key_head_motion(action, pose_owner, resampled, start_frame)
        written += count
        warnings += [warning] if warning else []
    set_aside.sign(action)
    warnings += set_aside.settle(earlier, action)
    last_frame = start_frame + resampled.frame_count - 1
    if plan.extend_scene and scene.frame_end < last_frame:
        scene.frame_end = last_frame
        warnings.append(f"The scene now ends at frame {last_frame}.")
    warnings += _lay_sound(context, scene, plan, meshes)
    _refresh(meshes, scene)
    return BakeReport(
        action=action.name,
        keys=written,
        first_frame=start_frame,
        last_frame=last_frame,
        match=match,
        set_aside=displaced,
        warnings=tuple(warnings),
    )


def _place(plan: BakePlan) -> dict[str, Any]:
    return {"start_frame": plan.start_frame, "heard": list(plan.heard) if plan.heard else None}


def noted_place(
    description: Mapping[str, Any], first_key: int
) -> tuple[int, tuple[int, int] | None]:
    """Start frame and heard part that an Action was baked with, from its description.

    An Action that has lost its description starts at its first key.
    """
    start, heard = description.get("start_frame"), description.get("heard")
    if not isinstance(start, int):
        return first_key, None
    if isinstance(heard, list) and len(heard) == 2 and all(isinstance(x, int) for x in heard):
        return start, (heard[0], heard[1])
    return start, None


def propose_mappings(
    meshes: list[bpy.types.Object], mapping_file: Path | None
) -> dict[str, mapping.Mapping]:
    """The mapping of each mesh object by its name: the file's, or one proposed by key names."""
    chosen = mapping.load_mapping(mapping_file, viseme_names()) if mapping_file else {}
    proposed = {}
    for mesh in meshes:
        names = _key_names(targets.shape_keys_of(mesh))
        rules = chosen.get(mesh.name)
        if rules is None:
            proposed[mesh.name] = mapping.match_keys(names)
        else:
            present = tuple(rule for rule in rules.rules if rule.key in names)
            proposed[mesh.name] = mapping.Mapping(present)
    return proposed


def preview_match(
    meshes: list[bpy.types.Object], mapping_file: Path | None = None
) -> mapping.MatchReport:
    """What baking would match, before it is done."""
    mappings = propose_mappings(meshes, mapping_file)
    return mapping.match_report(
        [(_key_names(targets.keys_on(mesh)), mappings[mesh.name]) for mesh in meshes]
    )


def preview_match_at(meshes: list[bpy.types.Object], mapping_path: str) -> mapping.MatchReport:
    """`preview_match` for a path as text, '' for none; cached, because panels draw often."""
    names = tuple((mesh.name, tuple(_key_names(targets.shape_keys_of(mesh)))) for mesh in meshes)
    changed_at = Path(mapping_path).stat().st_mtime_ns if Path(mapping_path).is_file() else 0
    question = (names, mapping_path, changed_at)
    if _last_preview.get("question") != question:
        _last_preview["question"] = question
        path = Path(mapping_path) if mapping_path else None
        _last_preview["answer"] = preview_match(meshes, path)
    answer: mapping.MatchReport = _last_preview["answer"]
    return answer


_last_preview: dict[str, Any] = {}


def _key_names(keys: bpy.types.Key) -> list[str]:
    # Lip keys follow no channel, so they are not part of a mapping.
    aside = {keys.reference_key.name, *(block.name for block in lip_detail.keys_of(keys).values())}
    return [block.name for block in keys.key_blocks if block.name not in aside]


def _bindings(meshes: list[bpy.types.Object], mapping_file: Path | None) -> list[Binding]:
    mappings = propose_mappings(meshes, mapping_file)
    bindings: list[Binding] = []
    seen: set[int] = set()
    for mesh in meshes:
        keys = targets.shape_keys_of(mesh)
        # Objects that share a mesh share its keys: these get one slot, not two.
        if keys.session_uid not in seen:
            seen.add(keys.session_uid)
            bindings.append((mesh, keys, mappings[mesh.name]))
    if not any(_moved_keys(bound) for bound in bindings):
        names = ", ".join(f"'{mesh.name}'" for mesh in meshes)
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"No shape key of {names} has a name that VividKeys knows and is free to move.",
            "Save the mapping to a file, fill it in, and choose it under 'Mapping'.",
        )
    return bindings


def _moved_keys(bound: Binding) -> set[str]:
    _, keys, binding = bound
    return set(binding.key_names) - keying.driven_shape_keys(keys)


def _warnings(bindings: list[Binding], match: mapping.MatchReport) -> list[str]:
    warnings = []
    if match.missing_channels and not match.visemes:
        shown = ", ".join(match.missing_channels[:6])
        more = len(match.missing_channels) - 6
        warnings.append(f"No shape key for {shown}" + (f" and {more} more." if more > 0 else "."))
    for mesh, keys, binding in bindings:
        driven = keying.driven_shape_keys(keys).intersection(binding.key_names)
        if driven:
            warnings.append(f"{len(driven)} keys of '{mesh.name}' have drivers and were left out.")
        muted = [name for name in binding.key_names if keys.key_blocks[name].mute]
        if muted:
            warnings.append(f"{len(muted)} keys of '{mesh.name}' are muted and will not move.")
        if mesh.show_only_shape_key:
            warnings.append(f"'{mesh.name}' shows only its active shape key (the pin button).")
        if not binding.rules:
            warnings.append(f"No shape key of '{mesh.name}' matched; it will not move.")
    return warnings


def _about_lip_detail(bindings: list[Binding], performance: take.Take, plan: BakePlan) -> list[str]:
    if not plan.lip_detail or not performance.offset_weights.any():
        return []
    detailed = [mesh for mesh, keys, _ in bindings if lip_detail.has_keys(keys)]
    if not detailed:
        return [lip_detail.NOWHERE]
    return [
        lip_detail.OTHER_FIELDS.format(name=mesh.name)
        for mesh in detailed
        if not lip_detail.fits(mesh, performance)
    ]


def _pose_owner(goal: HeadGoal | None) -> head_pose.PoseOwner | None:
    if goal is None:
        return None
    owner: bpy.types.Object = targets.find(goal.owner)
    keying.check_editable(owner, f"'{owner.name}'")
    pose_owner = head_pose.PoseOwner(owner, goal.bone, goal.forward)
    _ = pose_owner.posed  # raises when the bone is gone
    return pose_owner


def heard_part(
    performance: take.Take, start_frame: int, heard: tuple[int, int] | None
) -> tuple[take.Take, int]:
    """The part of a performance that a trimmed strip plays, and its first frame.

    The performance has the scene's frame rate. Raises VividKeysError(bad_audio) when the strip
    plays nothing of it.
    """
    if heard is None:
        return performance, start_frame
    first = max(heard[0] - start_frame, 0)
    end = min(heard[1] - start_frame, performance.frame_count)
    if first >= end:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_AUDIO,
            "The chosen strip shows no part of its sound.",
            "Lengthen the strip or choose another one.",
        )
    return take.slice_take(performance, first, end), start_frame + first


def _lay_sound(
    context: bpy.types.Context,
    scene: bpy.types.Scene,
    plan: BakePlan,
    meshes: list[bpy.types.Object],
) -> list[str]:
    if plan.sound_file is None:
        return []
    told: list[str] = []
    try:
        sequencer.lay_sound(
            scene, plan.sound_file, plan.start_frame, meshes[0].name, tell=told.append
        )
    except errors.VividKeysError as problem:
        # The keys are good without the sound, so they stay.
        return [f"{problem.sentence} {problem.next_step}"]
    versions.show_in_sequencer(context, scene)
    return told


def _refresh(meshes: list[bpy.types.Object], scene: bpy.types.Scene) -> None:
    for mesh in meshes:
        mesh.data.update_tag()
        mesh.update_tag()
    # Show the performance at the current frame right away.
    scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)
