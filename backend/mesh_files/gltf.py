# SPDX-License-Identifier: GPL-3.0-or-later
"""glTF 2.0 (.glb, .gltf, .vrm): all meshes of the scene with their morph targets.

Skinned meshes are read in the pose of the file's joints.
"""

from __future__ import annotations

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
from .gltf_data import GltfData
from .mesh_file import Material, MeshFile, Piece, from_y_up, join
from .pictures import decode

_MOST_NODES = 100_000
_MOST_PIECES = 10_000
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def read_gltf(path: Path) -> MeshFile:
    """A glTF file in our axes and metres."""
    data = GltfData(path)
    warnings: list[str] = []
    places = _node_places(data)
    pieces: list[Piece] = []
    count = triangles = numbers = 0
    for index, place in places.items():
        node = data.item("nodes", index)
        if "mesh" not in node:
            continue
        mesh = data.item("meshes", node["mesh"])
        names = _target_names(mesh)
        label = str(node.get("name") or mesh.get("name") or "mesh")[:100]
        joints = _joint_matrices(data, node["skin"], places) if "skin" in node else None
        parts = [
            part
            for entry in _list(mesh, "primitives", data.name)
            if (part := _primitive(data, entry, names, label, place, joints, warnings)) is not None
        ]
        # Any number of nodes may share a mesh, so its instances are counted.
        count += sum(len(part.vertices) for part in parts)
        triangles += sum(len(part.triangles) for part in parts)
        numbers += sum(len(part.vertices) * len(part.shapes) for part in parts)
        if count > MAX_VERTICES or triangles > MAX_TRIANGLES:
            raise too_large(data.name, f"more than {MAX_VERTICES:,} vertices")
        # Until vertices that the format splits are merged, there are several times as many.
        if numbers > 4 * MAX_SHAPE_NUMBERS or len(pieces) > _MOST_PIECES:
            raise too_large(data.name, f"{len(pieces):,} meshes with their shapes")
        if parts:
            pieces.append(_one(parts, label))
    materials = _materials(data, warnings)
    return join(pieces, materials, data.name, warnings, metres=True, weld=True)


def _list(holder: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    found = holder.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise damaged(name, f"its '{key}' is not a list of objects")
    return found


def _node_places(data: GltfData) -> dict[int, Float64[np.ndarray, "4 4"]]:
    """The world matrix of every node of the scene, by its number."""
    nodes = data.items("nodes")
    if len(nodes) > _MOST_NODES:
        raise too_large(data.name, f"{len(nodes):,} objects")
    children = [[int(c) for c in node.get("children", [])] for node in nodes]
    roots: list[int]
    if data.items("scenes"):
        scene = data.item("scenes", data.document.get("scene", 0))
        roots = [int(root) for root in scene.get("nodes", [])]
    else:
        below = {child for some in children for child in some}
        roots = [index for index in range(len(nodes)) if index not in below]
    places: dict[int, Float64[np.ndarray, "4 4"]] = {}
    waiting = [(root, np.eye(4)) for root in roots]
    while waiting:
        index, above = waiting.pop()
        if index in places:
            raise damaged(data.name, "its node hierarchy contains a cycle")
        place = above @ _local(data.item("nodes", index), data.name)
        places[index] = place
        waiting += [(child, place) for child in children[index]]
    return dict(sorted(places.items()))


def _local(node: dict[str, Any], name: str) -> Float64[np.ndarray, "4 4"]:
    """The node's local matrix."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64)
        if matrix.shape != (16,):
            raise damaged(name, "the matrix of an object is damaged")
        return matrix.reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    length = np.sqrt(x * x + y * y + z * z + w * w)
    if length > 0:
        x, y, z, w = (value / length for value in (x, y, z, w))
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64)
    return matrix


def _joint_matrices(
    data: GltfData, skin: Any, places: dict[int, Float64[np.ndarray, "4 4"]]
) -> Float64[np.ndarray, "J 4 4"]:
    """The matrices that move skinned vertices to the pose of the joints."""
    entry = data.item("skins", skin)
    joints = [int(joint) for joint in entry.get("joints", [])]
    inverse = np.broadcast_to(np.eye(4), (len(joints), 4, 4))
    if "inverseBindMatrices" in entry:
        rows = data.numbers(entry["inverseBindMatrices"], 16)
        if len(rows) < len(joints):
            raise damaged(data.name, "a skin has fewer matrices than joints")
        inverse = rows[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
    if not joints or any(joint not in places for joint in joints):
        raise damaged(data.name, "a skin has joints that are not in the scene")
    return np.stack([places[joint] for joint in joints]) @ inverse


def _target_names(mesh: dict[str, Any]) -> list[str]:
    extras = mesh.get("extras")
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    return [str(name)[:200] for name in names] if isinstance(names, list) else []


def _primitive(
    data: GltfData,
    entry: dict[str, Any],
    names: list[str],
    label: str,
    place: Float64[np.ndarray, "4 4"],
    joints: Float64[np.ndarray, "J 4 4"] | None,
    warnings: list[str],
) -> Piece | None:
    """The triangles of one material, in our axes; None for lines and points."""
    if "KHR_draco_mesh_compression" in entry.get("extensions", {}):
        raise damaged(data.name, "its mesh is compressed with Draco; export it without compression")
    mode = entry.get("mode", _TRIANGLES)
    attributes = entry.get("attributes", {})
    if mode not in (_TRIANGLES, _STRIP, _FAN) or "POSITION" not in attributes:
        warnings.append(f"'{label}' has lines or points, which were left out.")
        return None
    positions = data.numbers(attributes["POSITION"], 3)
    count = len(positions)
    corners = data.indices(entry["indices"]) if "indices" in entry else np.arange(count)
    triangles = _triangles(corners, mode)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < count:
        raise damaged(data.name, "its faces refer to vertices that do not exist")
    uvs = None
    if "TEXCOORD_0" in attributes:
        points = data.numbers(attributes["TEXCOORD_0"], 2)
        if len(points) != count:
            raise damaged(data.name, "a mesh has fewer texture coordinates than vertices")
        uvs = (points * (1, -1) + (0, 1))[triangles]
    turn = np.broadcast_to(place[:3, :3], (count, 3, 3))
    shift = np.broadcast_to(place[:3, 3], (count, 3))
    if joints is not None and {"JOINTS_0", "WEIGHTS_0"} <= set(attributes):
        turn, shift = _skinned(data, attributes, joints, count)
    shapes: dict[str, Float32[np.ndarray, "V 3"]] = {}
    targets = _list(entry, "targets", data.name)
    if len(targets) > MAX_SHAPES:
        raise too_large(data.name, f"{len(targets):,} shapes")
    for number, target in enumerate(targets):
        if "POSITION" not in target:
            continue
        offsets = data.numbers(target["POSITION"], 3)
        if offsets.shape != positions.shape:
            raise damaged(data.name, "a shape and its mesh have different numbers of vertices")
        name = names[number] if number < len(names) else f"target_{number}"
        shapes[name] = from_y_up(np.einsum("nij,nj->ni", turn, offsets)).astype(np.float32)
    vertices = from_y_up(np.einsum("nij,nj->ni", turn, positions) + shift)
    if np.linalg.det(place[:3, :3]) < 0 and joints is None:
        triangles = triangles[:, ::-1]
        uvs = None if uvs is None else uvs[:, ::-1]
    material = np.full(len(triangles), int(entry.get("material", 0)))
    return Piece(label, vertices, triangles, uvs, material, shapes)


def _skinned(
    data: GltfData, attributes: dict[str, Any], joints: Float64[np.ndarray, "J 4 4"], count: int
) -> tuple[Float64[np.ndarray, "{count} 3 3"], Float64[np.ndarray, "{count} 3"]]:
    """The blended matrix of every vertex: its linear part and its translation."""
    blended = np.zeros((count, 3, 4))
    total = np.zeros(count)
    for number in range(2):
        if f"JOINTS_{number}" not in attributes or f"WEIGHTS_{number}" not in attributes:
            break
        which = data.numbers(attributes[f"JOINTS_{number}"], 4).astype(np.int64)
        weights = data.numbers(attributes[f"WEIGHTS_{number}"], 4)
        if len(which) != count or len(weights) != count or which.max(initial=0) >= len(joints):
            raise damaged(data.name, "the skin of a mesh does not match it")
        for slot in range(4):
            blended += weights[:, slot, None, None] * joints[which[:, slot], :3]
            total += weights[:, slot]
    loose = total < 1e-6
    blended[loose] = np.eye(4)[:3]
    total[loose] = 1.0
    blended /= total[:, None, None]
    return blended[:, :, :3], blended[:, :, 3]


def _triangles(corners: Int64[np.ndarray, " C"], mode: int) -> Int64[np.ndarray, "F 3"]:
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == _FAN:
        return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], 1)
    strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    strip[1::2] = strip[1::2][:, [1, 0, 2]]
    return strip


def _one(parts: list[Piece], label: str) -> Piece:
    """The primitives of a mesh, one per material, as one piece."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    names = dict.fromkeys(name for part in parts for name in part.shapes)
    return Piece(
        label,
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([p.triangles + s for p, s in zip(parts, starts[:-1], strict=True)]),
        np.concatenate(
            [np.zeros((len(p.triangles), 3, 2)) if p.uvs is None else p.uvs for p in parts]
        ),
        np.concatenate([part.triangle_material for part in parts]),
        {
            name: np.concatenate(
                [part.shapes.get(name, np.zeros(part.vertices.shape, np.float32)) for part in parts]
            )
            for name in names
        },
    )


def _materials(data: GltfData, warnings: list[str]) -> list[Material]:
    found: list[Material] = []
    pictures: dict[int, UInt8[np.ndarray, "_ _ 3"] | None] = {}
    for entry in data.items("materials"):
        metallic = entry.get("pbrMetallicRoughness", {})
        factor = np.array(metallic.get("baseColorFactor", (1, 1, 1, 1)), np.float64)[:3]
        factor = np.clip(np.nan_to_num(factor), 0, 1)
        # The factor is linear light; the colour is sRGB.
        shown = np.where(factor <= 0.0031308, 12.92 * factor, 1.055 * factor ** (1 / 2.4) - 0.055)
        red, green, blue = shown.tolist()
        picture = None
        texture = metallic.get("baseColorTexture")
        if isinstance(texture, dict) and len(pictures) < MAX_PICTURES:
            picture = _picture(data, texture.get("index"), pictures, warnings)
        found.append(
            Material(str(entry.get("name") or "material")[:100], (red, green, blue), picture)
        )
    return found


def _picture(
    data: GltfData,
    texture: Any,
    known: dict[int, UInt8[np.ndarray, "_ _ 3"] | None],
    warnings: list[str],
) -> UInt8[np.ndarray, "H W 3"] | None:
    entry = data.item("textures", texture)
    source = entry.get("source")
    if source is None:
        source = entry.get("extensions", {}).get("EXT_texture_webp", {}).get("source")
    if source is None:
        warnings.append(
            "A picture is in a format that cannot be read; the material's colour is used."
        )
        return None
    if source not in known:
        image = data.item("images", source)
        label = str(image.get("name") or image.get("uri") or "picture")[:80]
        if "bufferView" in image:
            bytes_of = bytes(data.view(image["bufferView"])[0])
        else:
            bytes_of = data.resource(str(image.get("uri", "")))
        known[source] = decode(bytes_of, label if not label.startswith("data:") else "picture",
                               warnings)  # fmt: skip
    return known[source]
