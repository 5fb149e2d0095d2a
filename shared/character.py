# SPDX-License-Identifier: GPL-3.0-or-later
"""A character that needs the 52 keys, and the keys made for it.

A character is one mesh of one or more pieces (objects, in Blender): first the one with the face,
then those that belong to it, e.g. eyes, teeth, tongue, lashes. All pieces share one space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arkit import ARKIT_NAMES
from .arrays import (
    Arrays,
    checked_floats,
    checked_triangles,
    json_text,
    pack_json,
    save_npz,
    unpack_json,
)
from .errors import ErrorKind, VividKeysError
from .face import MAX_FIELDS
from .landmarks import (
    CHIN,
    LANDMARK_COUNT,
    LEFT_BROW,
    LEFT_EYE_INNER_CORNER,
    LEFT_EYE_OUTER_CORNER,
    LEFT_LIP_CORNER,
    LOWER_LIP_EDGE,
    NOSE_TIP,
    RIGHT_BROW,
    RIGHT_EYE_INNER_CORNER,
    RIGHT_EYE_OUTER_CORNER,
    RIGHT_LIP_CORNER,
    UPPER_LIP_EDGE,
)

if TYPE_CHECKING:
    from jaxtyping import Float32, Int32

MAX_VERTICES = 500_000
MAX_PIECES = 64

# Points that a user sets by hand when the face was not found, or to correct it: the landmark, and
# its name in the interface. Twelve are enough.
FACE_POINTS: dict[int, str] = {
    RIGHT_EYE_OUTER_CORNER: "right eye, outer corner",
    RIGHT_EYE_INNER_CORNER: "right eye, inner corner",
    LEFT_EYE_INNER_CORNER: "left eye, inner corner",
    LEFT_EYE_OUTER_CORNER: "left eye, outer corner",
    RIGHT_BROW: "right brow, middle",
    LEFT_BROW: "left brow, middle",
    NOSE_TIP: "tip of the nose",
    RIGHT_LIP_CORNER: "right corner of the mouth",
    LEFT_LIP_CORNER: "left corner of the mouth",
    UPPER_LIP_EDGE: "upper lip, where the lips meet",
    LOWER_LIP_EDGE: "lower lip, where the lips meet",
    CHIN: "chin",
}


def _no_points() -> Float32[np.ndarray, "0 3"]:
    return np.zeros((0, 3), np.float32)


def _no_ids() -> Int32[np.ndarray, " 0"]:
    return np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class Character:
    """A mesh without keys.

    vertices      +Z up, in any unit; the face may look in any horizontal direction
    triangles     vertex indices
    piece         index into `piece_names` of each vertex; 0 has the face
    point_ids     landmarks that the user has placed
    point_places  their positions

    Raises VividKeysError(bad_array or too_large).
    """

    vertices: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    piece: Int32[np.ndarray, " V"]
    piece_names: tuple[str, ...]
    point_ids: Int32[np.ndarray, " N"] = field(default_factory=_no_ids)
    point_places: Float32[np.ndarray, "N 3"] = field(default_factory=_no_points)

    def __post_init__(self) -> None:
        vertices = checked_floats("vertices", self.vertices, (None, 3))
        if len(vertices) > MAX_VERTICES:
            raise VividKeysError(
                ErrorKind.TOO_LARGE,
                f"The mesh has {len(vertices):,} vertices; at most {MAX_VERTICES:,} are keyed.",
                "Make the keys on a coarser mesh and add a subdivision modifier.",
            )
        names = tuple(self.piece_names)
        piece, ids = np.asarray(self.piece), np.asarray(self.point_ids)
        if not 0 < len(names) <= MAX_PIECES or not _within(piece, len(vertices), len(names)):
            raise VividKeysError(ErrorKind.BAD_ARRAY, "Every vertex needs one of the pieces.")
        if not _within(ids, None, LANDMARK_COUNT):
            raise VividKeysError(ErrorKind.BAD_ARRAY, "A face point names no landmark.")
        for name, value in (
            ("vertices", vertices),
            ("triangles", checked_triangles("triangles", self.triangles, len(vertices))),
            ("piece", np.asarray(piece, np.int32)),
            ("piece_names", names),
            ("point_ids", np.asarray(ids, np.int32)),
            ("point_places", checked_floats("point_places", self.point_places, (len(ids), 3))),
        ):
            object.__setattr__(self, name, value)


def _within(index: NDArray[Any], length: int | None, count: int) -> bool:
    """Whether `index` is a row of `length` whole numbers below `count`."""
    return bool(
        index.dtype.kind in "iu"
        and index.ndim == 1
        and (length is None or len(index) == length)
        and (not index.size or 0 <= index.min() <= index.max() < count)
    )


@dataclass(frozen=True, eq=False)
class FaceKeys:
    """How a character's vertices move, in the character's own space and unit.

    rows           indices of the N vertices that move at all, ascending
    shapes         offsets of these vertices, in the order of `ARKIT_NAMES`
    offset_fields  a Take's lip offsets on this mesh
    landmarks      the positions of the face's landmarks
    meta           JSON values: warnings (sentences), mouth_opens, method

    Raises VividKeysError(bad_array).
    """

    rows: Int32[np.ndarray, " N"]
    shapes: Float32[np.ndarray, "52 N 3"]
    offset_fields: Float32[np.ndarray, "K N 3"]
    landmarks: Float32[np.ndarray, "468 3"]
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = np.asarray(self.rows)
        if not _within(rows, None, MAX_VERTICES) or (np.diff(rows) <= 0).any():
            raise VividKeysError(ErrorKind.BAD_ARRAY, "The rows of face keys are not ascending.")
        count = len(rows)
        fields = checked_floats("offset_fields", self.offset_fields, (None, count, 3))
        if len(fields) > MAX_FIELDS:
            raise VividKeysError(ErrorKind.BAD_ARRAY, "Face keys have too many lip fields.")
        for name, value in (
            ("rows", np.asarray(rows, np.int32)),
            ("shapes", checked_floats("shapes", self.shapes, (len(ARKIT_NAMES), count, 3))),
            ("offset_fields", fields),
            ("landmarks", checked_floats("landmarks", self.landmarks, (LANDMARK_COUNT, 3))),
        ):
            object.__setattr__(self, name, value)


_CHARACTER = ("vertices", "triangles", "piece", "point_ids", "point_places")
_KEYS = ("rows", "shapes", "offset_fields", "landmarks")


def character_to_arrays(character: Character) -> Arrays:
    """Named arrays (float32, int32, uint8) that hold the whole character."""
    arrays: Arrays = {name: getattr(character, name) for name in _CHARACTER}
    arrays["names"] = pack_json({"pieces": list(character.piece_names)})
    return arrays


def character_from_arrays(arrays: Mapping[str, Any]) -> Character:
    """The character in the arrays of `character_to_arrays`.

    Raises VividKeysError(bad_array, too_large).
    """
    _complain_about_missing("character", {*_CHARACTER, "names"}, arrays)
    pieces = unpack_json("names", arrays["names"]).get("pieces")
    if not isinstance(pieces, list):
        raise VividKeysError(ErrorKind.BAD_ARRAY, "A character lacks the names of its pieces.")
    return Character(
        **{name: arrays[name] for name in _CHARACTER}, piece_names=tuple(map(str, pieces))
    )


def keys_to_arrays(keys: FaceKeys) -> Arrays:
    """Named arrays (float32, int32, uint8) that hold all keys."""
    arrays: Arrays = {name: getattr(keys, name) for name in _KEYS}
    arrays["meta"] = pack_json(keys.meta)
    return arrays


def keys_from_arrays(arrays: Mapping[str, Any]) -> FaceKeys:
    """The keys in the arrays of `keys_to_arrays`. Raises VividKeysError(bad_array)."""
    _complain_about_missing("set of face keys", {*_KEYS, "meta"}, arrays)
    return FaceKeys(
        **{name: arrays[name] for name in _KEYS}, meta=unpack_json("meta", arrays["meta"])
    )


def save_keys(keys: FaceKeys, path: Path) -> None:
    """Write keys as .npz, in which `meta` is a JSON text of shape ()."""
    arrays = keys_to_arrays(keys)
    arrays["meta"] = json_text(arrays["meta"])
    save_npz(path, arrays)


def _complain_about_missing(what: str, wanted: set[str], arrays: Mapping[str, Any]) -> None:
    missing = sorted(wanted - set(arrays))
    if missing:
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"A {what} lacks {', '.join(missing)}.")
