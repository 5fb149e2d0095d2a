# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators that send a character have in common: which meshes, and the job itself."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np

from ..animation import targets
from ..contracts import character, errors, requests
from ..heads import characters, face_points
from ..heads.face_keys import CharacterPlan
from ..jobs.job import Job
from ..jobs.kinds import transfer
from ..jobs.work import state
from ..settings import properties


def chosen_pieces(context: bpy.types.Context, target: str) -> list[bpy.types.Object]:
    """The face and the meshes that go with it; `target` names the face, '' for the active mesh.

    Raises VividKeysError(bad_target).
    """
    # What a script has moved or linked just now is only known after an update.
    context.view_layer.update()
    face = characters.face_of(context, target)
    pieces: list[bpy.types.Object] = []
    if face is None and target:
        problem = f"There is no object '{target}'."
    elif face is None or face.type != "MESH":
        problem = characters.piece_problem(face)
    else:
        pieces = characters.pieces_of(context, face, target)
        problem = characters.choice_problem(context, pieces)
    if problem:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            problem,
            "Select the mesh with the face, and with it eyes, teeth, tongue and lashes.",
        )
    return pieces


def submit(
    context: bpy.types.Context,
    pieces: list[bpy.types.Object],
    request: requests.TransferRequest,
    plan: CharacterPlan,
) -> Job[CharacterPlan]:
    """Send the pieces; `plan` needs only what the user chose. Raises VividKeysError."""
    if request.only_landmarks:
        ids, places = np.zeros(0, np.int32), np.zeros((0, 3), np.float32)
    else:
        ids, places = face_points.places(pieces[0])
    sent, notes = characters.read(pieces, ids, places)
    plan = replace(
        plan,
        name=pieces[0].name,
        scene=targets.remember(properties.scene_of(context)),
        pieces=notes,
        only_points=request.only_landmarks,
        had_points=bool(len(ids)),
    )
    return state().submit(
        transfer.KIND,
        requests.as_params(request),
        {},
        plan.name,
        plan,
        arrays=character.character_to_arrays(sent),
    )
