# SPDX-License-Identifier: GPL-3.0-or-later
"""A character without face keys, and a made-up answer of the job `transfer` to it."""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE = 22
FIELDS = 3
STILL = "tongueOut"


def grid(width: float = 0.16, height: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """A bent sheet that looks along -Y: vertices [484,3] and quads, seen from outside."""
    line = np.linspace(-0.5, 0.5, SIDE)
    across, up = np.meshgrid(line, line)
    depth = across**2 + up**2
    vertices = np.stack([across * width, depth * width, up * height], axis=-1).reshape(-1, 3)
    index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1)
    return vertices.astype(np.float32), quads.reshape(-1, 4)


def new_object(bpy: Any, name: str, vertices: np.ndarray, faces: np.ndarray) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], [[int(corner) for corner in face] for face in faces])
    made = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(made)
    return made


def new_character(bpy: Any, name: str = "Figur") -> Any:
    """A face alone, active and selected."""
    face = new_object(bpy, name, *grid())
    choose(bpy, face)
    return face


def new_eye(bpy: Any, name: str = "Auge") -> Any:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.01
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return new_object(bpy, name, corners + np.array([0.03, 0.0, 0.03]), faces)


def choose(bpy: Any, face: Any, *others: Any) -> None:
    """Select these; the first is the active one."""
    layer = bpy.context.view_layer
    layer.update()
    for member in layer.objects:
        member.select_set(member in (face, *others))
    layer.objects.active = face


def shapes_for(addon: Any, sent: Any) -> np.ndarray:
    """The made-up offsets [52,V,3]: channels that look move all pieces, the others the face; one
    moves nothing."""
    names = addon("shared.arkit").ARKIT_NAMES
    random = np.random.default_rng(3)
    shapes = random.normal(0.0, 0.002, (52, len(sent.vertices), 3))
    for row, name in enumerate(names):
        if not name.startswith("eyeLook"):
            shapes[row, sent.piece != 0] = 0.0
    shapes[names.index(STILL)] = 0.0
    return shapes.astype(np.float32)


def fields_for(sent: Any) -> np.ndarray:
    """Lip offsets [3,V,3] of the face alone."""
    random = np.random.default_rng(4)
    fields = random.normal(0.0, 0.0005, (FIELDS, len(sent.vertices), 3))
    fields[:, sent.piece != 0] = 0.0
    return fields.astype(np.float32)


def landmarks_of(sent: Any) -> np.ndarray:
    """The face's landmarks [468,3], spread over its sheet of 484."""
    return sent.vertices[np.arange(468) * 484 // 468]


def answer(addon: Any, meta: dict[str, Any] | None = None) -> Any:
    """For `ScriptedBackend.results`: what is made of a submitted character."""

    def make(message: Any) -> dict[str, np.ndarray]:
        contracts = addon("shared.character")
        sent = contracts.character_from_arrays(dict(message.arrays))
        rows = np.arange(len(sent.vertices), dtype=np.int32)
        if message.params["only_landmarks"]:
            rows = rows[:0]
        keys = contracts.FaceKeys(
            rows=rows,
            shapes=shapes_for(addon, sent)[:, rows],
            offset_fields=fields_for(sent)[:, rows],
            landmarks=landmarks_of(sent),
            meta=meta or {},
        )
        return contracts.keys_to_arrays(keys)

    return make


def sent_character(addon: Any, backend: Any, number: int = -1) -> Any:
    arrays = dict(backend.submits[number].arrays)
    return addon("shared.character").character_from_arrays(arrays)
