# SPDX-License-Identifier: GPL-3.0-or-later
"""A face as a mesh object: vertices, UVs, picture, materials and shape keys as they were sent."""

from __future__ import annotations

import numpy as np
import pytest


def _read(collection, name, count, dtype=np.float32):
    flat = np.empty(count, dtype)
    collection.foreach_get(name, flat)
    return flat


def _pixels(image):
    width, height = image.size
    flat = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(flat)
    return flat.reshape(height, width, 4)


def test_mesh_and_keys_are_the_face(blender, addon, head, make_face):
    face = make_face()
    vertices, corners = len(face.vertices), face.triangles.size
    mesh = head.data
    shown = _read(mesh.vertices, "co", vertices * 3).reshape(-1, 3)
    assert np.array_equal(shown, face.vertices)
    indices = _read(mesh.loops, "vertex_index", corners, np.int32).reshape(-1, 3)
    assert np.array_equal(indices, face.triangles)
    uvs = _read(mesh.uv_layers["UVMap"].uv, "vector", corners * 2).reshape(-1, 3, 2)
    assert np.array_equal(uvs, face.uvs)
    materials = _read(mesh.polygons, "material_index", len(face.triangles), np.int32)
    assert np.array_equal(materials, face.triangle_material)
    assert all(polygon.use_smooth for polygon in mesh.polygons)
    names = [block.name for block in mesh.shape_keys.key_blocks]
    assert names == ["Basis", *addon("shared.arkit").ARKIT_NAMES]
    for block, offsets in zip(mesh.shape_keys.key_blocks[1:], face.shapes, strict=True):
        moved = _read(block.points, "co", vertices * 3).reshape(-1, 3)
        assert np.array_equal(moved, face.vertices + offsets)
    assert mesh.validate() is False


def test_the_photo_is_packed_the_right_way_up(blender, head, make_face):
    face = make_face()
    image = next(
        node.image for node in head.data.materials[0].node_tree.nodes if node.type == "TEX_IMAGE"
    )
    assert image.packed_file is not None and not image.filepath_raw
    height, width = face.texture.shape[:2]
    assert tuple(image.size) == (width, height)
    pixels = _pixels(image)
    assert np.array_equal(np.round(pixels[::-1, :, :3] * 255).astype(np.uint8), face.texture)


def test_the_photo_survives_saving_and_opening(blender, head, make_face, tmp_path):
    path = str(tmp_path / "head.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.open_mainfile(filepath=path)
    image = next(image for image in blender.data.images if image.packed_file)
    pixels = _pixels(image)
    shown = np.round(pixels[::-1, :, :3] * 255).astype(np.uint8)
    assert np.array_equal(shown, make_face().texture)


def test_every_part_shows_the_picture_with_its_own_finish(blender, head):
    skin, teeth = head.data.materials
    for material in (skin, teeth):
        assert material.node_tree.nodes.active.type == "TEX_IMAGE"
    roughness = [
        next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
        .inputs["Roughness"]
        .default_value
        for material in (skin, teeth)
    ]
    assert roughness[1] < roughness[0]


def test_it_carries_warnings_but_no_paths(blender, addon, make_face):
    meta = {"warnings": ["The photo shows two faces."], "image": "/home/me/secret.jpg"}
    heads = addon("heads")
    head = heads.create_head(blender.context.scene, make_face(meta=meta), "Warned")
    assert heads.head_warnings(head) == ("The photo shows two faces.",)
    assert "secret" not in str(dict(head.items()))
    assert head["vividkeys_landmarks"] == 468
    assert heads.is_our_head(head)


def test_heads_share_one_collection_and_get_their_own_names(blender, addon, make_face):
    heads, scene = addon("heads"), blender.context.scene
    first = heads.create_head(scene, make_face(), "Ünal Head")
    second = heads.create_head(scene, make_face(), "Ünal Head")
    assert (first.name, second.name) == ("Ünal Head", "Ünal Head.001")
    assert [c.name for c in scene.collection.children] == ["VividKeys"]
    assert first.data.shape_keys.name != second.data.shape_keys.name


@pytest.mark.parametrize("spoil", ["property", "keys"])
def test_a_head_that_was_taken_apart_is_no_head_of_ours(blender, addon, head, spoil):
    if spoil == "property":
        del head["vividkeys_head"]
    else:
        head.shape_key_clear()
    assert not addon("heads").is_our_head(head)


def test_the_landmarks_are_those_of_the_rest_shape(addon, head, make_face):
    assert np.array_equal(addon("heads").landmarks_at_rest(head), make_face().vertices[:468])
