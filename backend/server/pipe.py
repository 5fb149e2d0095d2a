# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between the server and its worker: the protocol's frames over a pair of pipes.

    number of frames (4 bytes), length of each (8 bytes), then the frames; little-endian

The worker is our own code, yet nothing is unpickled: as everywhere, a header is JSON and an array
is bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import IO, Any

from shared.arrays import Arrays
from shared.framing import Frame, decode_arrays, decode_header, encode_frames
from shared.limits import TO_CLIENT

_COUNT = struct.Struct("<I")
_MOST_FRAMES = TO_CLIENT.arrays + 1


class PipeEndedError(Exception):
    """The other process closed its end, or died."""


def write_message(
    stream: IO[bytes], header: Mapping[str, Any], arrays: Arrays | None = None
) -> None:
    """Send a header and its arrays. Raises PipeEndedError when the other end is closed."""
    frames = encode_frames(header, arrays or {}, TO_CLIENT)
    lengths = struct.pack(f"<{len(frames)}Q", *(len(frame) for frame in frames))
    try:
        stream.write(_COUNT.pack(len(frames)) + lengths)
        for frame in frames:
            stream.write(frame)
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: closed on this side
        raise PipeEndedError from error


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """The next header and its arrays. Raises PipeEndedError at the end and for malformed data."""
    (count,) = _COUNT.unpack(_read(stream, _COUNT.size))
    if not 1 <= count <= _MOST_FRAMES:
        raise PipeEndedError
    lengths = struct.unpack(f"<{count}Q", _read(stream, 8 * count))
    if sum(lengths) > TO_CLIENT.message_bytes + TO_CLIENT.header_bytes:
        raise PipeEndedError
    frames: list[Frame] = [_read(stream, length) for length in lengths]
    header = decode_header(frames[0], TO_CLIENT)
    return header, decode_arrays(header, frames[1:], TO_CLIENT)


def _read(stream: IO[bytes], count: int) -> bytearray:
    """Exactly `count` bytes, into memory that is allocated once."""
    data = bytearray(count)
    view = memoryview(data)
    filled = 0
    while filled < count:
        try:
            got = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        except (OSError, ValueError) as error:
            raise PipeEndedError from error
        if not got:
            raise PipeEndedError
        filled += got
    return data
