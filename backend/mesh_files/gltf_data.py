# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of glTF: JSON, buffers, and accessors as checked arrays."""

from __future__ import annotations

import base64
import binascii
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float64, Int64, Num

from shared.strict_json import parse_json

from .checks import damaged, read_bytes, too_large
from .pictures import beside

_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32,
          5126: np.float32}  # fmt: skip
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# An array may declare a length without having any data, so its length is limited first.
_MOST_NUMBERS = 24_000_000
_MOST_IN_ALL = 120_000_000
# Compressions of meshes that cannot be read, by extension.
_COMPRESSED = {"KHR_draco_mesh_compression": "Draco", "EXT_meshopt_compression": "meshopt"}


class GltfData:
    """A glTF document whose parts are looked up with their bounds checked."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._folder = path.parent
        data = read_bytes(path)
        self._own_buffer = b""
        if data[:4] == b"glTF":
            text, self._own_buffer = self._chunks(data)
        else:
            text = data
        try:
            document = parse_json(text.decode("utf-8-sig"), deepest=None, duplicates=True)
        except ValueError as error:
            raise damaged(self.name, "it is not a glTF file, or it is damaged") from error
        if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
            raise damaged(self.name, "it is not a glTF file")
        version = str(document["asset"].get("version", "2.0"))
        if not version.startswith("2"):
            raise damaged(self.name, f"it is glTF {version[:10]}, not glTF 2.0")
        required = document.get("extensionsRequired")
        for name in required if isinstance(required, list) else []:
            if _COMPRESSED.get(name):
                raise damaged(self.name, f"its mesh is compressed with {_COMPRESSED[name]}; "
                              "export it without compression")  # fmt: skip
        self.document: dict[str, Any] = document
        self._buffers: dict[int, bytes] = {}
        self._numbers = 0

    def _chunks(self, data: bytes) -> tuple[bytes, bytes]:
        if len(data) < 20 or struct.unpack_from("<I", data, 4)[0] != 2:
            raise damaged(self.name, "it is not glTF 2.0")
        position, text, binary = 12, b"", b""
        while position + 8 <= len(data):
            length, kind = struct.unpack_from("<I4s", data, position)
            chunk = data[position + 8 : position + 8 + length]
            if len(chunk) != length:
                raise damaged(self.name, "it is truncated")
            if kind == b"JSON" and not text:
                text = chunk
            elif kind == b"BIN\0" and not binary:
                binary = chunk
            position += 8 + length
        return text, binary

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The list of all entries of a kind, e.g. 'nodes'; empty if there is none."""
        found = self.document.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise damaged(self.name, f"its '{kind}' is not a list of objects")
        return found

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """One entry of that list. Raises VividKeysError(bad_file) if there is none."""
        found = self.items(kind)
        if type(index) is not int or not 0 <= index < len(found):
            raise damaged(self.name, f"it refers to an entry of '{kind}' that does not exist")
        return found[index]

    def view(self, index: Any) -> tuple[memoryview, int]:
        """The bytes of a buffer view and its stride (0 for packed)."""
        view = self.item("bufferViews", index)
        if "EXT_meshopt_compression" in view.get("extensions", {}):
            raise damaged(self.name, "it is compressed with meshopt; export it without compression")
        data = self._buffer(view.get("buffer"))
        start, length = int(view.get("byteOffset", 0)), int(view.get("byteLength", 0))
        if start < 0 or length < 0 or start + length > len(data):
            raise damaged(self.name, "a part of its data lies outside its buffer")
        # Not copied: a thousand arrays may lie in one view.
        return memoryview(data)[start : start + length], int(view.get("byteStride", 0))

    def _buffer(self, index: Any) -> bytes:
        if index not in self._buffers:
            entry = self.item("buffers", index)
            uri = entry.get("uri")
            self._buffers[index] = self._own_buffer if uri is None else self.resource(str(uri))
        return self._buffers[index]

    def resource(self, uri: str) -> bytes:
        """The bytes of a data URI or of a file next to this one."""
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            if not head.endswith(";base64"):
                raise damaged(self.name, "its embedded data has an unknown encoding")
            try:
                return base64.b64decode(body, validate=True)
            except binascii.Error as error:
                raise damaged(self.name, "its embedded data is damaged") from error
        file = beside(self._folder, unquote(uri))
        if file is None:
            name = uri.rsplit("/", 1)[-1][:80]
            raise damaged(self.name, f"the file '{name}' that it needs was not found next to it")
        return read_bytes(file)

    def numbers(self, index: Any, width: int) -> Float64[np.ndarray, "N {width}"]:
        """An accessor as numbers; normalized integers become -1..1 or 0..1."""
        accessor, raw = self._raw(index)
        if raw.shape[1] != width:
            raise damaged(self.name, "an array has the wrong number of components")
        values = raw.astype(np.float64)
        if accessor.get("normalized") and raw.dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(raw.dtype).max, -1.0)
        return values

    def indices(self, index: Any) -> Int64[np.ndarray, " N"]:
        """An accessor of integers."""
        _, raw = self._raw(index)
        if raw.dtype.kind not in "iu" or raw.shape[1] != 1:
            raise damaged(self.name, "the corners of its faces are not integers")
        return raw[:, 0].astype(np.int64)

    def _raw(self, index: Any) -> tuple[dict[str, Any], Num[np.ndarray, "N K"]]:
        accessor = self.item("accessors", index)
        count = int(accessor.get("count", -1))
        kind = _TYPES.get(int(accessor.get("componentType", 0)))
        width = _WIDTHS.get(str(accessor.get("type")))
        if kind is None or width is None or count < 0:
            raise damaged(self.name, "an array has an unknown type")
        self._numbers += count * width
        if count * width > _MOST_NUMBERS or self._numbers > _MOST_IN_ALL:
            raise too_large(self.name, f"{self._numbers:,} numbers")
        start = int(accessor.get("byteOffset", 0))
        if "bufferView" in accessor:
            values = self._read(accessor["bufferView"], start, count, width, np.dtype(kind))
        else:
            values = np.zeros((count, width), kind)
        sparse = accessor.get("sparse")
        if isinstance(sparse, dict):
            values = values.copy()
            changed = int(sparse.get("count", 0))
            where, what = sparse["indices"], sparse["values"]
            index_kind = _TYPES.get(int(where.get("componentType", 0)))
            if index_kind not in (np.uint8, np.uint16, np.uint32) or not 0 <= changed <= count:
                raise damaged(self.name, "a sparse array is damaged")
            rows = self._read(where["bufferView"], int(where.get("byteOffset", 0)), changed, 1,
                              np.dtype(index_kind))[:, 0].astype(np.int64)  # fmt: skip
            if changed and rows.max() >= count:
                raise damaged(self.name, "a sparse array is damaged")
            values[rows] = self._read(what["bufferView"], int(what.get("byteOffset", 0)), changed,
                                      width, np.dtype(kind))  # fmt: skip
        return accessor, values

    def _read(
        self, view: Any, start: int, count: int, width: int, kind: np.dtype[Any]
    ) -> Num[np.ndarray, "{count} {width}"]:
        """`count` rows of a buffer view, never reading beyond its end."""
        data, stride = self.view(view)
        row = width * kind.itemsize
        stride = stride or row
        end = start + (count - 1) * stride + row if count else start
        if start < 0 or stride < row or stride > 65_536 or end > len(data):
            raise damaged(self.name, "an array is longer than its data")
        if not count:
            return np.zeros((0, width), kind)
        little = kind.newbyteorder("<")
        return np.ndarray((count, width), little, data, start, (stride, kind.itemsize)).astype(kind)
