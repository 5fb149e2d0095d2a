# SPDX-License-Identifier: GPL-3.0-or-later
"""A face as a mesh object: vertices, UVs, picture, materials and shape keys as they were sent."""

from __future__ import annotations

from dataclasses import replace

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


def _corners(mesh):
    """Of every face: (material, {(vertex, u, v)}), whatever corner it begins with."""
    corners = len(mesh.loops)
    vertices = _read(mesh.loops, "vertex_index", corners, np.int32)
    uvs = _read(mesh.uv_layers["UVMap"].uv, "vector", corners * 2).reshape(-1, 2)
    return [
        (face.material_index, {(int(vertices[k]), *uvs[k].tolist()) for k in face.loop_indices})
        for face in mesh.polygons
    ]


def test_mesh_and_keys_are_the_face(blender, addon, head, make_face):
    face = make_face()
    vertices = len(face.vertices)
    mesh = head.data
    shown = _read(mesh.vertices, "co", vertices * 3).reshape(-1, 3)
    assert np.array_equal(shown, face.vertices)
    faces = _corners(mesh)
    # A quad is two triangles of the face with the same material and the same places.
    assert sum(len(corners) - 2 for _, corners in faces) == len(face.triangles)
    for triangle, uvs, material in zip(
        face.triangles[::7], face.uvs[::7], face.triangle_material[::7], strict=True
    ):
        wanted = {(int(v), *uv.tolist()) for v, uv in zip(triangle, uvs, strict=True)}
        assert any(own == material and wanted <= corners for own, corners in faces)
    assert all(polygon.use_smooth for polygon in mesh.polygons)
    names = [block.name for block in mesh.shape_keys.key_blocks]
    assert names == ["Basis", *addon("shared.arkit").ARKIT_NAMES]
    for block, offsets in zip(mesh.shape_keys.key_blocks[1:], face.shapes, strict=True):
        moved = _read(block.points, "co", vertices * 3).reshape(-1, 3)
        assert np.array_equal(moved, face.vertices + offsets)
    assert mesh.validate() is False


def test_triangles_become_quads_where_the_picture_goes_on(blender, addon, make_face):
    smooth = replace(make_face(), triangle_material=np.zeros(2 * 21 * 21, np.int32))
    made = addon("heads.scene").create_head(blender.context.scene, smooth, "Quads")
    # Where the grid is bent steeply two triangles are no quad.
    assert len(smooth.triangles) / len(made.data.polygons) > 1.7
    # Every triangle has its own place in the picture now, so none may be joined.
    torn = np.random.default_rng(0).random(smooth.uvs.shape).astype(np.float32)
    made = addon("heads.scene").create_head(
        blender.context.scene, replace(smooth, uvs=torn), "Torn"
    )
    assert {len(face.vertices) for face in made.data.polygons} == {3}


@pytest.fixture
def three_parts(make_face):
    """A face whose last rows of the grid are two eyes and whose first ones are two skin parts."""
    face = make_face(fields=2)
    row = np.arange(22 * 22) // 22
    part = np.select([row < 5, row < 16, row < 19], [0, 1, 2], 3).astype(np.int32)
    joined = part[face.triangles]
    own = (joined == joined[:, :1]).all(axis=1) | (joined < 2).all(axis=1)
    shapes = face.shapes.copy()
    shapes[3:, part == 2] = 0.0
    shapes[:, part == 3] = 0.0
    fields = face.offset_fields.copy()
    fields[:, part > 1] = 0.0
    # The landmarks lie on the skin, and are not the first vertices.
    return replace(
        face,
        triangles=face.triangles[own],
        uvs=face.uvs[own],
        triangle_material=face.triangle_material[own],
        shapes=shapes,
        offset_fields=fields,
        part_names=("skin", "neck", "left_eye", "upper_teeth"),
        vertex_part=part,
        landmarks=face.vertices[np.arange(468) % 330] + np.float32(0.0001),
    )


def test_parts_as_objects_hang_from_the_face_with_the_keys_that_move_them(
    blender, addon, three_parts
):
    heads, names = addon("heads.scene"), addon("shared.arkit").ARKIT_NAMES
    main = heads.create_head(blender.context.scene, three_parts, "Kopf", as_parts=True)
    assert heads.is_our_head(main) and len(main.data.vertices) == 16 * 22
    assert [group.name for group in main.vertex_groups] == ["skin", "neck"]
    assert len(main.data.shape_keys.key_blocks) == 1 + 52 + 2
    eye, teeth = sorted(main.children, key=lambda child: child.name)
    assert (eye.name, teeth.name) == ("Kopf Left eye", "Kopf Upper teeth")
    keys = [block.name for block in eye.data.shape_keys.key_blocks]
    assert keys == ["Basis", *names[:3]]
    assert teeth.data.shape_keys is None and len(teeth.data.vertices) == 3 * 22
    blender.context.view_layer.update()
    shown = _read(eye.data.vertices, "co", 3 * 22 * 3).reshape(-1, 3)
    assert np.array_equal(shown, three_parts.vertices[16 * 22 : 19 * 22])
    assert np.allclose(eye.matrix_world, np.eye(4))
    # Still teeth have nothing to follow a performance with.
    assert heads.objects_of(main) == [main, eye]


def test_landmarks_that_are_not_the_first_vertices_travel_with_the_head(
    blender, addon, three_parts, tmp_path
):
    heads = addon("heads.scene")
    heads.create_head(blender.context.scene, three_parts, "Kopf", as_parts=True)
    path = str(tmp_path / "head.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.open_mainfile(filepath=path)
    main = blender.data.objects["Kopf"]
    assert heads.is_our_head(main)
    assert np.allclose(heads.landmarks_at_rest(main), three_parts.landmarks, atol=1e-7)
    assert np.array_equal(heads.face_for_voice(main).landmarks, heads.landmarks_at_rest(main))
    main["vividkeys_landmarks"] = [1, 2, 3]
    assert not heads.is_our_head(main)


def test_lip_keys_of_such_a_head_are_compared_with_a_takes(blender, addon, three_parts, make_take):
    made = addon("heads.scene").create_head(blender.context.scene, three_parts, "Kopf")
    performance = replace(make_take(offsets=2), neutral=three_parts.landmarks)
    same = three_parts.offset_fields[:, np.arange(468) % 330]
    assert addon("animation.lip_detail").fits(made, replace(performance, offset_basis=same))
    assert not addon("animation.lip_detail").fits(made, replace(performance, offset_basis=-same))


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
    heads = addon("heads.scene")
    head = heads.create_head(blender.context.scene, make_face(meta=meta), "Warned")
    assert heads.head_warnings(head) == ("The photo shows two faces.",)
    assert "secret" not in str(dict(head.items()))
    assert head["vividkeys_landmarks"] == 468
    assert heads.is_our_head(head)


def test_heads_share_one_collection_and_get_their_own_names(blender, addon, make_face):
    heads, scene = addon("heads.scene"), blender.context.scene
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
    assert not addon("heads.scene").is_our_head(head)


def test_the_landmarks_are_those_of_the_rest_shape(addon, head, make_face):
    assert np.array_equal(addon("heads.scene").landmarks_at_rest(head), make_face().vertices[:468])
