# SPDX-License-Identifier: GPL-3.0-or-later
"""ICT-FaceKit's head: which vertices belong to which part, and what has to be added to it.

ICT-FaceKit is by the USC Institute for Creative Technologies, MIT licence. It is not shipped; a
user who has it can add it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from backend.mesh_files import Material, MeshFile
from shared.errors import ErrorKind, VividKeysError
from shared.npz import load_npz, npz_names

TITLE = "ICT-FaceKit"
LICENCE = "MIT, USC Institute for Creative Technologies"
VERTICES = 26_719
# Part, its material, and where its vertices end; vertices without a part are transparent shells
# around the eyes, which only a renderer with transparency can show.
_RANGES: tuple[tuple[str, str, int], ...] = (
    ("face", "skin", 9_409),
    ("head", "skin", 11_248),
    ("mouth_socket", "mouth", 13_294),
    ("eye_sockets", "mouth", 14_062),
    ("gums_and_tongue", "mouth_and_tongue", 17_039),
    ("upper_teeth", "teeth", 19_247),
    ("lower_teeth", "teeth", 21_451),
    ("left_eye", "eye", 22_221),
    ("", "", 23_021),
    ("right_eye", "eye", 23_791),
    ("", "", 25_351),
    ("left_lashes", "lashes", 26_035),
    ("right_lashes", "lashes", VERTICES),
)
MATERIALS = ("skin", "mouth", "mouth_and_tongue", "teeth", "eye", "lashes")
# Lashes are cards for a transparent texture; drawn opaque, they are reduced to this share of their
# width on the upper lid, and to none on the lower one.
_LASH_WIDTH = 0.3
_LASH_CARDS = 6

# The vertices of the tongue's upper and lower side, and how far forward its root lies there; how
# far the tip comes out, and how far it rises on the way to clear the teeth. Centimetres.
_TONGUE = ((16_611, 17_039, 4.2), (16_318, 16_566, 6.2))
_TONGUE_OUT, _TONGUE_RISE = 3.0, 1.5


_ICT_NUMBERS = frozenset(
    {"faces", "face_uvs", "neutral", "uv", "expression_deltas", "expression_scale",
     "identity_deltas", "identity_scale"}
)  # fmt: skip


def is_ict(mesh: MeshFile) -> bool:
    """Whether a mesh is ICT-FaceKit's, by its number of vertices and its modes."""
    return len(mesh.vertices) == VERTICES and "identity000" in mesh.shapes


def is_ict_npz(path: Path) -> bool:
    """Whether an .npz holds ICT-FaceKit in one file (neutral, faces, deltas as int16)."""
    return {"neutral", "faces", "expression_deltas", "identity_deltas"} <= npz_names(path)


def read_ict_npz(path: Path) -> MeshFile:
    """ICT-FaceKit in one file. Raises VividKeysError(bad_file)."""
    arrays = load_npz(path, "ICT-FaceKit")
    try:
        # `astype` would convert text to numbers.
        if any(array.dtype.kind not in "fiu" for name, array in arrays.items()
               if name in _ICT_NUMBERS):  # fmt: skip
            raise ValueError("numbers")
        faces, face_uvs = arrays["faces"].astype(np.int64), arrays["face_uvs"].astype(np.int64)
        neutral, uv = arrays["neutral"].astype(np.float32), arrays["uv"].astype(np.float32)
        if faces.ndim != 2 or faces.shape[1] != 4 or face_uvs.shape != faces.shape:
            raise ValueError("faces")
        quads = faces[:, 3] >= 0
        corners = [faces[:, :3], faces[quads][:, [0, 2, 3]]]
        places = [face_uvs[:, :3], face_uvs[quads][:, [0, 2, 3]]]
        triangles = np.concatenate(corners)
        if triangles.min() < 0 or triangles.max() >= len(neutral) or neutral.shape[1] != 3:
            raise ValueError("faces")
        shapes = {}
        for name, delta, scale in zip(
            arrays["expression_names"], arrays["expression_deltas"], arrays["expression_scale"],
            strict=True,
        ):  # fmt: skip
            shapes[str(name)] = _from_y_up(delta * np.float32(scale))
        for number, (delta, scale) in enumerate(
            zip(arrays["identity_deltas"], arrays["identity_scale"], strict=True)
        ):
            shapes[f"identity{number:03d}"] = _from_y_up(delta * np.float32(scale))
        if any(offsets.shape != neutral.shape for offsets in shapes.values()):
            raise ValueError("deltas")
        if not all(np.isfinite(numbers).all() for numbers in (neutral, uv, *shapes.values())):
            raise ValueError("numbers")
        return MeshFile(
            vertices=_from_y_up(neutral),
            triangles=triangles.astype(np.int32),
            uvs=uv[np.concatenate(places)],
            piece=np.zeros(len(neutral), np.int32),
            piece_names=("head",),
            triangle_material=np.zeros(len(triangles), np.int32),
            materials=(Material("skin"),),
            shapes=shapes,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is not ICT-FaceKit in the expected form.",
            "Add its published folder of OBJ files instead.",
        ) from error


def _from_y_up(points: Float[np.ndarray, "*batch 3"]) -> Float32[np.ndarray, "*batch 3"]:
    turned = np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)
    return np.ascontiguousarray(turned, np.float32)


def prepared(mesh: MeshFile) -> tuple[MeshFile, Int64[np.ndarray, " N"]]:
    """The head with named parts and without the eyes' shells; and the vertices that were kept."""
    mesh = dataclasses.replace(
        mesh, shapes={"tongueOut": _tongue_out(mesh.vertices), **mesh.shapes}
    )
    part = np.full(VERTICES, -1, np.int32)
    names: list[str] = []
    kinds: list[int] = []
    start = 0
    for name, material, end in _RANGES:
        if name:
            part[start:end] = len(names)
            names.append(name)
            kinds.append(MATERIALS.index(material))
        start = end
    kept = np.flatnonzero(part >= 0)
    place = np.full(VERTICES, -1, np.int64)
    place[kept] = np.arange(len(kept))
    shown = (place[mesh.triangles] >= 0).all(axis=1)
    triangles = place[mesh.triangles[shown]].astype(np.int32)
    vertices = mesh.vertices[kept]
    shapes = {name: offsets[kept] for name, offsets in mesh.shapes.items()}
    piece = part[kept]
    # Where two parts meet, a triangle belongs to the one whose vertices come first.
    first = piece[triangles].min(axis=1)
    for lashes in ("left_lashes", "right_lashes"):
        _thin_lashes(vertices, shapes, np.flatnonzero(piece == names.index(lashes)), triangles,
                     mesh.uvs[shown])  # fmt: skip
    made = dataclasses.replace(
        mesh,
        vertices=vertices,
        triangles=triangles,
        uvs=mesh.uvs[shown],
        piece=piece,
        piece_names=tuple(names),
        triangle_material=np.array(kinds, np.int32)[first],
        materials=tuple(Material(name) for name in MATERIALS),
        shapes=shapes,
    )
    return made, kept


def _tongue_out(vertices: Float32[np.ndarray, "V 3"]) -> Float32[np.ndarray, "V 3"]:
    """The one shape that ICT-FaceKit lacks: the tongue comes out over the lower teeth."""
    offsets = np.zeros_like(vertices)
    for start, end, root in _TONGUE:
        rows = np.arange(start, end)
        forward = -vertices[rows, 1]
        tip = -vertices[_TONGUE[0][0] : _TONGUE[0][1], 1].min()
        share = np.clip((forward - root) / (tip - root), 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        narrow = -0.25 * share * vertices[rows, 0]
        rise = _TONGUE_RISE * np.sin(np.pi * np.minimum(0.75 * share, 0.75))
        offsets[rows] = np.stack([narrow, -_TONGUE_OUT * share, rise], axis=1)
    return offsets


def _thin_lashes(
    vertices: Float32[np.ndarray, "V 3"],
    shapes: dict[str, Float32[np.ndarray, "V 3"]],
    rows: Int64[np.ndarray, " N"],
    triangles: Int32[np.ndarray, "F 3"],
    uvs: Float32[np.ndarray, "F 3 2"],
) -> None:
    """Pull the cards' tips towards the lid, so that they look like a line of lashes; in place."""
    whose = np.isin(triangles[:, 0], rows)
    uv = np.zeros((len(vertices), 2))
    uv[triangles[whose].ravel()] = uvs[whose].reshape(-1, 2)
    lid = vertices[rows, 2].mean()
    for card in rows.reshape(_LASH_CARDS, -1):
        width = _LASH_WIDTH if vertices[card, 2].mean() > lid else 0.0
        columns = np.round(uv[card, 0] * 200).astype(int)
        for column in np.unique(columns):
            line = card[columns == column]
            root = line[np.argmax(uv[line, 1])]
            for values in (vertices, *shapes.values()):
                values[line] = values[root] + width * (values[line] - values[root])
