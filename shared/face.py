# SPDX-License-Identifier: GPL-3.0-or-later
"""FaceMesh: a face that can be shown, keyed and exported.

It carries MediaPipe's 468 face landmarks, so a lip corner or a lid is found by its index. On
VividKeys' own heads they are the first 468 vertices; on others they lie anywhere on the skin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arkit import ARKIT_NAMES
from .arrays import (
    Arrays,
    checked_floats,
    checked_triangles,
    count_of,
    json_text,
    pack_json,
    save_npz,
    unpack_json,
)
from .errors import ErrorKind, VividKeysError
from .landmarks import LANDMARK_COUNT
from .npz import load_npz, unusable_file

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int32, UInt8

MAX_TEXTURE_SIDE = 8192
MAX_FIELDS = 64


def _no_fields() -> Float32[np.ndarray, "0 0 3"]:
    return np.zeros((0, 0, 3), np.float32)


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """A neutral face, its texture and its 52 shapes.

    vertices           metres, in Blender's axes
    triangles          vertex indices; `triangle_material` indexes `materials`
    uvs                of the triangles' corners, v upwards; may differ where triangles meet
    texture            RGB, 8 bits
    shapes             metres: offsets from `vertices`, in the order of `ARKIT_NAMES`
    offset_fields      metres: a Take's lip offsets on this mesh; K is 0 where it has none
    landmarks          metres, on the rest shape; the first 468 vertices where none are given
    part_names         the parts of the mesh, e.g. "skin", "left_eye"; `vertex_part` is the part of
                       each vertex (the first one where not given)
    meta               JSON values: warnings (sentences), sha256 of the image, model names

    Raises VividKeysError(bad_array) when an array does not fit.
    """

    vertices: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "F 3 2"]
    texture: UInt8[np.ndarray, "H W 3"]
    materials: tuple[str, ...]
    triangle_material: Int32[np.ndarray, " F"]
    shapes: Float32[np.ndarray, "52 V 3"]
    meta: dict[str, Any] = field(default_factory=dict)
    offset_fields: Float32[np.ndarray, "K V 3"] = field(default_factory=_no_fields)
    landmarks: Float32[np.ndarray, "468 3"] = field(
        default_factory=lambda: np.zeros((0, 3), np.float32)
    )
    part_names: tuple[str, ...] = ("head",)
    vertex_part: Int32[np.ndarray, " V"] = field(default_factory=lambda: np.zeros(0, np.int32))

    def __post_init__(self) -> None:
        vertices = checked_floats("vertices", self.vertices, (None, 3))
        count = len(vertices)
        landmarks = vertices[:LANDMARK_COUNT]
        if count_of("landmarks", self.landmarks):
            landmarks = self.landmarks
        if len(landmarks) != LANDMARK_COUNT:
            raise VividKeysError(
                ErrorKind.BAD_ARRAY,
                f"A face needs the {LANDMARK_COUNT} landmarks; this one has {len(landmarks)}.",
            )
        triangles = checked_triangles("triangles", self.triangles, count)
        texture = np.asarray(self.texture)
        fits = texture.dtype == np.uint8 and texture.ndim == 3 and texture.shape[2] == 3
        if not fits or not 0 < min(texture.shape) <= max(texture.shape) <= MAX_TEXTURE_SIDE:
            raise VividKeysError(ErrorKind.BAD_ARRAY, "A face's texture is an 8-bit RGB picture.")
        fields = self.offset_fields
        if not count_of("offset_fields", fields):
            fields = np.zeros((0, count, 3), np.float32)
        materials, part_names = tuple(self.materials), tuple(self.part_names)
        part = np.zeros(count, np.int32)
        if count_of("vertex_part", self.vertex_part):
            part = self.vertex_part
        for name, value in (
            ("vertices", vertices),
            ("triangles", triangles),
            ("uvs", checked_floats("uvs", self.uvs, (len(triangles), 3, 2))),
            ("texture", np.ascontiguousarray(texture)),
            ("materials", materials),
            (
                "triangle_material",
                _choices(self.triangle_material, len(triangles), materials, "triangle", "material"),
            ),
            ("shapes", checked_floats("shapes", self.shapes, (len(ARKIT_NAMES), count, 3))),
            ("offset_fields", checked_floats("offset_fields", fields, (None, count, 3))),
            ("landmarks", checked_floats("landmarks", landmarks, (LANDMARK_COUNT, 3))),
            ("part_names", part_names),
            ("vertex_part", _choices(part, count, part_names, "vertex", "part")),
        ):
            object.__setattr__(self, name, value)

    def posed(self, weights: Float[np.ndarray, " 52"]) -> Float32[np.ndarray, "V 3"]:
        """The vertices with the 52 `weights` applied, in metres."""
        moved = self.vertices + np.tensordot(weights, self.shapes, axes=1)
        return np.asarray(moved, np.float32)


def _choices(
    value: Any, count: int, names: tuple[str, ...], of: str, what: str
) -> Int32[np.ndarray, " N"]:
    """`count` indices into `names`, checked."""
    chosen = np.asarray(value)
    if (
        chosen.dtype.kind not in "iu"
        or chosen.shape != (count,)
        or (chosen.size and not 0 <= chosen.min() <= chosen.max() < len(names))
    ):
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"Every {of} needs one of the {what}s.")
    return np.asarray(chosen, np.int32)


_ARRAYS = ("vertices", "triangles", "uvs", "texture", "triangle_material", "shapes",
           "landmarks", "vertex_part")  # fmt: skip


def face_to_arrays(face: FaceMesh) -> Arrays:
    """Named arrays (float32, int32, uint8) that hold the whole face."""
    arrays: Arrays = {name: getattr(face, name) for name in _ARRAYS}
    if len(face.offset_fields):
        # Most vertices of a head are not near the lips.
        rows = np.flatnonzero(face.offset_fields.any(axis=(0, 2)))
        arrays["offset_rows"] = rows.astype(np.int32)
        arrays["offset_fields"] = np.ascontiguousarray(face.offset_fields[:, rows])
    header = {"materials": list(face.materials), "parts": list(face.part_names), "meta": face.meta}
    arrays["meta"] = pack_json(header)
    return arrays


def face_from_arrays(arrays: Mapping[str, Any]) -> FaceMesh:
    """The face in the arrays of `face_to_arrays`. Raises VividKeysError(bad_array)."""
    missing = sorted(({*_ARRAYS, "meta"}) - set(arrays))
    if missing:
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"A face lacks {', '.join(missing)}.")
    header = unpack_json("meta", arrays["meta"])
    materials, parts, meta = header.get("materials"), header.get("parts"), header.get("meta")
    if not (isinstance(materials, list) and isinstance(parts, list) and isinstance(meta, dict)):
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, "A face lacks its materials, its parts or its meta data."
        )
    return FaceMesh(
        **{name: arrays[name] for name in _ARRAYS},
        materials=tuple(map(str, materials)),
        part_names=tuple(map(str, parts)),
        meta=meta,
        offset_fields=_spread_fields(arrays),
    )


def _spread_fields(arrays: Mapping[str, Any]) -> Float32[np.ndarray, "K V 3"]:
    """The lip fields over all vertices, from the rows that move; none where none were sent."""
    if "offset_fields" not in arrays and "offset_rows" not in arrays:
        return _no_fields()
    vertices, rows = np.asarray(arrays["vertices"]), np.asarray(arrays.get("offset_rows"))
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or vertices.ndim != 2:
        raise VividKeysError(ErrorKind.BAD_ARRAY, "A face's lip fields do not fit it.")
    fields = checked_floats("offset_fields", arrays.get("offset_fields"), (None, len(rows), 3))
    count = len(vertices)
    # Memory for all vertices is allocated only when 52 shapes of that many vertices were sent.
    checked_floats("shapes", arrays["shapes"], (len(ARKIT_NAMES), count, 3))
    if len(fields) > MAX_FIELDS:
        raise VividKeysError(ErrorKind.BAD_ARRAY, "A face has too many lip fields.")
    if len(rows) and not (rows.min() >= 0 and rows.max() < count):
        raise VividKeysError(ErrorKind.BAD_ARRAY, "A face's lip fields name vertices it lacks.")
    spread = np.zeros((len(fields), count, 3), np.float32)
    spread[:, rows] = fields
    return spread


def save_face(face: FaceMesh, path: Path) -> None:
    """Write a face as .npz, in which `meta` is a JSON text of shape ()."""
    arrays = face_to_arrays(face)
    arrays["meta"] = json_text(arrays["meta"])
    save_npz(path, arrays)


def load_face(path: Path) -> FaceMesh:
    """Read a face; raises VividKeysError(bad_file or too_large)."""
    arrays = load_npz(path, "a face")
    try:
        return face_from_arrays(arrays)
    except VividKeysError as error:
        raise unusable_file(path, error) from error
