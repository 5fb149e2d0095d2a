# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks every array passes before it is used, and files that never exist half-written."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .errors import ErrorKind, VividKeysError
from .strict_json import parse_json

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Arrays = dict[str, NDArray[Any]]


def checked_floats(name: str, value: Any, shape: tuple[int | None, ...]) -> FloatArray:
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


def checked_triangles(name: str, value: Any, vertex_count: int) -> IntArray:
    """`value` as a read-only int32 array [F,3] of indices below `vertex_count`."""
    array = _checked(name, value, (None, 3), "iu")
    if array.size and (array.min() < 0 or array.max() >= vertex_count):
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, f"The array '{name}' points at vertices that do not exist."
        )
    return _frozen(np.ascontiguousarray(array, dtype=np.int32), value)


def count_of(name: str, value: Any) -> int:
    """How many rows `value` has; VividKeysError(bad_array) for a single number."""
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
    # A caller that keeps writing into its own array must not change a value that is immutable.
    if (
        isinstance(source, np.ndarray)
        and source.flags.writeable
        and np.may_share_memory(array, source)
    ):
        array = array.copy()
    array.flags.writeable = False
    return array


def pack_json(value: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A JSON object as UTF-8 bytes [n], so that it can travel beside arrays."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def json_text(packed: NDArray[np.uint8]) -> NDArray[np.str_]:
    """What `pack_json` gave as one text, shape (): `json.loads(str(it))` is all a reader needs."""
    return np.array(packed.tobytes().decode("utf-8"))


def _text_bytes(value: Any) -> Any:
    """The UTF-8 bytes [n] of a `json_text`; anything else as it is."""
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
    """The object that `pack_json` or `json_text` packed, or a bad_array error."""
    array = _checked(name, _text_bytes(value), (None,), "u")
    try:
        parsed = parse_json(array.astype(np.uint8).tobytes())
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"The array '{name}' holds no JSON object.")
    return parsed


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    Raises VividKeysError(disk_full) when the disk is full, bad_file when the folder refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
    except OSError as error:
        raise _as_file_error(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
        os.replace(temporary, path)
    except OSError as error:
        raise _as_file_error(path, error) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _as_file_error(path: Path, error: OSError) -> VividKeysError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return VividKeysError(
            ErrorKind.DISK_FULL,
            f"There is no room left on the disk for '{path.name}'.",
            "Free some space or choose another folder, then save again.",
        )
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"'{path}' cannot be written: {error.strerror or error}.",
        "Choose a folder in which you may write.",
    )


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as a compressed .npz, all or nothing."""
    members: dict[str, Any] = dict(arrays)
    write_atomically(path, lambda stream: np.savez_compressed(stream, **members))
