# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads untrusted .npz files: no pickle, and no more memory than the file's bytes justify.

numpy's own reader trusts the header of an array and allocates as many values as it claims. Here a
header has to match the bytes that are really there, and only the compressions and data types that
numpy writes for numbers and names are read.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays
from .errors import ErrorKind, VividKeysError

MOST_UNPACKED_BYTES = 1 << 30
"""Of all arrays of one file together."""
_MOST_MEMBERS = 4096
_MOST_DIMENSIONS = 16
# Deflate compresses at most about 1000:1, so a member that claims more is damaged or hostile.
_MOST_PACKED = 1100
_HEADER_ROOM = 1 << 16
_KINDS = "biufU"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def load_npz(path: Path, what: str, only: Collection[str] | None = None) -> Arrays:
    """Read the arrays of an .npz, or only those named in `only`, without pickle.

    `what` names the kind of file in error sentences. Raises VividKeysError: bad_file when it is
    not such a file or is damaged, too_large when it unpacks to more than `MOST_UNPACKED_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _arrays_of(archive, path.name, only)
    except VividKeysError:
        raise
    except FileNotFoundError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"There is no file '{path}'.", "Check the path."
        ) from error
    except MemoryError as error:
        raise _too_large(path.name) from error
    except Exception as error:
        # zipfile, zlib and numpy's header parser each raise exceptions of many kinds.
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is not {what}, or it is damaged.",
            "Make it again, or choose another file.",
        ) from error


def npz_names(path: Path) -> set[str]:
    """The names of the arrays in an .npz; none where the file is not an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {member.filename.removesuffix(".npy") for member in archive.infolist()}
    except Exception:  # as above; a file that is not an archive holds no arrays
        return set()


def _arrays_of(archive: zipfile.ZipFile, label: str, only: Collection[str] | None) -> Arrays:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise _too_large(label)
    arrays: Arrays = {}
    total = 0
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise ValueError("an array occurs twice")
        if only is not None and name not in only:
            continue
        if total + member.file_size > MOST_UNPACKED_BYTES:
            raise _too_large(label)
        arrays[name] = _array_of(_unpacked(archive, member))
        # Narrow types become floats when they are used.
        total += arrays[name].size * max(arrays[name].itemsize, 4)
        if total > MOST_UNPACKED_BYTES:
            raise _too_large(label)
    return arrays


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, exactly as many as it claims to have."""
    if member.compress_type not in _COMPRESSIONS or member.flag_bits & _ENCRYPTED:
        raise ValueError("an array is compressed in an unsupported way")
    if member.file_size > _MOST_PACKED * member.compress_size + _HEADER_ROOM:
        raise ValueError("an array claims more than it can hold")
    with archive.open(member) as stream:
        data = stream.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise ValueError("an array is not as long as it says")
    return data


def _array_of(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    elif version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    else:
        raise ValueError("an array is of an unknown version")
    shape, in_columns, dtype = read(stream)
    start = stream.tell()
    if dtype.kind not in _KINDS or dtype.hasobject or dtype.subdtype or dtype.fields:
        raise ValueError("an array holds something other than numbers or names")
    if len(shape) > _MOST_DIMENSIONS or any(
        type(length) is not int or length < 0 for length in shape
    ):
        raise ValueError("an array has an impossible shape")
    # An array without values may claim any other length, and code that uses it may allocate for it.
    if math.prod(max(length, 1) for length in shape) > MOST_UNPACKED_BYTES:
        raise ValueError("an array has an impossible shape")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError("an array is not as long as it says")
    values = np.ndarray(shape, dtype, data, start, order="F" if in_columns else "C").copy()
    if dtype.kind == "U":
        _check_letters(values)
    return values


def _check_letters(names: NDArray[Any]) -> None:
    """Python refuses invalid code points, and half a surrogate pair cannot be written as UTF-8."""
    if not names.size or not names.dtype.itemsize:
        return
    plain = names.astype(names.dtype.newbyteorder("=")).reshape(-1)
    letters = plain.view(np.uint32)
    if letters.max() > 0x10FFFF or ((letters >= 0xD800) & (letters < 0xE000)).any():
        raise ValueError("a name holds an invalid character")


def unusable_file(path: Path, error: VividKeysError) -> VividKeysError:
    """An error about the arrays of a file, as an error about the file."""
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"'{path.name}' cannot be used: {error.sentence}",
        error.next_step or "Make it again, or choose another file.",
    )


def _too_large(label: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.TOO_LARGE,
        f"'{label}' unpacks to more than {MOST_UNPACKED_BYTES >> 20:,} MiB.",
        "Make a smaller one, or choose another file.",
    )
