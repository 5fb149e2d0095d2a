# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the kind `render`: a film in the user's folder, and its strips in the sequencer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy

from ... import folders, versions
from ...animation import targets
from ...contracts import errors
from ...video import movie_files, video_strips
from .. import first_picture, settling
from ..job import Job, JobKind

# Less than a frame in an hour; single precision keeps a frame rate no better.
_SAME_RATE = 1e-5


@dataclass(frozen=True)
class VideoPlan:
    """Where a video goes, decided when its job is sent.

    `owner` is the name of the target it belongs to. `sound_file` is added beside it, unless the
    sequencer plays it there already; with `sound_in_film` alone, the film's own sound is.
    """

    name: str
    owner: str
    scene: targets.Reference
    start_frame: int = 1
    fps: float = 24.0
    container: str = "mp4"
    sound_file: Path | None = None
    sound_in_film: bool = False
    replace: bool = False
    extend_scene: bool = True
    is_preview: bool = False
    notes: tuple[str, ...] = ()


def plan_to_json(plan: VideoPlan) -> dict[str, Any]:
    """The plan as JSON values, for the list of unfinished jobs."""
    return {**asdict(plan), "sound_file": "" if plan.sound_file is None else str(plan.sound_file)}


def plan_from_json(values: Mapping[str, Any]) -> VideoPlan:
    """A plan from an earlier session of Blender; what is missing has its usual value."""
    scene = values.get("scene")
    fps, start = values.get("fps", 24.0), values.get("start_frame", 1)
    sound = values.get("sound_file")
    return VideoPlan(
        name=str(values.get("name", "Video")),
        owner=str(values.get("owner", "")),
        scene=targets.by_name({"collection": "scenes", "name": "", **scene})
        if isinstance(scene, dict)
        else targets.Reference("scenes", targets.NO_UID, ""),
        start_frame=start if isinstance(start, int) else 1,
        fps=float(fps) if isinstance(fps, int | float) else 24.0,
        container="mov" if values.get("container") == "mov" else "mp4",
        sound_file=Path(sound) if isinstance(sound, str) and sound else None,
        sound_in_film=values.get("sound_in_film") is True,
        replace=values.get("replace") is True,
        extend_scene=values.get("extend_scene", True) is True,
        is_preview=values.get("is_preview") is True,
        notes=tuple(map(str, values.get("notes", ()))),
    )


def deliver(context: bpy.types.Context, job: Job[VideoPlan]) -> tuple[str, ...]:
    """Save the film, add its strips, and say so.

    Raises VividKeysError: the job's own error, or why the film is not in a sequencer; then it is
    still in a file, or at the backend, from where it can be fetched again.
    """
    film = save_film(job)
    assert job.done is not None
    plan = job.plan
    try:
        return (*_lay(context, film, plan), *plan.notes, *settling.warnings_of(job.done))
    except errors.VividKeysError as error:
        raise errors.VividKeysError(
            error.kind, f"{error.sentence} The video is saved as {film}.", error.next_step
        ) from error


def rescue(job: Job[VideoPlan]) -> tuple[str, ...]:
    """The operator that waited is gone and another file may be open, so no strips are added."""
    what = "preview" if job.plan.is_preview else "video"
    return (f"The {what} '{job.label}' is saved as {save_film(job)}.",)


def save_film(job: Job[VideoPlan]) -> Path:
    """Save the film in the user's folder; the job is then settled, or set aside.

    Raises VividKeysError as `deliver`.
    """
    plan = job.plan
    with settling.result_of(job):
        if job.file is None:
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_FILE, "The backend made no video.", "Send the job again."
            )
        if plan.is_preview:
            where = [folders.previews_folder()]
            movie_files.drop_old_previews(where[0])
        else:
            where = list(folders.film_folders())
        return movie_files.keep_film(job.file, where, plan.name, f".{plan.container}")


def _lay(context: bpy.types.Context, film: Path, plan: VideoPlan) -> tuple[str, ...]:
    try:
        scene: bpy.types.Scene = targets.find(plan.scene)
    except errors.VividKeysError as error:
        raise errors.VividKeysError(
            error.kind, error.sentence, "Add the video to a sequencer by hand."
        ) from error
    strip = video_strips.lay_video(
        scene,
        film,
        plan.start_frame,
        plan.owner,
        is_preview=plan.is_preview,
        replace=plan.replace,
    )
    _, first, end = versions.strip_frames(strip)
    sentences = [f"The video is on channel {strip.channel}, frames {first} to {end - 1}."]
    if plan.is_preview:
        sentences[0] = f"A preview is on channel {strip.channel}, frames {first} to {end - 1}."
    else:
        sentences.append(f"It is saved as {film}.")
    fps = scene.render.fps / scene.render.fps_base
    if abs(fps - plan.fps) > _SAME_RATE * fps:
        sentences.append(
            f"It was made for {plan.fps:g} frames per second and the scene has {fps:g} now: "
            "make it again to be in sync."
        )
    if not plan.is_preview:
        sentences += _lay_sound(scene, film, plan)
    if plan.extend_scene and scene.frame_end < end - 1:
        scene.frame_end = end - 1
        sentences.append(f"The scene now ends at frame {end - 1}.")
    versions.show_in_sequencer(context, scene)
    return tuple(sentences)


def _lay_sound(scene: bpy.types.Scene, film: Path, plan: VideoPlan) -> list[str]:
    sound = plan.sound_file
    if sound is not None and not sound.is_file():
        sound = None
    if sound is None and plan.sound_in_film:
        sound = film
    if sound is None:
        return []
    try:
        video_strips.lay_video_sound(scene, sound, plan.start_frame, plan.owner)
    except errors.VividKeysError as problem:
        # The picture is good without the sound; say so and keep it.
        return [f"{problem.sentence} {problem.next_step}"]
    return []


KIND = JobKind(
    name="render",
    deed="make videos",
    operators=("render_video",),
    plan_to_json=plan_to_json,
    plan_from_json=plan_from_json,
    deliver=deliver,
    rescue=rescue,
    show=first_picture.show,
)
