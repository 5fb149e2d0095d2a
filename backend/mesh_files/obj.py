# SPDX-License-Identifier: GPL-3.0-or-later
"""Wavefront OBJ with its MTL: positions, texture coordinates, polygons, objects, materials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from .checks import MAX_PICTURES, MAX_TRIANGLES, MAX_VERTICES, damaged, read_bytes, too_large
from .mesh_file import GREY, Material, MeshFile, Piece, fan, from_y_up, join
from .pictures import beside, load_beside

_MOST_LINES = 20_000_000
_LONGEST_NUMBER = 64


@dataclass
class _Faces:
    """Polygons of one object in the file's order; a corner is a vertex and a texture index."""

    lengths: list[int] = field(default_factory=list)
    corners: list[tuple[int, int]] = field(default_factory=list)
    materials: list[int] = field(default_factory=list)


def read_positions(path: Path) -> Float64[np.ndarray, "V 3"]:
    """Only the vertices of an OBJ, in the file's own axes."""
    return _rows(_lines(path), b"v", 3, path.name)


def read_obj(path: Path) -> MeshFile:
    """An OBJ file, read as +Y up; its unit is unknown."""
    return read_obj_in_order(path)[0]


def read_obj_in_order(path: Path) -> tuple[MeshFile, Int64[np.ndarray, " V"]]:
    """An OBJ file, and for each vertex of the mesh its number in the file."""
    lines = _lines(path)
    positions = _rows(lines, b"v", 3, path.name)
    if len(positions) > MAX_VERTICES:
        raise too_large(path.name, f"{len(positions):,} vertices")
    if not len(positions):
        raise damaged(path.name, "it contains no vertices")
    texture_points = _rows(lines, b"vt", 2, path.name)
    warnings: list[str] = []
    objects, material_names, libraries = _faces(lines, path.name)
    materials = _materials(path, libraries, material_names, warnings)
    vertices = from_y_up(positions)
    found = [
        _piece(name, faces, vertices, texture_points, path.name)
        for name, faces in objects.items()
        if faces.lengths
    ]
    mesh = join([piece for piece, _ in found], materials, path.name, warnings, metres=False)
    order = np.concatenate([used for piece, used in found if len(piece.triangles)])
    if len(order) != len(mesh.vertices):
        raise damaged(path.name, "one of its objects has only degenerate faces")
    return mesh, order


def _lines(path: Path) -> list[bytes]:
    """The lines of a file; a backslash at the end of a line continues it."""
    data = read_bytes(path)
    # Counted first: split into Python objects, lines take many times their size in memory.
    if data.count(b"\n") + data.count(b"\r") > _MOST_LINES:
        raise too_large(path.name, f"more than {_MOST_LINES:,} lines")
    return data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines()


def _rows(
    lines: list[bytes], key: bytes, width: int, name: str
) -> Float64[np.ndarray, "N {width}"]:
    """The first `width` numbers of all lines that start with `key`."""
    start = key + b" "
    found = [line.split()[1 : width + 1] for line in lines if line.startswith(start)]
    if not found:
        return np.zeros((0, width))
    # An array of strings is as wide as the longest of them.
    if any(len(word) > _LONGEST_NUMBER for row in found for word in row):
        raise damaged(name, "a vertex has something other than numbers")
    if len({len(row) for row in found}) != 1 or len(found[0]) != width:
        if key != b"vt":
            raise damaged(name, "a vertex has too few numbers")
        found = [(row + [b"0"] * width)[:width] for row in found]
    try:
        return np.array(found).astype(np.float64)
    except ValueError as error:
        raise damaged(name, "a vertex has something other than numbers") from error


def _faces(lines: list[bytes], name: str) -> tuple[dict[str, _Faces], list[str], list[str]]:
    """Objects with their polygons, the names of the materials, and the material files."""
    objects: dict[str, _Faces] = {"mesh": _Faces()}
    current = objects["mesh"]
    material_names: dict[str, int] = {}
    libraries: list[str] = []
    material = vertices = texture_points = corners = 0
    for line in lines:
        if line.startswith(b"v "):
            vertices += 1
        elif line.startswith(b"vt "):
            texture_points += 1
        elif line.startswith(b"f "):
            words = line.split()[1:]
            if len(words) < 3:
                continue
            try:
                for word in words:
                    parts = word.split(b"/")
                    vertex = int(parts[0])
                    point = int(parts[1]) if len(parts) > 1 and parts[1] else 0
                    # Negative numbers count back from the latest entry so far.
                    vertex = vertices + vertex if vertex < 0 else vertex - 1
                    point = texture_points + point if point < 0 else point - 1
                    current.corners.append((vertex, point))
            except ValueError as error:
                raise damaged(name, "a face has something other than numbers") from error
            corners += len(words)
            if corners > 3 * MAX_TRIANGLES:
                raise too_large(name, f"more than {MAX_TRIANGLES:,} triangles")
            current.lengths.append(len(words))
            current.materials.append(material)
        elif line.startswith(b"o "):
            label = line[2:].decode("utf-8", "replace").strip()[:100] or "mesh"
            current = objects.setdefault(label, _Faces())
        elif line.startswith(b"usemtl"):
            label = line[6:].decode("utf-8", "replace").strip()[:100]
            material = material_names.setdefault(label, len(material_names))
        elif line.startswith(b"mtllib"):
            libraries.append(line[6:].decode("utf-8", "replace").strip())
    if any(f.materials for f in objects.values()) and not material_names:
        material_names["material"] = 0
    return objects, list(material_names), libraries


def _piece(
    name: str,
    faces: _Faces,
    vertices: Float64[np.ndarray, "V 3"],
    points: Float64[np.ndarray, "N 2"],
    file_name: str,
) -> tuple[Piece, Int64[np.ndarray, " U"]]:
    """An object with the vertices it uses, and their numbers in the file."""
    corners = np.array(faces.corners, np.int64)
    if corners[:, 0].min() < 0 or corners[:, 0].max() >= len(vertices):
        raise damaged(file_name, "its faces refer to vertices that do not exist")
    triangles, polygon = fan(np.array(faces.lengths))
    uvs = None
    if len(points):
        if corners[:, 1].max() >= len(points):
            raise damaged(file_name, "its faces refer to texture coordinates that do not exist")
        # A corner without texture coordinates has -1 and is put at the origin.
        uvs = np.where(corners[:, 1:] >= 0, points[corners[:, 1]], 0.0)[triangles]
    used, place = np.unique(corners[:, 0], return_inverse=True)
    if len(used) == 0 or used[-1] == len(used) - 1 == len(vertices) - 1:
        used, place = np.arange(len(vertices)), corners[:, 0]
    piece = Piece(
        name, vertices[used], place.ravel()[triangles], uvs, np.array(faces.materials)[polygon]
    )
    return piece, used


def _materials(
    path: Path, libraries: list[str], names: list[str], warnings: list[str]
) -> list[Material]:
    """The materials in the order of `names`, as far as the MTL files describe them."""
    known: dict[str, dict[str, str]] = {}
    for library in libraries[:8]:
        file = beside(path.parent, library)
        if file is None:
            warnings.append(
                f"The material file '{library[-80:]}' was not found next to the mesh file."
            )
            continue
        current: dict[str, str] = {}
        for line in read_bytes(file).decode("utf-8", "replace").splitlines():
            key, _, value = line.strip().partition(" ")
            if key == "newmtl":
                current = known.setdefault(value.strip()[:100], {})
            elif key in ("Kd", "map_Kd"):
                current[key] = value.strip()
    found = []
    for number, name in enumerate(names):
        entry = known.get(name, {})
        picture = None
        if "map_Kd" in entry and number < MAX_PICTURES:
            picture = load_beside(path.parent, _without_options(entry["map_Kd"]), warnings)
        found.append(Material(name or "material", _colour(entry.get("Kd", "")), picture))
    return found


def _colour(text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(word) for word in text.split()[:3])
    except ValueError:
        return GREY
    values = np.nan_to_num(np.array([red, green, blue]))
    red, green, blue = np.clip(values, 0.0, 1.0).tolist()
    return red, green, blue


# Options of a picture in an MTL file, and the most values that each takes.
_OPTIONS = {"-o": 3, "-s": 3, "-t": 3, "-mm": 2, "-bm": 1, "-blendu": 1, "-blendv": 1, "-boost": 1,
            "-clamp": 1, "-imfchan": 1, "-texres": 1, "-type": 1, "-cc": 1}  # fmt: skip


def _without_options(text: str) -> str:
    """The file name in 'map_Kd -s 1 1 1 skin.png'; names may contain spaces."""
    words = text.split(" ")
    while words and words[0] in _OPTIONS:
        count = _OPTIONS[words.pop(0)]
        while count and words and (count == 1 or _is_number(words[0])):
            words.pop(0)
            count -= 1
    return " ".join(words)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
