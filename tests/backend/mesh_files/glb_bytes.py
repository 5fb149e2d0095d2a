# SPDX-License-Identifier: GPL-3.0-or-later
"""glTF files made by hand: JSON, buffer, accessors."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_KINDS = {"f": 5126, "H": 5123, "I": 5125, "B": 5121, "h": 5122}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Glb:
    """Collects accessors; `document` may be changed before the bytes are taken."""

    def __init__(self) -> None:
        self.buffer = b""
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "bufferViews": [],
            "accessors": [],
            "meshes": [],
            "nodes": [],
            "scenes": [{"nodes": []}],
            "scene": 0,
        }

    def view(self, data: bytes) -> int:
        self.buffer += b"\0" * (-len(self.buffer) % 4)
        self.document["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.buffer), "byteLength": len(data)}
        )
        self.buffer += data
        return len(self.document["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, **more: Any) -> int:
        values = np.atleast_2d(values.T).T
        entry = {
            "bufferView": self.view(np.ascontiguousarray(values).tobytes()),
            "componentType": _KINDS[values.dtype.char],
            "count": len(values),
            "type": _TYPES[values.shape[1]],
            **more,
        }
        self.document["accessors"].append(entry)
        return len(self.document["accessors"]) - 1

    def node(self, **entry: Any) -> int:
        self.document["nodes"].append(entry)
        self.document["scenes"][0]["nodes"].append(len(self.document["nodes"]) - 1)
        return len(self.document["nodes"]) - 1

    def gltf(self, uri: str) -> bytes:
        self.document["buffers"] = [{"byteLength": len(self.buffer), "uri": uri}]
        return json.dumps(self.document).encode()

    def glb(self) -> bytes:
        self.document["buffers"] = [{"byteLength": len(self.buffer)}]
        text = json.dumps(self.document).encode()
        text += b" " * (-len(text) % 4)
        data = self.buffer + b"\0" * (-len(self.buffer) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(data), b"BIN\0") + data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


# A unit square as two triangles, split along the seam of its texture coordinates.
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
PLACES = np.array([[0, 1], [1, 1], [1, 0], [0.5, 1], [0.5, 0], [0, 0]], np.float32)


def square(**node: Any) -> Glb:
    """The square with one shape, 'jawOpen', which lowers the two corners at its top."""
    made = Glb()
    moved = np.zeros_like(CORNERS)
    moved[CORNERS[:, 1] > 0.5] = (0, -0.25, 0)
    primitive = {
        "attributes": {"POSITION": made.accessor(CORNERS), "TEXCOORD_0": made.accessor(PLACES)},
        "indices": made.accessor(np.arange(6, dtype=np.uint16)),
        "targets": [{"POSITION": made.accessor(moved)}],
    }
    made.document["meshes"].append(
        {"name": "Square", "primitives": [primitive], "extras": {"targetNames": ["jawOpen"]}}
    )
    made.node(mesh=0, name="Head", **node)
    return made
