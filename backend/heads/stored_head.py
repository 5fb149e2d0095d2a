# SPDX-License-Identifier: GPL-3.0-or-later
"""An installed head as it is stored on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, UInt8
from numpy.typing import NDArray

from shared.arkit import ARKIT_NAMES
from shared.arrays import (
    Arrays,
    checked_floats,
    checked_triangles,
    count_of,
    pack_json,
    save_npz,
    unpack_json,
)
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT
from shared.npz import load_npz

# How many landmarks a vertex near the lips follows in the lip fields.
NEIGHBOURS = 8
_STEPS = 32767


@dataclass(frozen=True, eq=False)
class StoredHead:
    """A head in our axes and in metres, positioned like our own heads.

    Fields not listed are as in a FaceMesh; a head that takes its skin from the photo has a texture
    of 1 x 1.

    modes               offsets in metres of one standard deviation of each identity mode
    landmark_triangles  the vertices between which each landmark lies
    landmark_shares     its barycentric coordinates there
    field_rows          vertices near the lips
    field_landmarks     the landmarks from which they take the lip fields
    field_shares        and how much of each
    meta                JSON values: title, licence, missing (ARKit names), warnings, identity
    """

    vertices: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "F 3 2"]
    texture: UInt8[np.ndarray, "H W 3"]
    materials: tuple[str, ...]
    triangle_material: Int32[np.ndarray, " F"]
    shapes: Float32[np.ndarray, "52 V 3"]
    modes: Float32[np.ndarray, "K V 3"]
    part_names: tuple[str, ...]
    vertex_part: Int32[np.ndarray, " V"]
    landmark_triangles: Int32[np.ndarray, "468 3"]
    landmark_shares: Float32[np.ndarray, "468 3"]
    field_rows: Int32[np.ndarray, " R"]
    field_landmarks: Int32[np.ndarray, "R 8"]
    field_shares: Float32[np.ndarray, "R 8"]
    meta: dict[str, Any] = field(default_factory=dict)

    def on_landmarks(
        self, values: Float[np.ndarray, "*batch V 3"]
    ) -> Float64[np.ndarray, "*batch 468 3"]:
        """Values of the vertices, interpolated at the landmarks."""
        corners = values[..., self.landmark_triangles, :].astype(np.float64)
        return np.asarray((corners * self.landmark_shares[..., None]).sum(axis=-2))


_PLAIN = ("vertices", "triangles", "uvs", "texture", "triangle_material", "vertex_part",
          "landmark_triangles", "landmark_shares", "field_rows", "field_landmarks",
          "field_shares")  # fmt: skip


def save_head(head: StoredHead, path: Path) -> None:
    """Write a head; offsets are quantised to 1/32,767 of the largest of their shape."""
    arrays: Arrays = {name: np.asarray(getattr(head, name)) for name in _PLAIN}
    for name in ("shapes", "modes"):
        offsets = getattr(head, name)
        largest = np.abs(offsets).max(axis=(1, 2), initial=0.0) if len(offsets) else np.zeros(0)
        scale = np.where(largest > 0, largest / _STEPS, 1.0).astype(np.float32)
        arrays[name] = np.round(offsets / scale[:, None, None]).astype(np.int16)
        arrays[f"{name}_scale"] = scale
    arrays["meta"] = pack_json(
        {"meta": head.meta, "materials": list(head.materials), "parts": list(head.part_names)}
    )
    save_npz(path, arrays)


def load_head(path: Path) -> StoredHead:
    """Read a head. Raises VividKeysError(bad_file) for a damaged file."""
    arrays = load_npz(path, "an installed head")
    try:
        return _head_of(arrays)
    except (KeyError, ValueError, TypeError, IndexError, VividKeysError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The installed head '{path.name}' is damaged.",
            "Remove it and add it again: python -m backend heads",
        ) from error


def head_meta(path: Path) -> tuple[dict[str, Any], int]:
    """What the list of heads shows: the head's meta and its number of vertices."""
    try:
        arrays = load_npz(path, "an installed head", ("meta", "vertex_part"))
        header = unpack_json("meta", arrays["meta"])
        count = count_of("vertex_part", arrays["vertex_part"])
    except (KeyError, VividKeysError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The installed head '{path.name}' is damaged.",
            "Remove it and add it again: python -m backend heads",
        ) from error
    meta = header.get("meta")
    return (meta if isinstance(meta, dict) else {}), count


def _head_of(arrays: Arrays) -> StoredHead:
    header = unpack_json("meta", arrays["meta"])
    if not isinstance(header["meta"], dict):
        raise ValueError("meta")
    vertices = checked_floats("vertices", arrays["vertices"], (None, 3))
    triangles = checked_triangles("triangles", arrays["triangles"], len(vertices))
    rows = count_of("field_rows", arrays["field_rows"])
    materials, parts = tuple(map(str, header["materials"])), tuple(map(str, header["parts"]))
    corners = checked_triangles("landmarks", arrays["landmark_triangles"], len(vertices))
    shares = checked_floats("landmark_shares", arrays["landmark_shares"], (LANDMARK_COUNT, 3))
    return StoredHead(
        vertices=vertices,
        triangles=triangles,
        uvs=checked_floats("uvs", arrays["uvs"], (len(triangles), 3, 2)),
        texture=_picture(arrays["texture"]),
        materials=materials,
        triangle_material=_indices(arrays["triangle_material"], (len(triangles),), len(materials)),
        shapes=_unpacked(arrays, "shapes", len(vertices), len(ARKIT_NAMES)),
        modes=_unpacked(arrays, "modes", len(vertices), None),
        part_names=parts,
        vertex_part=_indices(arrays["vertex_part"], (len(vertices),), len(parts)),
        landmark_triangles=_indices(corners, (LANDMARK_COUNT, 3), len(vertices)),
        landmark_shares=shares,
        field_rows=_indices(arrays["field_rows"], (rows,), len(vertices)),
        field_landmarks=_indices(arrays["field_landmarks"], (rows, NEIGHBOURS), LANDMARK_COUNT),
        field_shares=checked_floats("field_shares", arrays["field_shares"], (rows, NEIGHBOURS)),
        meta=dict(header["meta"]),
    )


def _unpacked(
    arrays: Arrays, name: str, count: int, length: int | None
) -> Float32[np.ndarray, "S V 3"]:
    steps = arrays[name]
    scale = checked_floats(name, arrays[f"{name}_scale"], (length,))
    if steps.dtype != np.int16 or steps.shape != (len(scale), count, 3):
        raise ValueError(name)
    return np.asarray(steps * scale[:, None, None], np.float32)


def _picture(value: NDArray[Any]) -> UInt8[np.ndarray, "H W 3"]:
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or not value.size:
        raise ValueError("the texture is not a picture")
    return value


def _indices(value: NDArray[Any], shape: tuple[int, ...], below: int) -> Int32[np.ndarray, " ..."]:
    array = np.asarray(value)
    fits = array.dtype.kind in "iu" and array.shape == shape
    if not fits or (array.size and not 0 <= array.min() <= array.max() < below):
        raise ValueError("an index does not fit")
    return np.asarray(array, np.int32)
