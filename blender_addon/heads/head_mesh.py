# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a head as a mesh object: quads where they fit, materials, keys, vertex groups."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import bmesh
import bpy
import numpy as np

from .. import versions
from ..animation import lip_detail
from ..contracts import arkit, face
from .head_parts import HeadPart, title

if TYPE_CHECKING:
    from jaxtyping import UInt8

# Two triangles become a quad when the angle between their planes is at most the first, and its
# corners differ from right angles by about the second at most.
_FLATNESS = math.radians(40.0)
_SQUARENESS = math.radians(60.0)

# Roughness and specular level by a word in a material's name; the colour is in the picture.
_FINISHES: dict[str, tuple[float, float]] = {
    "lash": (0.8, 0.1),
    "brow": (0.8, 0.1),
    "hair": (0.7, 0.2),
    "eye": (0.08, 0.6),
    "cornea": (0.05, 0.6),
    "teeth": (0.22, 0.5),
    "mouth": (0.4, 0.4),
    "tongue": (0.35, 0.45),
}
_SKIN = (0.62, 0.3)


def new_object(
    name: str, part: HeadPart, materials: dict[str, bpy.types.Material]
) -> bpy.types.Object:
    """A part as an object without keys, not linked to a scene; `materials` by name in the face."""
    mesh_of_face = part.mesh_of_face
    mesh = bpy.data.meshes.new(name)
    _fill_mesh(mesh, mesh_of_face)
    for material in mesh_of_face.materials:
        mesh.materials.append(materials[material])
    _join_triangles(mesh)
    made = bpy.data.objects.new(name, mesh)
    _add_vertex_groups(made, mesh_of_face)
    return made


def add_shape_keys(made: bpy.types.Object, part: HeadPart) -> None:
    """Give an object that is linked to a scene the keys of its part, if the part has any."""
    mesh_of_face = part.mesh_of_face
    if not part.shapes and not part.fields:
        return
    versions.new_shape_key(made, "Basis")
    for number in part.shapes:
        key = versions.new_shape_key(made, arkit.ARKIT_NAMES[number])
        moved = mesh_of_face.vertices + mesh_of_face.shapes[number]
        key.points.foreach_set("co", moved.ravel())
    lip_detail.add_keys(made, mesh_of_face.offset_fields, part.fields)
    made.data.shape_keys.name = f"{made.name} Keys"


def packed_image(name: str, texture: UInt8[np.ndarray, "H W 3"]) -> bpy.types.Image:
    """The texture as an image that is packed into the .blend."""
    height, width = texture.shape[:2]
    image = bpy.data.images.new(f"{name} Photo", width, height, alpha=False)
    pixels = np.empty((height, width, 4), np.float32)
    # Blender's first row is the lowest one.
    np.take(
        np.arange(256, dtype=np.float32) / 255.0, texture[::-1], out=pixels[:, :, :3], mode="clip"
    )
    pixels[:, :, 3] = 1.0
    image.pixels.foreach_set(pixels.ravel())  # type: ignore[attr-defined]  # not one float
    image.update()
    image.pack()
    return image


def new_material(head_name: str, part: str, image: bpy.types.Image) -> bpy.types.Material:
    """A material with the picture, and gloss that suits its name; glTF keeps all of it."""
    material = bpy.data.materials.new(f"{head_name} {title(part)}")
    versions.ensure_nodes(material)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    picture = nodes.new("ShaderNodeTexImage")
    picture.image = image
    picture.location = (shader.location.x - 320, shader.location.y)
    links.new(picture.outputs["Color"], shader.inputs["Base Color"])
    # Workbench's textured shading shows the picture of the active image node.
    nodes.active = picture
    found = next((finish for word, finish in _FINISHES.items() if word in part.lower()), _SKIN)
    shader.inputs["Roughness"].default_value = found[0]
    shader.inputs["Specular IOR Level"].default_value = found[1]
    return material


def _fill_mesh(mesh: bpy.types.Mesh, source: face.FaceMesh) -> None:
    triangles = np.ascontiguousarray(source.triangles, np.int32)
    corners = triangles.size
    mesh.vertices.add(len(source.vertices))
    mesh.vertices.foreach_set("co", source.vertices.ravel())
    mesh.loops.add(corners)
    mesh.loops.foreach_set("vertex_index", triangles.ravel())
    mesh.polygons.add(len(triangles))
    mesh.polygons.foreach_set("loop_start", np.arange(0, corners, 3, dtype=np.int32))
    mesh.polygons.foreach_set(
        "material_index", np.ascontiguousarray(source.triangle_material, np.int32)
    )
    mesh.polygons.foreach_set("use_smooth", np.ones(len(triangles), bool))
    layer = mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", source.uvs.ravel())
    mesh.update(calc_edges=True)
    mesh.validate()


def _join_triangles(mesh: bpy.types.Mesh) -> None:
    """Join pairs of triangles that are nearly coplanar and adjacent in the texture into quads.

    Vertices keep their order, which shape keys and landmarks rely on.
    """
    work = bmesh.new()
    try:
        work.from_mesh(mesh)
        bmesh.ops.join_triangles(
            work,
            faces=list(work.faces),
            cmp_uvs=True,
            cmp_materials=True,
            angle_face_threshold=_FLATNESS,
            angle_shape_threshold=_SQUARENESS,
        )
        work.to_mesh(mesh)
    finally:
        work.free()


def _add_vertex_groups(made: bpy.types.Object, source: face.FaceMesh) -> None:
    """One group per part of the face, if the object has more than one."""
    numbers = np.unique(source.vertex_part)
    if len(numbers) < 2:
        return
    for number in numbers:
        group = made.vertex_groups.new(name=source.part_names[number])
        group.add(np.flatnonzero(source.vertex_part == number).tolist(), 1.0, "REPLACE")
