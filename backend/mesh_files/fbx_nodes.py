# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of binary FBX: nodes with properties, and arrays packed with zlib.

Autodesk does not publish the format; this follows public knowledge of versions 7.1 to 7.7.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from .checks import damaged, read_bytes, too_large

MAGIC = b"Kaydara FBX Binary  \x00"
_MOST_DEPTH = 64
_MOST_NODES = 2_000_000
_MOST_UNPACKED = 1 << 30
_ARRAYS = {b"f": "<f4", b"d": "<f8", b"i": "<i4", b"l": "<i8", b"b": "u1", b"c": "u1"}
_SINGLES = {b"Y": "<h", b"C": "<B", b"I": "<i", b"F": "<f", b"D": "<d", b"L": "<q", b"B": "<B"}


@dataclass
class Node:
    """A named node; its values are numbers, bytes (also for text) and arrays."""

    name: str
    values: list[Any]
    children: list[Node] = field(default_factory=list)

    def child(self, name: str) -> Node | None:
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> list[Node]:
        return [child for child in self.children if child.name == name]

    def first(self, name: str, default: Any = None) -> Any:
        """The first value of a child; `default` if there is none."""
        found = self.child(name)
        return found.values[0] if found is not None and found.values else default

    def array(self, name: str, kind: str) -> Num[np.ndarray, " N"]:
        """A child's array as floats ('f') or integers ('i'); empty if there is none."""
        found = self.first(name)
        numbers = np.asarray(found if isinstance(found, np.ndarray) else [], np.float64)
        return numbers if kind == "f" else numbers.astype(np.int64)

    def text(self, position: int) -> str:
        """A value as text; '' if it is not text. The class name that FBX appends is cut off."""
        value = self.values[position] if position < len(self.values) else b""
        if not isinstance(value, bytes):
            return ""
        return value.split(b"\x00\x01")[0].decode("utf-8", "replace")


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name
        version = struct.unpack_from("<I", data, 23)[0]
        if not 7000 <= version < 8000:
            raise damaged(name, f"it is FBX version {version}; only 7.x can be read")
        self.head = "<QQQ" if version >= 7500 else "<III"
        self.nodes = 0
        self.unpacked = 0

    def read(self, start: int, end: int, depth: int) -> list[Node]:
        """The nodes between two positions in the file."""
        found = []
        width = struct.calcsize(self.head)
        while start + width < end:
            stop, count, length = struct.unpack_from(self.head, self.data, start)
            if stop == 0:
                break
            label_at = start + width
            body = label_at + 1 + self.data[label_at]
            self.nodes += 1
            if not body <= body + length <= stop <= end or depth > _MOST_DEPTH:
                raise damaged(self.name, "its records are not nested correctly")
            if self.nodes > _MOST_NODES:
                raise too_large(self.name, f"more than {_MOST_NODES:,} records")
            label = self.data[label_at + 1 : body].decode("utf-8", "replace")
            values = self._values(body, body + length, count)
            found.append(Node(label, values, self.read(body + length, stop, depth + 1)))
            start = stop
        return found

    def _values(self, start: int, end: int, count: int) -> list[Any]:
        values: list[Any] = []
        for _ in range(count):
            if start >= end:
                raise damaged(self.name, "a record has fewer values than it declares")
            kind = self.data[start : start + 1]
            start += 1
            if kind in _SINGLES:
                size = struct.calcsize(_SINGLES[kind])
                self._inside(start + size, end)
                values.append(struct.unpack_from(_SINGLES[kind], self.data, start)[0])
                start += size
            elif kind in (b"S", b"R"):
                self._inside(start + 4, end)
                size = struct.unpack_from("<I", self.data, start)[0]
                self._inside(start + 4 + size, end)
                values.append(self.data[start + 4 : start + 4 + size])
                start += 4 + size
            elif kind in _ARRAYS:
                self._inside(start + 12, end)
                length, packing, size = struct.unpack_from("<III", self.data, start)
                self._inside(start + 12 + size, end)
                values.append(
                    self._array(self.data[start + 12 : start + 12 + size], kind, length, packing)
                )
                start += 12 + size
            else:
                raise damaged(self.name, "it contains a value of an unknown type")
        return values

    def _inside(self, place: int, end: int) -> None:
        if place > end:
            raise damaged(self.name, "a value extends beyond its record")

    def _array(self, data: bytes, kind: bytes, length: int, packing: int) -> Num[np.ndarray, " N"]:
        wanted = length * np.dtype(_ARRAYS[kind]).itemsize
        self.unpacked += wanted
        if self.unpacked > _MOST_UNPACKED:
            raise too_large(self.name, "more than a gigabyte when unpacked")
        if packing:
            try:
                data = zlib.decompressobj().decompress(data, wanted + 1)
            except zlib.error as error:
                raise damaged(self.name, "a packed array is damaged") from error
        if len(data) != wanted:
            raise damaged(self.name, "an array does not have the length it declares")
        return np.frombuffer(data, _ARRAYS[kind])


def read_nodes(path: Path) -> Node:
    """The file as one node with everything below it. Raises VividKeysError(bad_file)."""
    data = read_bytes(path)
    if not data.startswith(MAGIC):
        if b"FBXHeaderExtension" in data[:4096] or data.lstrip()[:5] == b"; FBX":
            raise damaged(path.name, "it is a text FBX; export it as binary FBX")
        raise damaged(path.name, "it is not an FBX file")
    if len(data) < 27:
        raise damaged(path.name, "it is truncated")
    return Node("", [], _Reader(data, path.name).read(27, len(data), 0))
