# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a button is grey: one sentence per operator, '' when it can be pressed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from .. import versions
from ..animation import targets
from ..animation.exporting import performance_actions
from ..contracts import errors
from ..heads import characters, face_points
from ..jobs.job import JobKind
from ..jobs.kinds import KINDS
from ..jobs.work import state
from ..settings import head_choice, online_access, properties
from ..settings.preferences import local_backend, preferences
from ..video import sequencer

MOST_FPS = 120

# Why an operator cannot run, or ''.
Reason = Callable[[bpy.types.Context], str]


def disabled_reason(context: bpy.types.Context, operator: str) -> str:
    """The reason why `vividkeys.<operator>` cannot run with the scene's settings now, or ''."""
    reason = blocking_reason(context, operator)
    check = _MISSING_INPUT.get(operator)
    return reason or (check(context) if check is not None else "")


def blocking_reason(context: bpy.types.Context, operator: str) -> str:
    """The reason why it cannot run, whatever its properties are, or ''.

    Files and targets may also come from the operator's own properties, so what is missing in the
    panel must not keep a script from calling it.
    """
    if not versions.is_supported():
        return "VividKeys needs Blender 4.5 or newer"
    if context.scene is None:
        return "There is no scene"
    check = _BLOCKED.get(operator)
    return check(context) if check is not None else ""


def poll(operator_class: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll` of every operator: shows the reason in the button's tooltip."""
    reason = blocking_reason(context, operator_class.bl_idname.removeprefix("vividkeys."))
    if reason:
        operator_class.poll_message_set(reason)
    return not reason


def _not_busy(_context: bpy.types.Context) -> str:
    return "Wait for the job under way, or cancel it" if state().busy else ""


def _local_backend(context: bpy.types.Context) -> str:
    if all(local_backend(context)):
        return ""
    return "No backend was found: run 'python install.py backend', or set it in the preferences"


def _something_to_check(context: bpy.types.Context) -> str:
    process = state().backend.process
    return "" if process is not None and process.keys is not None else _remote_backend(context)


def _remote_backend(context: bpy.types.Context) -> str:
    if not preferences(context).address:
        return "Enter the address of the backend first"
    if not preferences(context).key_file:
        return "Choose the key file of the backend first"
    try:
        refused = online_access.refusal(preferences(context).address)
    except errors.VividKeysError as error:
        return error.sentence.rstrip(".")
    return f"{refused.sentence} {refused.next_step}".rstrip(".") if refused else ""


def _may_disconnect(_context: bpy.types.Context) -> str:
    backend = state().backend
    if backend.connected or backend.connecting or backend.process is not None:
        return ""
    return "There is no connection"


def _may_send(_context: bpy.types.Context) -> str:
    work = state()
    if work.busy:
        return "Another job is under way"
    if work.backend.connecting:
        return "Wait until the backend answers"
    return "" if work.backend.connected else "Start the local backend or connect to one first"


def _may_send_job(kind: JobKind[Any]) -> Reason:
    def reason(context: bpy.types.Context) -> str:
        problem = _may_send(context)
        if not problem and not state().backend.can(kind.name):
            return f"This backend cannot {kind.deed}; update it"
        return problem

    return reason


def _photo_and_take(context: bpy.types.Context) -> str:
    if not performance_actions(targets.target_meshes(context)) and state().pending is None:
        return "Animate a target first: the photo speaks as it does"
    render = context.scene.render
    if render.fps / render.fps_base > MOST_FPS:
        return f"Videos have at most {MOST_FPS} frames per second; the scene has more"
    chosen = properties.settings(context)
    return _file_problem(chosen.video_photo or chosen.image_file, "a photo")


def _character(context: bpy.types.Context) -> str:
    face = characters.face_of(context)
    if face is None:
        return characters.piece_problem(None).rstrip(".")
    return characters.choice_problem(context, characters.pieces_of(context, face)).rstrip(".")


def _character_with_points(context: bpy.types.Context) -> str:
    reason = _character(context)
    if reason:
        return reason
    face = characters.face_of(context)
    assert face is not None, "the reason would say so"
    if face_points.are_only_guessed(face):
        return face_points.STILL_GUESSED.rstrip(".")
    if not properties.settings(context).shapes_of:
        return " ".join(head_choice.NO_SHAPES).rstrip(".")
    if properties.settings(context).replace_keys:
        return ""
    if characters.has_all_keys(characters.pieces_of(context, face)):
        return "All keys are there; tick 'Replace Keys' to give them new shapes"
    return ""


def _face_points(context: bpy.types.Context) -> str:
    face = characters.face_of(context)
    return "" if face is not None and face_points.of(face) else "There are no face points"


def _photo(context: bpy.types.Context) -> str:
    if not properties.settings(context).head:
        return " ".join(head_choice.NO_HEAD).rstrip(".")
    return _file_problem(properties.settings(context).image_file, "a photo")


def _voice_and_targets(context: bpy.types.Context) -> str:
    reason = _target_problem(context)
    if reason:
        return reason
    chosen = properties.settings(context)
    if chosen.audio_source == "STRIP":
        if sequencer.selected_sound_strip(context) is None:
            return "Select a sound strip in the sequencer first"
    else:
        reason = _file_problem(chosen.audio_file, "a sound file")
        if reason:
            return reason
    if chosen.head_target == "OBJECT" and chosen.head_object is None:
        return "Choose the object for the head motion"
    if chosen.head_target == "BONE" and (chosen.head_armature is None or not chosen.head_bone):
        return "Choose the armature and the bone for the head motion"
    return ""


def _may_cancel(_context: bpy.types.Context) -> str:
    return "" if state().busy else "Nothing is under way"


def _may_apply_take(context: bpy.types.Context) -> str:
    if state().pending is None and not performance_actions(targets.target_meshes(context)):
        return "There is no Take to apply"
    return _target_problem(context)


def _may_fetch(context: bpy.types.Context) -> str:
    if not state().offers:
        return "There is no unfinished job"
    return _may_send(context)


def _may_export(context: bpy.types.Context) -> str:
    if performance_actions(targets.target_meshes(context)) or state().pending is not None:
        return ""
    return "Animate a target first"


def _target_problem(context: bpy.types.Context) -> str:
    meshes = targets.target_meshes(context)
    if not meshes:
        return "Choose a target mesh, or create a head from a photo"
    for mesh in meshes:
        problem = targets.target_problem(mesh)
        if problem:
            return problem.rstrip(".")
    return ""


def _file_problem(path: str, what: str) -> str:
    if not path:
        return f"Choose {what} first"
    if not Path(bpy.path.abspath(path)).is_file():
        return f"There is no file '{Path(path).name}'"
    return ""


def _may_forget(_context: bpy.types.Context) -> str:
    return "" if state().offers else "There is no unfinished job"


_BLOCKED: dict[str, Reason] = {
    **{name: _may_send_job(kind) for kind in KINDS.values() for name in kind.operators},
    "connect_local": _not_busy,
    "connect_address": _not_busy,
    "disconnect": _may_disconnect,
    "remove_face_points": _face_points,
    "cancel": _may_cancel,
    "apply_take": _may_apply_take,
    "fetch": _may_fetch,
    "forget": _may_forget,
    "export": _may_export,
    "save_mapping": _target_problem,
}
_MISSING_INPUT: dict[str, Reason] = {
    "connect_local": _local_backend,
    "connect_address": _remote_backend,
    "check_connection": _something_to_check,
    "create_head": _photo,
    "find_face_points": _character,
    "make_face_keys": _character_with_points,
    "animate": _voice_and_targets,
    "render_video": _photo_and_take,
}
