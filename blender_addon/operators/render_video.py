# SPDX-License-Identifier: GPL-3.0-or-later
"""Render Talking Video: the photo speaks as the targets do, as a film in the sequencer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from ..animation import baking, keying, targets
from ..animation.exporting import performance_actions
from ..connection.session import UploadSource
from ..contracts import errors, requests, take
from ..jobs import performances
from ..jobs.job import Job
from ..jobs.kinds import render
from ..jobs.kinds.render import VideoPlan
from ..jobs.work import state
from ..settings import choices, properties
from ..settings.video_settings import VideoProperties, container_of
from ..video import voice_strip
from . import job_operator
from .job_operator import OperatorResult

_NO_HASH_YET = "0" * 64


@dataclass(frozen=True)
class Film:
    """Everything that is sent; a preview and the full film differ in size alone."""

    request: requests.RenderRequest
    performance: take.Take
    uploads: dict[str, UploadSource]
    plan: VideoPlan

    def send(self, is_preview: bool) -> Job[VideoPlan]:
        """Send it. Raises VividKeysError(busy or bad_request)."""
        params = requests.as_params(replace(self.request, preview=is_preview))
        for name in self.uploads:
            del params[name]  # the session puts the hash of the upload here
        plan = replace(self.plan, is_preview=is_preview)
        return state().submit(
            render.KIND,
            params,
            self.uploads,
            plan.name,
            plan,
            arrays=requests.take_arrays(self.performance),
        )


class _FilmOperator(job_operator.JobOperator):
    """Keeps what is sent twice, so that changes in the panel between the two have no effect."""

    film: Film | None = None


class VIVIDKEYS_OT_render_video(_FilmOperator, VideoProperties, bpy.types.Operator):
    """Sends the photo and the performance: first for a preview, then for the film."""

    bl_idname = "vividkeys.render_video"
    bl_label = "Render Talking Video"
    bl_description = (
        "Make a video in which the photo speaks as the targets do, and add it to the sequencer"
    )
    bl_options = {"UNDO"}

    audio_file: StringProperty(
        name="Voice",
        description="Of the performance; default: its strip in the sequencer",
        subtype="FILE_PATH",
    )

    def execute(self, context: bpy.types.Context) -> OperatorResult:
        # A script that waits sees no preview, so it gets one only when it says so itself.
        shows_preview = self.properties.is_property_set("video_preview") and self.video_preview

        def first() -> Job[VideoPlan]:
            self.film = make_film(self, context)
            return self.film.send(shows_preview)

        result = job_operator.run_blocking(self, context, first)
        if result == {"FINISHED"} and shows_preview:
            return job_operator.run_blocking(self, context, lambda: self.film.send(False))
        return result

    def send(self, context: bpy.types.Context) -> Job[VideoPlan]:
        return send(self, context)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> OperatorResult:
        job = state().job
        shows_preview = job is not None and job.id == self.job_id and job.plan.is_preview
        result = job_operator.step(self, context, event)
        if result != {"FINISHED"} or not shows_preview:
            return result
        # The preview can be undone by itself; the full film is a step of its own.
        bpy.ops.ed.undo_push(message="Talking Video Preview")
        film = self.film
        return job_operator.go_on(self, context, lambda: film.send(False))


def send(operator: VIVIDKEYS_OT_render_video, context: bpy.types.Context) -> Job[VideoPlan]:
    """Check the inputs and send the preview, or the film at once. Raises VividKeysError."""
    operator.film = make_film(operator, context)
    chosen = properties.settings(context)
    return operator.film.send(bool(choices.setting(operator, chosen, "video_preview")))


def make_film(operator: VIVIDKEYS_OT_render_video, context: bpy.types.Context) -> Film:
    """Collect everything to send. Raises VividKeysError; changes nothing in the file."""
    chosen = properties.settings(context)

    def setting(name: str) -> Any:
        return choices.setting(operator, chosen, name)

    scene = properties.scene_of(context)
    fps = scene.render.fps / scene.render.fps_base
    photo = choices.full_path(setting("video_photo") or chosen.image_file)
    if photo is None or not photo.is_file():
        sentence = "No photo is chosen." if photo is None else f"There is no file '{photo.name}'."
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_IMAGE, sentence, "Choose a photo of one face."
        )
    performance = performances.performance_on(context)
    place = _place(context)
    if place.heard is None:
        start_frame, sound = place.start_frame, _sound(operator, context, place)
    else:
        # The sound of a trimmed strip begins elsewhere: it stays in the sequencer.
        performance, start_frame = baking.heard_part(
            take.resample_take(performance, fps), place.start_frame, place.heard
        )
        sound = Sound(note="The video itself is silent: its sound is the trimmed strip.")
    background = setting("video_background")
    try:
        request = requests.from_params(
            requests.RenderRequest,
            {
                "image": _NO_HASH_YET,
                "image_name": photo.name,
                "audio": "" if sound.source is None else _NO_HASH_YET,
                "audio_name": sound.source.name if isinstance(sound.source, Path) else "",
                "size": setting("video_size"),
                "fps": fps,
                "background": background.lower(),
                "container": container_of(background),
                "mark": setting("video_mark"),
            },
        )
    except errors.VividKeysError as error:
        raise errors.VividKeysError(
            error.kind, error.sentence, "Change it and try again."
        ) from error
    plan = VideoPlan(
        name=place.voice or photo.stem,
        owner=place.owner,
        scene=targets.remember(scene),
        start_frame=start_frame,
        fps=fps,
        container=request.container,
        sound_file=sound.to_lay,
        sound_in_film=sound.source is not None and not sound.is_laid,
        replace=setting("video_replace"),
        extend_scene=chosen.extend_scene,
        notes=(sound.note,) if sound.note else (),
    )
    uploads: dict[str, UploadSource] = {"image": photo}
    if sound.source is not None:
        uploads["audio"] = sound.source
    return Film(request, performance, uploads, plan)


@dataclass(frozen=True)
class Place:
    """Whose performance it is, the name of its voice, its first frame, and the frames heard."""

    owner: str
    voice: str
    start_frame: int
    heard: tuple[int, int] | None = None


def _place(context: bpy.types.Context) -> Place:
    meshes = targets.target_meshes(context)
    for action in performance_actions(meshes)[:1]:
        description = keying.action_description(action)
        start_frame, heard = baking.noted_place(description, int(action.frame_range[0]))
        return Place(meshes[0].name, str(description.get("voice", "")), start_frame, heard)
    pending = state().pending
    plan = None if pending is None else pending.plan
    if plan is None:
        return Place(meshes[0].name if meshes else "Video", "", context.scene.frame_start)
    owner = plan.meshes[0].name if plan.meshes else plan.name
    return Place(owner, plan.name, plan.start_frame, plan.heard)


@dataclass(frozen=True)
class Sound:
    """What is heard in the film, and whether the sequencer plays it already."""

    source: UploadSource | None = None
    is_laid: bool = False
    note: str = ""

    @property
    def to_lay(self) -> Path | None:
        """The file that goes beside the film, if any."""
        return self.source if isinstance(self.source, Path) and not self.is_laid else None


def _sound(operator: VIVIDKEYS_OT_render_video, context: bpy.types.Context, place: Place) -> Sound:
    """The voice of the performance. Raises VividKeysError(bad_audio) for a file that is not there.

    An Action does not note the path of its voice, which would reveal the user's folders.
    """
    if operator.properties.is_property_set("audio_file"):
        path = choices.full_path(operator.audio_file)
        if path is None or not path.is_file():
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_AUDIO,
                f"There is no file '{operator.audio_file}'.",
                "Choose a sound or film file.",
            )
        return Sound(path)
    found = voice_strip.voice_near(
        properties.scene_of(context), place.owner, place.voice, place.start_frame
    )
    if found is not None:
        is_laid = found.start_frame == place.start_frame
        return Sound(found.packed if found.file is None else found.file, is_laid)
    path = choices.full_path(properties.settings(context).audio_file)
    if path is not None and path.is_file() and path.stem == place.voice:
        return Sound(path)
    return Sound(note="The voice was not found, so the video is silent.")


CLASSES = (VIVIDKEYS_OT_render_video,)
