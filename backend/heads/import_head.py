# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an installed head from a mesh: ARKit names, and the size and position of our heads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from numpy.typing import NDArray

from backend.face.identity import closed_template
from backend.face.pose import Similarity, fit_similarity
from backend.face.template import load_template
from backend.mesh_files import MeshFile
from shared.arkit import ARKIT_NAMES, INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT
from shared.shape_names import channel_by_spelling, channel_by_words

from . import pictures_atlas
from .on_surface import landmark_neighbours
from .stored_head import StoredHead

_MODE = re.compile(r"identity_?(\d{1,4})", re.IGNORECASE)
# A head with fewer shapes cannot speak.
FEWEST_SHAPES = 10


@dataclass(frozen=True)
class Story:
    """What the list of heads says about one, and how it adapts to a photo.

    `identity` lets a head without identity modes adapt mildly to the photo's face; `skin` is
    "photo" if the photo becomes its texture, else "own".
    """

    title: str
    licence: str = ""
    identity: bool = False
    skin: str = "own"


def build_head(
    mesh: MeshFile,
    corners: Int[np.ndarray, "468 3"],
    shares: Float64[np.ndarray, "468 3"],
    story: Story,
) -> StoredHead:
    """The head of a mesh whose landmarks lie at the `shares` of the vertices `corners`.

    Raises VividKeysError(bad_file) for a mesh with too few ARKit shapes.
    """
    shapes, missing = _arkit_shapes(mesh)
    if len(ARKIT_NAMES) - len(missing) < FEWEST_SHAPES:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The mesh has {len(ARKIT_NAMES) - len(missing)} of the 52 ARKit shapes; a head needs "
            "more.",
            "Make them in Blender with 'Make Face Keys', export the mesh and add that.",
        )
    modes = _modes(mesh)
    landmarks = (mesh.vertices[corners].astype(np.float64) * shares[..., None]).sum(axis=1)
    move = place_of(landmarks)
    turn = move.scale * move.rotation.T
    vertices = move.apply(mesh.vertices.astype(np.float64))
    texture = np.full((1, 1, 3), 200, np.uint8)
    uvs: NDArray[Any] = mesh.uvs
    if story.skin == "own":
        texture, uvs = pictures_atlas.pack(mesh.materials, mesh.uvs, mesh.triangle_material)
    rows, near, field_shares = landmark_neighbours(
        vertices, mesh.triangles, corners.astype(np.int64), shares
    )
    warnings = list(mesh.warnings)
    if missing:
        warnings.append(f"The head has no shape for {_listed(missing)}.")
    meta = {
        "title": story.title,
        "licence": story.licence,
        "identity": story.identity,
        "skin": story.skin,
        "missing": missing,
        "warnings": warnings,
    }
    return StoredHead(
        vertices=vertices.astype(np.float32),
        triangles=mesh.triangles,
        uvs=np.asarray(uvs, np.float32),
        texture=texture,
        materials=tuple(material.name for material in mesh.materials),
        triangle_material=mesh.triangle_material,
        shapes=(shapes @ turn).astype(np.float32),
        modes=(modes @ turn).astype(np.float32),
        part_names=mesh.piece_names,
        vertex_part=mesh.piece,
        landmark_triangles=np.asarray(corners, np.int32),
        landmark_shares=np.asarray(shares, np.float32),
        field_rows=rows.astype(np.int32),
        field_landmarks=near.astype(np.int32),
        field_shares=field_shares.astype(np.float32),
        meta=meta,
    )


def place_of(landmarks: Float64[np.ndarray, "468 3"]) -> Similarity:
    """The similarity that brings a mesh to the size and position of our heads by its landmarks.

    It rotates about the vertical in steps of 90 degrees only: a head keeps its own tilt.
    """
    if landmarks.shape != (LANDMARK_COUNT, 3) or not np.isfinite(landmarks).all():
        raise VividKeysError(ErrorKind.BAD_FILE, "The landmarks of the head are damaged.")
    template, rigidity = closed_template(), load_template().rigidity[:LANDMARK_COUNT]
    free = fit_similarity(landmarks, template, rigidity)
    yaw = np.arctan2(free.rotation[1, 0], free.rotation[0, 0])
    quarter = round(yaw / (np.pi / 2)) % 4
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    share = (rigidity / rigidity.sum())[:, None]
    centre = (share * landmarks).sum(axis=0)
    return Similarity(
        free.scale, rotation, (share * template).sum(axis=0) - free.scale * rotation @ centre
    )


def _arkit_shapes(mesh: MeshFile) -> tuple[Float64[np.ndarray, "52 V 3"], list[str]]:
    """The 52 shapes of a mesh, and the names of those that it lacks.

    Halves of one shape ('cheekPuff_L', '_R') and the same shape of several pieces are added; names
    in ARKit's spelling take precedence over names that only contain its words.
    """
    spelled: dict[str, list[str]] = {}
    worded: dict[str, list[str]] = {}
    for name in mesh.shapes:
        channel = channel_by_spelling(name)
        if channel is not None:
            spelled.setdefault(channel, []).append(name)
        elif (channel := channel_by_words(name)) is not None:
            worded.setdefault(channel, []).append(name)
    shapes = np.zeros((len(ARKIT_NAMES), len(mesh.vertices), 3))
    for channel, position in INDEX.items():
        for name in spelled.get(channel) or worded.get(channel, []):
            shapes[position] += mesh.shapes[name]
    missing = [name for name in ARKIT_NAMES if not shapes[INDEX[name]].any()]
    return shapes, missing


def _modes(mesh: MeshFile) -> Float64[np.ndarray, "K V 3"]:
    """The identity modes in the order of their numbers; most meshes have none."""
    found = sorted(
        (int(match.group(1)), name)
        for name in mesh.shapes
        if (match := _MODE.fullmatch(name)) is not None
    )
    if not found:
        return np.zeros((0, len(mesh.vertices), 3))
    return np.stack([mesh.shapes[name] for _, name in found]).astype(np.float64)


def _listed(names: list[str]) -> str:
    if len(names) <= 4:
        return ", ".join(names)
    return f"{', '.join(names[:4])} and {len(names) - 4} others"
