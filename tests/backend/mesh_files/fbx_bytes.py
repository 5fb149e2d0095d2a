# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary FBX files made by hand."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

Tree = tuple[str, list[Any], list[Any]]  # name, values, children


def node(name: str, *values: Any, children: list[Tree] | None = None) -> Tree:
    return (name, list(values), children or [])


def _value(value: Any, packed: bool) -> bytes:
    if isinstance(value, np.ndarray):
        kind = {"d": b"d", "i": b"i", "f": b"f"}[value.dtype.char]
        data = value.tobytes()
        if packed:
            data = zlib.compress(data)
        return kind + struct.pack("<III", value.size, int(packed), len(data)) + data
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        return b"S" + struct.pack("<I", len(data)) + data
    if isinstance(value, float):
        return b"D" + struct.pack("<d", value)
    return b"L" + struct.pack("<q", value)


def _bytes(tree: Tree, start: int, head: str, packed: bool) -> bytes:
    name, values, children = tree
    body = b"".join(_value(value, packed) for value in values)
    width = struct.calcsize(head) + 1 + len(name)
    inside = b""
    for child in children:
        inside += _bytes(child, start + width + len(body) + len(inside), head, packed)
    if children:
        inside += b"\0" * (struct.calcsize(head) + 1)
    end = start + width + len(body) + len(inside)
    return (
        struct.pack(head, end, len(values), len(body))
        + bytes([len(name)]) + name.encode() + body + inside
    )  # fmt: skip


def fbx(trees: list[Tree], version: int = 7500, packed: bool = True) -> bytes:
    head = "<QQQ" if version >= 7500 else "<III"
    data = b"Kaydara FBX Binary  \x00\x1a\x00" + struct.pack("<I", version)
    for tree in trees:
        data += _bytes(tree, len(data), head, packed)
    return data + b"\0" * (struct.calcsize(head) + 1)


def properties(**values: Any) -> Tree:
    rows = []
    for name, value in values.items():
        items = value if isinstance(value, tuple) else (value,)
        rows.append(node("P", name.replace("_", " "), "", "", "A", *items))
    return node("Properties70", children=rows)


def square(version: int = 7500, packed: bool = True, **model: Any) -> bytes:
    """A square of one metre (in centimetres, +Y up) with the shape 'jawOpen'."""
    vertices = np.array([0, 0, 0, 100, 0, 0, 100, 100, 0, 0, 100, 0], np.float64)
    uv = node(
        "LayerElementUV", 0,
        children=[
            node("MappingInformationType", "ByPolygonVertex"),
            node("ReferenceInformationType", "IndexToDirect"),
            node("UV", np.array([0, 0, 1, 0, 1, 1, 0, 1], np.float64)),
            node("UVIndex", np.array([0, 1, 2, 3], np.int32)),
        ],
    )  # fmt: skip
    objects = [
        node("Geometry", 1, b"Square\x00\x01Geometry", "Mesh", children=[
            node("Vertices", vertices),
            node("PolygonVertexIndex", np.array([0, 1, 2, -4], np.int32)),
            uv,
        ]),
        node("Model", 2, b"Head\x00\x01Model", "Mesh", children=[properties(**model)]),
        node("Deformer", 3, b"Shapes\x00\x01Deformer", "BlendShape"),
        node("Deformer", 4, b"jawOpen\x00\x01SubDeformer", "BlendShapeChannel"),
        node("Geometry", 5, b"jawOpen\x00\x01Geometry", "Shape", children=[
            node("Indexes", np.array([2, 3], np.int32)),
            node("Vertices", np.array([0, -25, 0, 0, -25, 0], np.float64)),
        ]),
        node("Material", 6, b"Skin\x00\x01Material", "", children=[
            properties(DiffuseColor=(0.5, 0.25, 1.0)),
        ]),
    ]  # fmt: skip
    links = [(1, 2), (3, 1), (4, 3), (5, 4), (6, 2), (2, 0)]
    return fbx(
        [
            node("GlobalSettings", children=[properties(UnitScaleFactor=1.0)]),
            node("Objects", children=objects),
            node("Connections", children=[node("C", "OO", a, b) for a, b in links]),
        ],
        version,
        packed,
    )
