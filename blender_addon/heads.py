# SPDX-License-Identifier: GPL-3.0-or-later
"""A FaceMesh becomes one mesh object: photo texture, materials, 52 shape keys and lip detail."""

from __future__ import annotations

import json
from typing import Any

import bpy
import numpy as np

from . import lip_detail, versions
from .contracts import arkit, face

HEAD_PROPERTY = "vividkeys_head"
COLLECTION_NAME = "VividKeys"

# Roughness and specular level by the beginning of a material's name; the picture holds the colour.
_FINISHES: dict[str, tuple[float, float]] = {
    "skin": (0.62, 0.3),
    "eye": (0.12, 0.6),
    "teeth": (0.25, 0.5),
    "mouth": (0.4, 0.4),
}


def create_head(scene: Any, mesh_of_face: face.FaceMesh, name: str) -> Any:
    """Build the head in the collection 'VividKeys' of `scene` and return the new object.

    Vertices, faces and keys are set in bulk. Nothing of the scene but that collection changes.
    """
    mesh = bpy.data.meshes.new(name)
    _fill_mesh(mesh, mesh_of_face)
    image = _packed_image(name, mesh_of_face.texture)
    for material in mesh_of_face.materials:
        mesh.materials.append(_material(name, material, image))
    head = bpy.data.objects.new(name, mesh)
    _collection(scene).objects.link(head)
    _add_shape_keys(head, mesh_of_face)
    _describe(head, mesh_of_face)
    return head


def is_our_head(candidate: Any) -> bool:
    """Whether the object was made by `create_head` and still has its landmarks and keys."""
    return (
        candidate is not None
        and candidate.type == "MESH"
        and HEAD_PROPERTY in candidate
        and candidate.data.shape_keys is not None
        and len(candidate.data.vertices) >= face.LANDMARK_COUNT
    )


def head_warnings(candidate: Any) -> tuple[str, ...]:
    """Sentences that the reconstruction had about the photo, e.g. that it shows two faces."""
    try:
        description = json.loads(candidate.get(HEAD_PROPERTY, "{}"))
    except (TypeError, ValueError):
        return ()
    warnings = description.get("warnings", []) if isinstance(description, dict) else []
    return tuple(str(warning) for warning in warnings)


def landmarks_at_rest(head: Any) -> np.ndarray:
    """The landmarks of a head of ours [468,3]."""
    return lip_detail.coordinates(head.data.shape_keys.reference_key.points)[: face.LANDMARK_COUNT]


def face_for_voice(head: Any) -> face.FaceMesh:
    """What the backend has to know of a head of ours to shape its lips: the landmarks alone."""
    count = face.LANDMARK_COUNT
    return face.FaceMesh(
        vertices=landmarks_at_rest(head),
        triangles=np.array([[0, 1, 2]], np.int32),
        uvs=np.zeros((1, 3, 2), np.float32),
        texture=np.zeros((1, 1, 3), np.uint8),
        materials=("skin",),
        triangle_material=np.zeros(1, np.int32),
        shapes=np.zeros((len(arkit.ARKIT_NAMES), count, 3), np.float32),
    )


def _fill_mesh(mesh: Any, source: face.FaceMesh) -> None:
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


def _packed_image(name: str, texture: np.ndarray) -> Any:
    height, width = texture.shape[:2]
    image = bpy.data.images.new(f"{name} Photo", width, height, alpha=False)
    pixels = np.ones((height, width, 4), np.float32)
    # Blender's first row is the lowest one.
    pixels[:, :, :3] = texture[::-1].astype(np.float32) / 255.0
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    image.pack()
    return image


def _material(head_name: str, part: str, image: Any) -> Any:
    material = bpy.data.materials.new(f"{head_name} {part.replace('_', ' ').capitalize()}")
    versions.ensure_nodes(material)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    picture = nodes.new("ShaderNodeTexImage")
    picture.image = image
    picture.location = (shader.location.x - 320, shader.location.y)
    links.new(picture.outputs["Color"], shader.inputs["Base Color"])
    # Workbench's textured shading shows the picture of the active image node.
    nodes.active = picture
    finish = next((name for name in _FINISHES if part.startswith(name)), "skin")
    roughness, specular = _FINISHES[finish]
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = specular
    return material


def _collection(scene: Any) -> Any:
    collection = next((c for c in scene.collection.children if c.name == COLLECTION_NAME), None)
    if collection is None:
        collection = bpy.data.collections.new(COLLECTION_NAME)
        scene.collection.children.link(collection)
    return collection


def _add_shape_keys(head: Any, source: face.FaceMesh) -> None:
    head.shape_key_add(name="Basis", from_mix=False)
    for name, offsets in zip(arkit.ARKIT_NAMES, source.shapes, strict=True):
        key = head.shape_key_add(name=name, from_mix=False)
        key.points.foreach_set("co", (source.vertices + offsets).ravel())
    lip_detail.add_keys(head, source.offset_fields)
    head.data.shape_keys.name = f"{head.name} Keys"


def _describe(head: Any, source: face.FaceMesh) -> None:
    # Only what travels with the file: no paths.
    description = {
        key: source.meta[key] for key in ("warnings", "image_sha256") if key in source.meta
    }
    head[HEAD_PROPERTY] = json.dumps(description)
    head[lip_detail.LANDMARKS_PROPERTY] = face.LANDMARK_COUNT
