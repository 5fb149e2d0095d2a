# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as frames: one JSON header, then the raw bytes of each array the header describes.

    frame 0    {"v": 1, "type": "...", ..., "arrays": [{"name", "dtype", "shape"}, ...]}
    frame 1..  one per array, in that order: little-endian values, C order

Nothing in a message is trusted: sizes are checked before memory is allocated, and an array's type,
shape and finiteness before it is handed on. `docs/PROTOCOL.md` is the specification.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays
from .errors import ErrorKind, VividKeysError
from .strict_json import parse_json

Frame = bytes | bytearray | memoryview

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "int32": np.dtype("<i4"),
    "uint8": np.dtype("u1"),
}
ARRAY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")


@dataclass(frozen=True)
class FrameLimits:
    """How large a message may be in one direction; all sizes in bytes."""

    header_bytes: int
    arrays: int
    array_bytes: int
    message_bytes: int
    dimensions: int = 4


def encode_frames(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], limits: FrameLimits
) -> list[Frame]:
    """The frames of a message. Raises VividKeysError(bad_array, bad_request or too_large)."""
    described: list[dict[str, Any]] = []
    bodies: list[Frame] = []
    total = 0
    if len(arrays) > limits.arrays:
        raise _too_large(f"A message may carry {limits.arrays} arrays, not {len(arrays)}.")
    for name, array in arrays.items():
        dtype = _dtype_name(name, array)
        _check_name(name)
        _check_shape(name, list(array.shape), limits)
        total += array.nbytes
        _check_size(name, array.nbytes, total, limits)
        _check_finite(name, array)
        packed = np.ascontiguousarray(array, dtype=DTYPES[dtype])
        described.append({"name": name, "dtype": dtype, "shape": list(array.shape)})
        bodies.append(packed.reshape(-1).view(np.uint8).data if packed.size else b"")
    try:
        text = json.dumps(
            {**header, "arrays": described}, ensure_ascii=False, allow_nan=False
        ).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise _bad_request(f"A message cannot be written as JSON: {error}.") from error
    if len(text) > limits.header_bytes:
        raise _too_large(
            f"A message's header may have {limits.header_bytes:,} bytes, not {len(text):,}."
        )
    return [text, *bodies]


def decode_header(frame: Frame, limits: FrameLimits) -> dict[str, Any]:
    """The JSON object of a message's first frame.

    Raises VividKeysError(too_large or bad_request): not UTF-8, not JSON, not an object, a key
    that occurs twice, NaN or infinity, a number beyond 64 bits, half a surrogate pair, or nested
    too deeply.
    """
    if len(frame) > limits.header_bytes:
        raise _too_large(
            f"A message's header may have {limits.header_bytes:,} bytes, not {len(frame):,}."
        )
    try:
        header = parse_json(frame)
    except ValueError as error:
        raise _bad_request(f"A message's header is not valid JSON: {str(error)[:200]}.") from error
    if not isinstance(header, dict):
        raise _bad_request("A message's header is not a JSON object.")
    return header


def decode_arrays(
    header: Mapping[str, Any], frames: Sequence[Frame], limits: FrameLimits
) -> Arrays:
    """The arrays that `header` describes, as read-only views of `frames` (those after the header).

    Raises VividKeysError(bad_array or too_large) for a description that is malformed or does not
    fit its frame, a wrong number of frames, a name that occurs twice, NaN or infinity.
    """
    described = header.get("arrays", [])
    if not isinstance(described, list):
        raise _bad_array("A message's list of arrays is not a list.")
    if len(described) > limits.arrays:
        raise _too_large(f"A message may carry {limits.arrays} arrays, not {len(described)}.")
    if len(described) != len(frames):
        raise _bad_array(
            f"A message describes {len(described)} arrays and carries {len(frames)} frames."
        )
    arrays: Arrays = {}
    total = 0
    for description, frame in zip(described, frames, strict=True):
        name, dtype, shape = _description(description, limits)
        if name in arrays:
            raise _bad_array(f"The array '{name}' occurs twice in a message.")
        total += len(frame)
        _check_size(name, len(frame), total, limits)
        expected = math.prod(shape) * dtype.itemsize
        if expected != len(frame):
            raise _bad_array(
                f"The array '{name}' should have {expected:,} bytes and has {len(frame):,}."
            )
        try:
            # `frombuffer` refuses an empty buffer.
            array = np.frombuffer(frame, dtype) if expected else np.zeros(0, dtype)
            array = array.reshape(shape)
        except ValueError as error:
            raise _bad_array(f"The array '{name}' has an impossible shape.") from error
        array.flags.writeable = False
        _check_finite(name, array)
        arrays[name] = array
    return arrays


def _description(
    description: object, limits: FrameLimits
) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    if not isinstance(description, dict):
        raise _bad_array("An array's description is not a JSON object.")
    name, dtype, shape = (description.get(key) for key in ("name", "dtype", "shape"))
    if not isinstance(name, str):
        raise _bad_array("An array's description has no name.")
    _check_name(name)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _bad_array(
            f"The array '{name}' has the type {str(dtype)[:40]!r}; "
            f"only {', '.join(DTYPES)} can be sent."
        )
    return name, DTYPES[dtype], _check_shape(name, shape, limits)


def _check_name(name: str) -> None:
    if not ARRAY_NAME.fullmatch(name):
        raise _bad_array(f"An array cannot be named {name[:80]!r}.")


def _check_shape(name: str, shape: object, limits: FrameLimits) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > limits.dimensions:
        raise _bad_array(f"The array '{name}' needs a list of at most {limits.dimensions} lengths.")
    for length in shape:
        # `type` rather than isinstance: in Python True is an int, in JSON it is not a number.
        if type(length) is not int or not 0 <= length < 2**31:
            raise _bad_array(f"The array '{name}' has an impossible length {str(length)[:40]}.")
    # An array without values may still claim any other lengths, and code that uses it may allocate
    # for them.
    if 0 in shape and math.prod(max(length, 1) for length in shape) > limits.array_bytes:
        raise _bad_array(f"The array '{name}' claims more values than any array may have.")
    return tuple(shape)


def _check_size(name: str, size: int, total: int, limits: FrameLimits) -> None:
    if size > limits.array_bytes:
        raise _too_large(
            f"The array '{name}' has {size:,} bytes; {limits.array_bytes:,} are allowed."
        )
    if total > limits.message_bytes:
        raise _too_large(f"A message's arrays may have {limits.message_bytes:,} bytes together.")


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _bad_array(f"The array '{name}' holds values that are not finite numbers.")


def _dtype_name(name: str, array: NDArray[Any]) -> str:
    for known, dtype in DTYPES.items():
        if array.dtype == dtype:
            return known
    raise _bad_array(
        f"The array '{name}' has the type {array.dtype}; only {', '.join(DTYPES)} can be sent."
    )


def _bad_array(sentence: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_ARRAY, sentence, "Install the add-on and the backend from the same release."
    )


def _bad_request(sentence: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_REQUEST,
        sentence,
        "Install the add-on and the backend from the same release.",
    )


def _too_large(sentence: str) -> VividKeysError:
    return VividKeysError(ErrorKind.TOO_LARGE, sentence, "Send less at once.")
