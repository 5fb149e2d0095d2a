# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a finished `transfer` job: face points to drag, or keys on the character."""

from __future__ import annotations

from typing import Any

from ..animation import targets
from ..contracts import character, errors
from ..heads import characters, face_keys, face_points
from ..heads.face_keys import CharacterPlan
from ..settings import properties
from .work import Job, state

_DRAG = "Drag them to their places, then press 'Make Face Keys'."


def deliver(context: Any, job: Job) -> tuple[str, ...]:
    """Put the result into the file; returns sentences about it.

    Raises VividKeysError: the job's own error, or why the result does not go onto the character
    just now. Then it stays at the backend and is offered again, as an unfinished job is.
    """
    work = state()
    plan: CharacterPlan = job.plan
    if job.error is not None:
        return _after_error(context, job, plan)
    assert job.done is not None
    try:
        keys = character.keys_from_arrays(dict(job.done.arrays))
        if plan.only_points:
            sentences = _show_points(context, keys, plan)
        else:
            sentences = _add_keys(context, keys, plan)
    except errors.VividKeysError as error:
        if error.kind is errors.ErrorKind.BAD_TARGET:
            work.set_aside(job)
        else:
            work.settle(job)
        raise
    except BaseException:
        work.settle(job)
        raise
    work.settle(job)
    return sentences


def mouth_cannot_open(error: errors.VividKeysError) -> bool:
    """Whether the backend refused because there is no gap between the lips."""
    return error.kind is errors.ErrorKind.BAD_TARGET and "mouth" in error.sentence.lower()


def _after_error(context: Any, job: Job, plan: CharacterPlan) -> tuple[str, ...]:
    work, error = state(), job.error
    assert error is not None
    if error.kind is errors.ErrorKind.BACKEND_LOST:
        work.job = None
        raise error
    work.settle(job)
    if error.kind is errors.ErrorKind.NO_FACE:
        if plan.only_points:
            return _guess_points(context, plan)
        step = "Drag the face points to their places, and press it again."
        if not plan.had_points:
            step = "Press 'Find Face Points', drag the points to their places, and try again."
        raise errors.VividKeysError(error.kind, error.sentence, step)
    if mouth_cannot_open(error):
        work.offers_surface_only = True
    raise error


def _show_points(context: Any, keys: character.FaceKeys, plan: CharacterPlan) -> tuple[str, ...]:
    face = characters.found_again(plan.pieces[0])
    _note_pieces(face, plan)
    places = face_points.from_landmarks(plan.pieces[0], keys.landmarks)
    face_points.put(_scene(context, plan), face, places, guessed=False)
    return (
        f"The face of '{face.name}' was found: {len(places)} points show where.",
        "Drag those that are not in their places, then press 'Make Face Keys'.",
        *_warnings(keys),
    )


def _guess_points(context: Any, plan: CharacterPlan) -> tuple[str, ...]:
    face = characters.found_again(plan.pieces[0])
    _note_pieces(face, plan)
    places = face_points.guess(plan.pieces[0], face)
    face_points.put(_scene(context, plan), face, places, guessed=True)
    return (
        f"The face of '{face.name}' was not found by itself, so its points are only guessed.",
        _DRAG,
    )


def _add_keys(context: Any, keys: character.FaceKeys, plan: CharacterPlan) -> tuple[str, ...]:
    keyed, report = face_keys.apply(keys, plan)
    _note_pieces(keyed[0], plan)
    state().offers_surface_only = False
    if _scene(context, plan) == context.scene:
        properties.choose_targets(context, keyed)
    return (*report.sentences(), *_warnings(keys))


def _note_pieces(face: Any, plan: CharacterPlan) -> None:
    others = []
    for piece in plan.pieces[1:]:
        try:
            others.append(targets.find(piece.object))
        except errors.VividKeysError:
            continue  # deleted meanwhile
    characters.note_pieces([face, *others])


def _scene(context: Any, plan: CharacterPlan) -> Any:
    try:
        return targets.find(plan.scene)
    except errors.VividKeysError:
        return context.scene


def _warnings(keys: character.FaceKeys) -> tuple[str, ...]:
    warnings = keys.meta.get("warnings", [])
    return tuple(map(str, warnings)) if isinstance(warnings, list) else ()
