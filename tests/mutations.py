# SPDX-License-Identifier: GPL-3.0-or-later
"""Valid files spoilt in the ways in which files are: the same ways in every run."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterator

_NUMBERS = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80",
            b"\x01\x00\x00\x00", b"\xff" * 8, b"\x00" * 8)  # fmt: skip
_WORDS = (b"1e400", b"-1", b"NaN", b"null",
          b"[" * 3000, b"9" * 400, b'"', b"{", b"\\ud800", b"True",
          b"(", b"\x00", b"\r", b"\n", b",", b"O", b"U")  # fmt: skip


def spoilt(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """`count` versions of a file: bits turned, cut off, parts doubled, lost or written over."""
    chance = random.Random(seed)
    for _ in range(count):
        made = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 5))):
            place = chance.randrange(len(made) + 1)
            # The heads of files decide the most.
            place = min(place, chance.choice((64, 512, len(made))))
            match chance.randrange(7):
                case 0:
                    made[place : place + 1] = bytes([chance.randrange(256)])
                case 1:
                    del made[chance.randrange(len(made) + 1) :]
                case 2:
                    del made[place : place + chance.randrange(1, 40)]
                case 3:
                    made[place:place] = made[place : place + chance.randrange(1, 40)]
                case 4:
                    word = chance.choice(_NUMBERS)
                    made[place : place + len(word)] = word
                case 5:
                    made[place:place] = chance.choice(_WORDS)
                case 6:
                    bit = 1 << chance.randrange(8)
                    if place < len(made):
                        made[place] ^= bit
            made = made or bytearray(b"\0")
        yield bytes(made)


def spoilt_archives(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """`count` versions of an .npz: half of them damaged as files, half inside sound archives,
    where no checksum stands in the way of the damage."""
    yield from spoilt(data, count // 2, seed)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chance = random.Random(seed)
    for number in range(count - count // 2):
        name = chance.choice(sorted(members))
        changed = {**members, name: next(spoilt(members[name], 1, seed + number))}
        if chance.random() < 0.1:
            del changed[name]
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for member, content in changed.items():
                archive.writestr(member, content)
        yield out.getvalue()
