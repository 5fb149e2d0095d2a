# SPDX-License-Identifier: GPL-3.0-or-later
"""Animate: a voice becomes keys on the target meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..animation import baking, lip_detail, targets
from ..connection.session import UploadSource
from ..contracts import arrays, errors, requests
from ..heads import scene as heads
from ..jobs.job import Job
from ..jobs.kinds import animate
from ..jobs.work import state
from ..settings import choices, performance_dials, properties
from ..settings.performance_dials import SpeakerProperties
from ..settings.style_dials import StyleProperties
from ..video import sequencer
from . import job_operator

_NO_HASH_YET = "0" * 64


class VIVIDKEYS_OT_animate(
    job_operator.JobOperator, StyleProperties, SpeakerProperties, bpy.types.Operator
):
    """Sends the voice; keys the targets when the performance is made."""

    bl_idname = "vividkeys.animate"
    bl_label = "Animate"
    bl_description = "Turn the voice into keys on the target meshes, with blinks and head motion"
    bl_options = {"UNDO"}

    audio_file: StringProperty(
        name="Voice", description="Default: the scene's", subtype="FILE_PATH"
    )
    target: StringProperty(name="Target", description="Name of an object; default: the scene's")
    seed: IntProperty(name="Seed", min=0)
    start_frame: IntProperty(name="Start Frame", default=1)

    def send(self, context: bpy.types.Context) -> Job[baking.BakePlan]:
        return send(self, context)


def send(operator: VIVIDKEYS_OT_animate, context: bpy.types.Context) -> Job[baking.BakePlan]:
    """Check the inputs and send the job. Raises VividKeysError; changes nothing in the file."""
    chosen = properties.settings(context)

    def setting(name: str) -> Any:
        return choices.setting(operator, chosen, name)

    meshes = choices.chosen_meshes(context, operator.target)
    mapping_file = choices.full_path(chosen.mapping_file)
    # Finds out now, not after the wait, whether the targets can be keyed.
    baking.preview_match(meshes, mapping_file)
    voice = _strip_voice(context) if _wants_strip(operator, chosen) else None
    if voice is not None:
        name, start_frame = voice.name, voice.start_frame
        source: UploadSource = voice.file if voice.file is not None else voice.packed
    else:
        source = _existing_voice(setting("audio_file"))
        name, start_frame = source.stem, setting("start_frame")
    plan = baking.BakePlan(
        name=name,
        scene=targets.remember(properties.scene_of(context)),
        meshes=tuple(targets.remember(mesh) for mesh in meshes),
        head=choices.head_goal(chosen, meshes),
        start_frame=start_frame,
        heard=(voice.first_frame, voice.end_frame) if voice is not None else None,
        sound_file=source
        if isinstance(source, Path) and voice is None and chosen.lay_sound
        else None,
        extend_scene=chosen.extend_scene,
        mapping_file=mapping_file,
        style=choices.style(operator, chosen),
        moving_moods=choices.moving_moods(operator, context),
        lip_detail=chosen.lip_detail,
    )
    # The backend makes the plain performance; the plan's style is applied when it is keyed.
    request = requests.AnimateRequest(
        audio=_NO_HASH_YET,
        audio_name=source.name if isinstance(source, Path) else name,
        seed=setting("seed"),
    )
    params = {**asdict(request), **performance_dials.speaker(setting)}
    # The session puts the hash of the upload here.
    del params["audio"]
    return state().submit(
        animate.KIND, params, {"audio": source}, name, plan, arrays=_face_of(meshes)
    )


def _face_of(meshes: Sequence[bpy.types.Object]) -> arrays.Arrays:
    """The face whose lips speak, as arrays: that of our own head, or of a character given keys.

    Empty for other targets: for them the backend takes a mean face.
    """
    speaker = next((mesh for mesh in meshes if lip_detail.landmarks_of(mesh) is not None), None)
    if speaker is None:
        return {}
    return requests.face_arrays(heads.face_for_voice(speaker))


def _wants_strip(operator: VIVIDKEYS_OT_animate, chosen: properties.VividKeysSettings) -> bool:
    return chosen.audio_source == "STRIP" and not operator.properties.is_property_set("audio_file")


def _strip_voice(context: bpy.types.Context) -> sequencer.StripSound:
    strip = sequencer.selected_sound_strip(context)
    if strip is None:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_AUDIO,
            "No sound strip is selected in the sequencer.",
            "Select the strip with the voice, or choose a file.",
        )
    return sequencer.read_sound_strip(strip)


def _existing_voice(text: str) -> Path:
    path = choices.full_path(text)
    if path is None or not path.is_file():
        sentence = "No voice is chosen." if path is None else f"There is no file '{path.name}'."
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_AUDIO, sentence, "Choose a sound or film file."
        )
    return path


CLASSES = (VIVIDKEYS_OT_animate,)
