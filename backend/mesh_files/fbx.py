# SPDX-License-Identifier: GPL-3.0-or-later
"""FBX 7.x: meshes with blend shapes, texture coordinates, materials and transforms."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from .checks import (
    MAX_PICTURES,
    MAX_SHAPE_NUMBERS,
    MAX_SHAPES,
    MAX_TRIANGLES,
    MAX_VERTICES,
    damaged,
    too_large,
)
from .fbx_nodes import Node, read_nodes
from .mesh_file import GREY, Material, MeshFile, Piece, fan, join
from .pictures import decode, load_beside

_MOST_PIECES = 10_000
_ORDERS = ("xyz", "xzy", "yzx", "yxz", "zxy", "zyx")


@dataclass(frozen=True)
class _Scene:
    """Objects by id, and their connections: `below` is parent -> [(child, property)]."""

    objects: dict[int, Node]
    below: dict[int, list[tuple[int, str]]]
    above: dict[int, list[int]]

    def children(self, parent: int, kind: str) -> list[tuple[int, Node]]:
        return [
            (child, self.objects[child])
            for child, _ in self.below[parent]
            if child in self.objects and self.objects[child].name == kind
        ]


def read_fbx(path: Path) -> MeshFile:
    """An FBX file in our axes and metres."""
    root = read_nodes(path)
    scene = _scene(root)
    axes, metres_per_unit = _axes(root, path.name)
    warnings: list[str] = []
    materials: dict[int, int] = {}
    pieces: list[Piece] = []
    vertices = triangles = numbers = 0
    for identifier, node in scene.objects.items():
        if node.name != "Model":
            continue
        shown = [
            (key, mesh)
            for key, mesh in scene.children(identifier, "Geometry")
            if mesh.text(2) == "Mesh"
        ]
        if not shown:
            continue
        slots = [materials.setdefault(key, len(materials)) for key, _ in
                 scene.children(identifier, "Material")]  # fmt: skip
        place = _world(scene, identifier, path.name) @ _geometric(node)
        for key, mesh in shown:
            piece = _piece(scene, key, mesh, node.text(1) or "mesh", slots, path.name)
            pieces.append(_placed(piece, place, axes, metres_per_unit))
            # Any number of models may share a mesh, so its instances are counted.
            vertices += len(piece.vertices)
            numbers += len(piece.vertices) * len(piece.shapes)
            triangles += len(piece.triangles)
            if vertices > MAX_VERTICES or triangles > MAX_TRIANGLES:
                raise too_large(path.name, f"more than {MAX_VERTICES:,} vertices")
            if numbers > MAX_SHAPE_NUMBERS or len(pieces) > _MOST_PIECES:
                raise too_large(path.name, f"{len(pieces):,} meshes with their shapes")
    made = [_material(scene, key, path, warnings, number) for number, key in enumerate(materials)]
    return join(pieces, made, path.name, warnings, metres=True)


def _scene(root: Node) -> _Scene:
    objects: dict[int, Node] = {}
    holder = root.child("Objects")
    for node in holder.children if holder is not None else []:
        if node.values and isinstance(node.values[0], int):
            objects[node.values[0]] = node
    below: dict[int, list[tuple[int, str]]] = defaultdict(list)
    above: dict[int, list[int]] = defaultdict(list)
    links = root.child("Connections")
    for link in links.children if links is not None else []:
        if len(link.values) >= 3 and all(isinstance(value, int) for value in link.values[1:3]):
            child, parent = link.values[1], link.values[2]
            below[parent].append((child, link.text(3)))
            above[child].append(parent)
    return _Scene(objects, below, above)


def _properties(node: Node | None) -> dict[str, list[Any]]:
    """The values of a node's properties by name."""
    holder = node.child("Properties70") if node is not None else None
    if holder is None:
        return {}
    return {entry.text(0): entry.values[4:] for entry in holder.all("P")}


def _vector(
    properties: dict[str, list[Any]], name: str, default: float = 0.0
) -> Float64[np.ndarray, " 3"]:
    values = properties.get(name, [])
    if len(values) >= 3 and all(isinstance(value, int | float) for value in values[:3]):
        return np.array(values[:3], np.float64)
    return np.full(3, default)


def _whole(properties: dict[str, list[Any]], name: str, default: int) -> int:
    values = properties.get(name, [])
    return int(values[0]) if values and isinstance(values[0], int | float) else default


def _axes(root: Node, name: str) -> tuple[Float64[np.ndarray, "3 3"], float]:
    """The matrix from the file's axes to ours, and its unit in metres."""
    properties = _properties(root.child("GlobalSettings"))
    rows = []
    for axis, usual in (("Coord", 0), ("Front", 2), ("Up", 1)):
        index = _whole(properties, f"{axis}Axis", usual)
        sign = _whole(properties, f"{axis}AxisSign", 1)
        if not 0 <= index <= 2:
            index = usual
        rows.append(np.eye(3)[index] * (1 if sign >= 0 else -1))
    across, front, up = rows
    matrix = np.stack([across, -front, up])
    if abs(np.linalg.det(matrix)) < 0.5:
        raise damaged(name, "its axis settings are invalid")
    if np.linalg.det(matrix) < 0:
        matrix[0] *= -1  # some programs count the sign of the third axis differently
    unit = properties.get("UnitScaleFactor", [1.0])
    scale = float(unit[0]) if unit and isinstance(unit[0], int | float) else 1.0
    return matrix, (scale if 1e-6 < scale < 1e6 else 1.0) / 100.0


def _rotation(angles: Float64[np.ndarray, " 3"], order: str = "xyz") -> Float64[np.ndarray, "4 4"]:
    """The matrix of Euler angles in degrees, applied in the given order of axes."""
    matrix = np.eye(4)
    for letter in order:
        axis = "xyz".index(letter)
        cosine, sine = np.cos(np.radians(angles[axis])), np.sin(np.radians(angles[axis]))
        turn = np.eye(4)
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn[one, one] = turn[two, two] = cosine
        turn[one, two], turn[two, one] = -sine, sine
        matrix = turn @ matrix
    return matrix


def _shift(offset: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "4 4"]:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def _stretch(scale: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "4 4"]:
    return np.diag([*scale, 1.0])


def _local(node: Node) -> Float64[np.ndarray, "4 4"]:
    """A model's local matrix, including its pivots."""
    p = _properties(node)
    number = _whole(p, "RotationOrder", 0)
    order = _ORDERS[number] if 0 <= number < len(_ORDERS) else "xyz"
    pivot, stretch_pivot = _vector(p, "RotationPivot"), _vector(p, "ScalingPivot")
    turned = (
        _rotation(_vector(p, "PreRotation"))
        @ _rotation(_vector(p, "Lcl Rotation"), order)
        @ np.linalg.inv(_rotation(_vector(p, "PostRotation")))
    )
    return np.asarray(
        _shift(_vector(p, "Lcl Translation") + _vector(p, "RotationOffset") + pivot)
        @ turned
        @ _shift(-pivot + _vector(p, "ScalingOffset") + stretch_pivot)
        @ _stretch(_vector(p, "Lcl Scaling", 1.0))
        @ _shift(-stretch_pivot)
    )


def _geometric(node: Node) -> Float64[np.ndarray, "4 4"]:
    p = _properties(node)
    return np.asarray(
        _shift(_vector(p, "GeometricTranslation"))
        @ _rotation(_vector(p, "GeometricRotation"))
        @ _stretch(_vector(p, "GeometricScaling", 1.0))
    )


def _world(scene: _Scene, identifier: int, name: str) -> Float64[np.ndarray, "4 4"]:
    place = np.eye(4)
    seen: set[int] = set()
    while identifier in scene.objects:
        if identifier in seen:
            raise damaged(name, "its node hierarchy contains a cycle")
        seen.add(identifier)
        place = _local(scene.objects[identifier]) @ place
        identifier = next(
            (p for p in scene.above[identifier]
             if p in scene.objects and scene.objects[p].name == "Model"), 0,
        )  # fmt: skip
    return place


def _piece(scene: _Scene, key: int, mesh: Node, label: str, slots: list[int], name: str) -> Piece:
    """A mesh in its own space."""
    vertices = _triples(mesh.array("Vertices", "f"), name)
    ends = mesh.array("PolygonVertexIndex", "i")
    corners = np.where(ends < 0, ~ends, ends)
    if corners.size and not 0 <= corners.min() <= corners.max() < len(vertices):
        raise damaged(name, "its faces refer to vertices that do not exist")
    last = np.flatnonzero(ends < 0)
    lengths = np.diff(last, prepend=-1)
    triangles, polygon = fan(lengths)
    material = np.zeros(len(lengths), np.int64)
    layer = mesh.child("LayerElementMaterial")
    if layer is not None:
        chosen = layer.array("Materials", "i")
        if len(chosen) == len(lengths):
            material = chosen
        elif len(chosen):
            material[:] = chosen[0]
    table = np.array(slots or [0], np.int64)
    return Piece(
        label[:100],
        vertices,
        corners[triangles],
        _uvs(mesh, corners, triangles, name),
        table[np.clip(material, 0, len(table) - 1)][polygon],
        _shapes(scene, key, len(vertices), name),
    )


def _triples(flat: Float64[np.ndarray, " N"], name: str) -> Float64[np.ndarray, "M 3"]:
    if len(flat) % 3:
        raise damaged(name, "its vertices are not rows of three numbers")
    if len(flat) > 3 * MAX_VERTICES:
        raise too_large(name, f"{len(flat) // 3:,} vertices")
    return flat.reshape(-1, 3)


def _uvs(
    mesh: Node,
    corners: Int64[np.ndarray, " C"],
    triangles: Int64[np.ndarray, "F 3"],
    name: str,
) -> Float64[np.ndarray, "F 3 2"] | None:
    layer = mesh.child("LayerElementUV")
    if layer is None:
        return None
    points = layer.array("UV", "f")
    points = points[: len(points) // 2 * 2].reshape(-1, 2)
    mapping = layer.first("MappingInformationType", b"")
    index = layer.array("UVIndex", "i")
    if not len(index):
        index = np.arange(len(points))
    if mapping in (b"ByVertice", b"ByVertex"):
        if len(index) <= corners.max(initial=-1):
            return None
        index = index[corners]
    elif mapping != b"ByPolygonVertex":
        return None
    if len(index) != len(corners):
        return None
    if index.size and not -1 <= index.min() <= index.max() < len(points):
        raise damaged(name, "its faces refer to texture coordinates that do not exist")
    return np.asarray(np.where(index[:, None] >= 0, points[index], 0.0)[triangles])


def _shapes(
    scene: _Scene, key: int, count: int, name: str
) -> dict[str, Float32[np.ndarray, "V 3"]]:
    """Offsets of a mesh's blend shapes by the name of their channel."""
    found: dict[str, Float32[np.ndarray, "V 3"]] = {}
    for deformer, node in scene.children(key, "Deformer"):
        if node.text(2) != "BlendShape":
            continue
        for channel, channel_node in scene.children(deformer, "Deformer"):
            geometries = [g for _, g in scene.children(channel, "Geometry") if g.text(2) == "Shape"]
            if not geometries or len(found) >= MAX_SHAPES:
                continue
            # With several (in-between) shapes on one channel, the last is the full one.
            shape = geometries[-1]
            label = _channel_name(channel_node.text(1)) or _channel_name(shape.text(1))
            rows = shape.array("Indexes", "i")
            offsets = _triples(shape.array("Vertices", "f"), name)
            if len(rows) != len(offsets) or (
                rows.size and not 0 <= rows.min() <= rows.max() < count
            ):
                raise damaged(name, "a shape does not match its mesh")
            if (len(found) + 1) * count > MAX_SHAPE_NUMBERS:
                raise too_large(name, f"{len(found) + 1:,} shapes of {count:,} vertices")
            whole = found.setdefault(label, np.zeros((count, 3), np.float32))
            whole[rows] = offsets
    return found


def _channel_name(text: str) -> str:
    return text.strip()[:200]


def _placed(
    piece: Piece, place: Float64[np.ndarray, "4 4"], axes: Float64[np.ndarray, "3 3"], metres: float
) -> Piece:
    turn = metres * axes @ place[:3, :3]
    triangles = np.asarray(piece.triangles)
    uvs = piece.uvs
    if np.linalg.det(turn) < 0:
        triangles = triangles[:, ::-1]
        uvs = None if uvs is None else uvs[:, ::-1]
    return Piece(
        piece.name,
        piece.vertices @ turn.T + metres * axes @ place[:3, 3],
        triangles,
        uvs,
        piece.triangle_material,
        {name: offsets @ turn.T.astype(np.float32) for name, offsets in piece.shapes.items()},
    )


def _material(scene: _Scene, key: int, path: Path, warnings: list[str], number: int) -> Material:
    node = scene.objects[key]
    properties = _properties(node)
    colour = GREY
    if "DiffuseColor" in properties:
        red, green, blue = np.clip(np.nan_to_num(_vector(properties, "DiffuseColor")), 0, 1)
        colour = (float(red), float(green), float(blue))
    picture: UInt8[np.ndarray, "H W 3"] | None = None
    for child, property_name in scene.below[key]:
        texture = scene.objects.get(child)
        if texture is None or texture.name != "Texture" or number >= MAX_PICTURES:
            continue
        if property_name in ("DiffuseColor", "Maya|baseColor", "3dsMax|Parameters|base_color_map"):
            picture = _picture(scene, child, texture, path, warnings)
            break
    return Material(node.text(1)[:100] or "material", colour, picture)


def _picture(
    scene: _Scene, key: int, texture: Node, path: Path, warnings: list[str]
) -> UInt8[np.ndarray, "H W 3"] | None:
    label = ""
    for node in [*(video for _, video in scene.children(key, "Video")), texture]:
        content = node.first("Content")
        reference = node.first("RelativeFilename") or node.first("FileName") or b""
        label = reference.decode("utf-8", "replace") if isinstance(reference, bytes) else ""
        if isinstance(content, bytes) and len(content) > 16:
            return decode(content, label.replace("\\", "/").rsplit("/", 1)[-1][:80], warnings)
    return load_beside(path.parent, label, warnings) if label else None
