# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect sound files that end before they should.

The decoders play the rest of a truncated file without an error, but its user misses the end. Only
cheap signs are read: size fields in the header, a flag at the end.
"""

from __future__ import annotations

import io
import struct

from backend.media.containers import OpenFile

_HEAD = 1 << 16
_TAIL = 1 << 17
# Files written to a pipe have one of these instead of a size that was not known.
_SIZE_NOT_KNOWN = (0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0xFFFFFFFF, 0xFFFFFFFF - 36)


def looks_broken_off(source: OpenFile) -> bool:
    """Whether the container says that more should follow; moves `source`.

    Knows RIFF/WAVE (size of the data chunk), Ogg (last page not marked as the end) and MP3
    (byte count of the Xing or Info frame). False for everything else.
    """
    size = source.seek(0, io.SEEK_END)
    source.seek(0)
    head = source.read(_HEAD)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wave_is_short(source, size)
    if head[:4] == b"OggS":
        source.seek(max(0, size - _TAIL))
        return _ogg_has_no_end(source.read())
    return _mp3_is_short(head, size)


def lacks_its_index(source: OpenFile) -> bool:
    """Whether an MP4, M4A or MOV lacks its 'moov' box, which recorders write at the end."""
    size = source.seek(0, io.SEEK_END)
    position = 0
    for count in range(1000):
        source.seek(position)
        head = source.read(16)
        if len(head) < 8:
            return count > 0
        length, name = struct.unpack(">I4s", head[:8])
        if (count == 0 and name != b"ftyp") or name == b"moov":
            return False
        if length == 1 and len(head) == 16:  # a box beyond 4 GB has its size in the next field
            length = int(struct.unpack(">Q", head[8:])[0])
        if length == 0:  # the last box: reaches to the end
            return True
        if length < 8:
            return False
        position += length
        if position >= size:
            return True
    return False


def _wave_is_short(source: OpenFile, size: int) -> bool:
    position = 12
    for _ in range(200):  # chunks before 'data'; a file with more is not one to trust
        source.seek(position)
        head = source.read(8)
        if len(head) < 8:
            return False
        name, length = struct.unpack("<4sI", head)
        position += 8
        if name == b"data":
            return length not in _SIZE_NOT_KNOWN and position + length > size
        position += length + (length & 1)
    return False


def _ogg_has_no_end(tail: bytes) -> bool:
    last_page = tail.rfind(b"OggS")
    return 0 <= last_page < len(tail) - 6 and not tail[last_page + 5] & 4


def _mp3_is_short(head: bytes, size: int) -> bool:
    start = 0
    if head[:3] == b"ID3" and len(head) > 10:
        # An ID3v2 size holds seven bits in each byte.
        for byte in head[6:10]:
            start = start << 7 | byte & 0x7F
        start += 10
    elif not (len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return False
    for name in (b"Xing", b"Info"):
        tag = head.find(name, start, start + 200)
        if tag < 0 or len(head) < tag + 16:
            continue
        flags = struct.unpack(">I", head[tag + 4 : tag + 8])[0]
        if flags & 2:  # the byte count is there; it follows the frame count if that is there
            place = tag + 8 + (4 if flags & 1 else 0)
            declared = int(struct.unpack(">I", head[place : place + 4])[0])
            return declared > 0 and start + declared > size + 1024
    return False
