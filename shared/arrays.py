# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that every array passes before it is used, and named arrays in files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .disk_errors import told_of_the_disk
from .errors import ErrorKind, VividKeysError
from .strict_json import parse_json
from .whole_files import written_whole

if TYPE_CHECKING:
    from jaxtyping import Int32, Shaped, UInt8

Arrays = dict[str, NDArray[Any]]


def checked_floats(name: str, value: Any, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    """`value` as a read-only float32 array of `shape` (None = any length).

    Raises VividKeysError(bad_array) for another shape, another kind of number, NaN or infinity.
    """
    array = _checked(name, value, shape, "fiu")
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(floats).all():
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, f"The array '{name}' holds values that are not finite numbers."
        )
    return _frozen(floats, value)


def checked_triangles(name: str, value: Any, vertex_count: int) -> Int32[np.ndarray, "F 3"]:
    """`value` as a read-only array of indices below `vertex_count`.

    Raises VividKeysError(bad_array).
    """
    array = _checked(name, value, (None, 3), "iu")
    if array.size and (array.min() < 0 or array.max() >= vertex_count):
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, f"The array '{name}' points at vertices that do not exist."
        )
    return _frozen(np.ascontiguousarray(array, dtype=np.int32), value)


def count_of(name: str, value: Any) -> int:
    """The number of rows of `value`. Raises VividKeysError(bad_array) for a single number."""
    array = np.asarray(value)
    if array.ndim == 0:
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"The array '{name}' is a single number.")
    return len(array)


def _checked(name: str, value: Any, shape: tuple[int | None, ...], kinds: str) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in kinds:
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, f"The array '{name}' has the type {array.dtype}, not numbers."
        )
    fits = array.ndim == len(shape) and all(
        wanted is None or wanted == length
        for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted_text = "×".join("any" if n is None else str(n) for n in shape)
        got_text = "×".join(map(str, array.shape)) or "a single number"
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, f"The array '{name}' is {got_text}; expected {wanted_text}."
        )
    return array


def _frozen(array: NDArray[Any], source: Any) -> NDArray[Any]:
    # A caller that goes on writing into its own array must not change an immutable value.
    if (
        isinstance(source, np.ndarray)
        and source.flags.writeable
        and np.may_share_memory(array, source)
    ):
        array = array.copy()
    array.flags.writeable = False
    return array


def pack_json(value: Mapping[str, Any]) -> UInt8[np.ndarray, " N"]:
    """A JSON object as UTF-8 bytes, so that it can be sent and saved beside arrays."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def json_text(packed: UInt8[np.ndarray, " N"]) -> Shaped[np.ndarray, ""]:
    """The result of `pack_json` as a text of shape (), which `json.loads(str(it))` reads."""
    return np.array(packed.tobytes().decode("utf-8"))


def _text_bytes(value: Any) -> Any:
    """The UTF-8 bytes of a `json_text`; anything else as it is."""
    array = np.asarray(value)
    if array.dtype.kind != "U" or array.ndim:
        return value
    try:
        # Not `str(array)`: it raises SystemError for code points that are no characters.
        text = array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le")
    except ValueError:
        text = ""
    return np.array(list(text.rstrip("\0").encode("utf-8")), np.uint8)


def unpack_json(name: str, value: Any) -> dict[str, Any]:
    """The object that `pack_json` or `json_text` packed. Raises VividKeysError(bad_array)."""
    array = _checked(name, _text_bytes(value), (None,), "u")
    try:
        parsed = parse_json(array.astype(np.uint8).tobytes())
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"The array '{name}' holds no JSON object.")
    return parsed


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as a compressed .npz, all or nothing.

    Raises VividKeysError: disk_full, or bad_file when the file cannot be written.
    """
    members: dict[str, Any] = dict(arrays)
    with told_of_the_disk(path), written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **members)
