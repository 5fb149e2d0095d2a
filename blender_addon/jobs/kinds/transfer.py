# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the kind `transfer`: face points to drag, or keys on a character."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import bpy

from ...animation import targets
from ...contracts import character, errors
from ...heads import characters, face_keys, face_points
from ...heads.characters import Piece
from ...heads.face_keys import CharacterPlan
from ...mapping.conventions import CONVENTIONS
from ...settings import properties
from .. import settling
from ..job import Job, JobKind
from ..work import state

_DRAG = "Drag them to their places, then press 'Make Face Keys'."


def plan_to_json(plan: CharacterPlan) -> dict[str, Any]:
    """The plan as JSON values, for the list of unfinished jobs."""
    return asdict(plan)


def plan_from_json(values: Mapping[str, Any]) -> CharacterPlan:
    """A plan from an earlier session of Blender, whose uids are no longer valid.

    Raises VividKeysError(bad_file) when it was not written by `plan_to_json`.
    """
    try:
        pieces = tuple(
            Piece(
                object=targets.by_name(piece["object"]),
                vertices=int(piece["vertices"]),
                matrix=tuple(float(number) for number in piece["matrix"]),
                shape=str(piece["shape"]),
            )
            for piece in values["pieces"]
        )
        plan = CharacterPlan(
            name=str(values["name"]),
            scene=targets.by_name(values["scene"]),
            pieces=pieces,
            only_points=bool(values["only_points"]),
            had_points=bool(values["had_points"]),
            convention=str(values["convention"]),
            replace=bool(values["replace"]),
        )
        if not pieces or any(len(piece.matrix) != 16 for piece in pieces):
            raise ValueError("no pieces")
        if plan.convention not in {convention.name for convention in CONVENTIONS}:
            raise ValueError("no such convention")
    except (KeyError, TypeError, ValueError) as problem:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            "The list of unfinished jobs does not say which character these keys are for.",
            "Press 'Make Face Keys' again.",
        ) from problem
    return plan


def deliver(context: bpy.types.Context, job: Job[CharacterPlan]) -> tuple[str, ...]:
    """Put the result into the file; returns sentences about it.

    Raises VividKeysError: the job's own error, or why the result does not go onto the character
    just now. Then it stays at the backend and is offered again, as an unfinished job is.
    """
    try:
        return _deliver_result(context, job)
    except errors.VividKeysError as error:
        if error is not job.error:
            raise
        return _after_error(context, error, job.plan)


def rescue(job: Job[CharacterPlan]) -> tuple[str, ...]:
    """The operator that waited for this job is gone: the character may be in the file still."""
    return _deliver_result(bpy.context, job)


def _deliver_result(context: bpy.types.Context, job: Job[CharacterPlan]) -> tuple[str, ...]:
    plan = job.plan
    with settling.result_of(job) as done:
        keys = character.keys_from_arrays(dict(done.arrays))
        if plan.only_points:
            return _show_points(context, keys, plan)
        return _add_keys(context, keys, plan)


def _after_error(
    context: bpy.types.Context, error: errors.VividKeysError, plan: CharacterPlan
) -> tuple[str, ...]:
    if error.kind is errors.ErrorKind.NO_FACE:
        if plan.only_points:
            return _guess_points(context, plan)
        step = "Drag the face points to their places, and press it again."
        if not plan.had_points:
            step = "Press 'Find Face Points', drag the points to their places, and try again."
        raise errors.VividKeysError(error.kind, error.sentence, step)
    if error.kind is errors.ErrorKind.MOUTH_CLOSED:
        state().offers_surface_only = True
    raise error


def _show_points(
    context: bpy.types.Context, keys: character.FaceKeys, plan: CharacterPlan
) -> tuple[str, ...]:
    face = characters.found_again(plan.pieces[0])
    _note_pieces(face, plan)
    places = face_points.from_landmarks(plan.pieces[0], keys.landmarks)
    face_points.put(_scene(context, plan), face, places, guessed=False)
    return (
        f"The face of '{face.name}' was found: {len(places)} points show where.",
        "Drag those that are out of place, then press 'Make Face Keys'.",
        *_warnings(keys),
    )


def _guess_points(context: bpy.types.Context, plan: CharacterPlan) -> tuple[str, ...]:
    face = characters.found_again(plan.pieces[0])
    _note_pieces(face, plan)
    places = face_points.guess(plan.pieces[0], face)
    face_points.put(_scene(context, plan), face, places, guessed=True)
    return (
        f"The face of '{face.name}' was not found automatically, so its points are only guessed.",
        _DRAG,
    )


def _add_keys(
    context: bpy.types.Context, keys: character.FaceKeys, plan: CharacterPlan
) -> tuple[str, ...]:
    keyed, report = face_keys.apply(keys, plan)
    _note_pieces(keyed[0], plan)
    state().offers_surface_only = False
    if _scene(context, plan) == context.scene:
        targets.choose_targets(context, keyed)
    return (*report.sentences(), *_warnings(keys))


def _note_pieces(face: bpy.types.Object, plan: CharacterPlan) -> None:
    others = []
    for piece in plan.pieces[1:]:
        try:
            others.append(targets.find(piece.object))
        except errors.VividKeysError:
            continue  # was deleted meanwhile
    characters.note_pieces([face, *others])


def _scene(context: bpy.types.Context, plan: CharacterPlan) -> bpy.types.Scene:
    try:
        found: bpy.types.Scene = targets.find(plan.scene)
    except errors.VividKeysError:
        return properties.scene_of(context)
    return found


def _warnings(keys: character.FaceKeys) -> tuple[str, ...]:
    warnings = keys.meta.get("warnings", [])
    return tuple(map(str, warnings)) if isinstance(warnings, list) else ()


KIND = JobKind(
    name="transfer",
    deed="make face keys",
    operators=("find_face_points", "make_face_keys"),
    plan_to_json=plan_to_json,
    plan_from_json=plan_from_json,
    deliver=deliver,
    rescue=rescue,
)
