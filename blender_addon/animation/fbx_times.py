# SPDX-License-Identifier: GPL-3.0-or-later
"""Shift the animation in a binary FBX file so that it starts at time 0. No bpy.

Blender's exporter writes frame n as n / fps and cannot shift an animation of the whole scene, so
the finished file is rewritten with other times. Autodesk does not publish the format; this follows
what is commonly known of versions 7.1 to 7.7 and changes only the keys' times, the span of the
animation stack, and that of the take.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Int64

_MAGIC = b"Kaydara FBX Binary  \x00"
_VERSION_AT = 23
_BODY_AT = 27
# After the last node: an id and four zeros, zeros up to a multiple of 16, and this much.
_FOOT_HEAD = 20
_FOOT_TAIL = 140
_SPANS = (b"LocalStart", b"LocalStop", b"ReferenceStart", b"ReferenceStop")
_TAKE_SPANS = (b"LocalTime", b"ReferenceTime")

Edit = Callable[[tuple[bytes, ...], bytes], bytes]


def start_animation_at_zero(path: Path) -> None:
    """Shift all keys, and the spans that contain them, so that the first key is at 0 s.

    A file without keys stays as it is. Raises ValueError for a file that is not a binary FBX.
    """
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        raise ValueError(f"{path.name} is not a binary FBX file")
    firsts: list[int] = []

    def look(names: tuple[bytes, ...], values: bytes) -> bytes:
        if names[-1] == b"KeyTime":
            firsts.append(int(_times(values).min(initial=np.iinfo(np.int64).max)))
        return values

    _rewritten(data, look)
    if not firsts or min(firsts) == 0:
        return
    path.write_bytes(_rewritten(data, _shift_by(min(firsts))))


def _shift_by(offset: int) -> Edit:
    # Most curves have the same times, so each array is repacked only once.
    known: dict[bytes, bytes] = {}

    def shift(names: tuple[bytes, ...], values: bytes) -> bytes:
        if names[-1] == b"KeyTime":
            if values not in known:
                known[values] = _packed(_times(values) - offset)
            return known[values]
        if names[-1] == b"P" and b"AnimationStack" in names and _text(values) in _SPANS:
            return values[:-8] + _moved(values[-8:], offset)
        if names[0] == b"Takes" and names[-1] in _TAKE_SPANS:
            # Two numbers, each after the letter of its type.
            return b"".join(
                values[at : at + 1] + _moved(values[at + 1 : at + 9], offset) for at in (0, 9)
            )
        return values

    return shift


def _moved(number: bytes, offset: int) -> bytes:
    # The exporter rounds spans and keys separately, so a span may begin just before its keys.
    return struct.pack("<q", max(struct.unpack("<q", number)[0] - offset, 0))


def _text(values: bytes) -> bytes:
    """The first value of a node, which is a text."""
    (length,) = struct.unpack_from("<I", values, 1)
    return values[5 : 5 + length]


def _times(values: bytes) -> Int64[np.ndarray, " N"]:
    """The numbers of a node whose only value is an array."""
    count, packing, size = struct.unpack_from("<III", values, 1)
    raw = values[13 : 13 + size]
    return np.frombuffer(zlib.decompress(raw) if packing else raw, "<i8", count)


def _packed(times: Int64[np.ndarray, " N"]) -> bytes:
    raw = zlib.compress(times.astype("<i8").tobytes(), 1)
    return b"l" + struct.pack("<III", len(times), 1, len(raw)) + raw


def _rewritten(data: bytes, edit: Edit) -> bytes:
    """The file with the values of every node passed through `edit`."""
    (version,) = struct.unpack_from("<I", data, _VERSION_AT)
    header = struct.Struct("<QQQ" if version >= 7500 else "<III")
    made = bytearray(data[:_BODY_AT])
    end = _copy_nodes(data, _BODY_AT, len(data), (), header, made, edit)
    made += data[end : end + _FOOT_HEAD]
    made += bytes(16 - len(made) % 16)
    made += data[-_FOOT_TAIL:]
    return bytes(made)


def _copy_nodes(
    data: bytes,
    start: int,
    end: int,
    names: tuple[bytes, ...],
    header: struct.Struct,
    made: bytearray,
    edit: Edit,
) -> int:
    """Append the nodes from `start` on, up to and with the empty one; returns the end offset."""
    while start < end:
        stop, count, length = header.unpack_from(data, start)
        if stop == 0:
            made += bytes(header.size + 1)
            return start + header.size + 1
        label_at = start + header.size
        body = label_at + 1 + data[label_at]
        path = (*names, data[label_at + 1 : body])
        values = edit(path, data[body : body + length])
        at = len(made)
        made += bytes(header.size) + data[label_at:body] + values
        _copy_nodes(data, body + length, stop, path, header, made, edit)
        header.pack_into(made, at, len(made), count, len(values))
        start = stop
    return start
