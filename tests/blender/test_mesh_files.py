# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend reads what Blender's own exporters write: GLB, separate glTF, FBX, OBJ."""

from __future__ import annotations

import numpy as np
import pytest

from backend.mesh_files import read_mesh
from shared.errors import VividKeysError


@pytest.fixture
def scene(blender):
    """A turned, moved and stretched monkey with two shapes, and an eye that hangs from it."""
    blender.ops.mesh.primitive_monkey_add(location=(0.1, 0.2, 1.5), rotation=(0.1, 0.2, 0.3))
    head = blender.context.object
    head.name, head.scale = "Head", (0.1, 0.12, 0.1)
    head.shape_key_add(name="Basis")
    for name, depth in (("jawOpen", -0.2), ("eyeBlink_L", 0.1)):
        key = head.shape_key_add(name=name, from_mix=False)
        key.value = 0.0  # newer versions add keys that are on
        for point in list(key.points)[::3]:
            point.co.z += depth
    blender.ops.mesh.primitive_uv_sphere_add(radius=0.02, location=(0.3, 0.1, 0.2))
    eye = blender.context.object
    eye.name, eye.parent = "Eye", head
    blender.context.view_layer.update()
    return {"Head": head, "Eye": eye}


def _world(thing, points):
    matrix = np.array(thing.matrix_world)
    return np.array([point.co[:] for point in points]) @ matrix[:3, :3].T + matrix[:3, 3]


def _export(blender, path, kind):
    operators = blender.ops
    if kind == "glb":
        operators.export_scene.gltf(filepath=str(path))
    elif kind == "gltf":
        operators.export_scene.gltf(filepath=str(path), export_format="GLTF_SEPARATE")
    elif kind == "sparse.glb":
        operators.export_scene.gltf(filepath=str(path), export_try_sparse_sk=True)
    elif kind == "fbx":
        operators.export_scene.fbx(filepath=str(path), use_mesh_modifiers=False)
    else:
        operators.wm.obj_export(filepath=str(path))


@pytest.mark.parametrize("kind", ["glb", "gltf", "sparse.glb", "fbx", "obj"])
def test_what_blender_writes_is_read_as_it_stands_in_blender(blender, scene, tmp_path, kind):
    path = tmp_path / f"monkey.{kind}"
    _export(blender, path, kind)
    mesh = read_mesh(path)
    assert sorted(name.split(".")[0] for name in mesh.piece_names) == ["Eye", "Head"]
    for number, label in enumerate(mesh.piece_names):
        thing = scene[label.split(".")[0]]
        wanted = _world(thing, thing.data.vertices)
        found = mesh.vertices[mesh.piece == number]
        away = np.linalg.norm(found[:, None] - wanted[None], axis=2)
        assert away.min(axis=1).max() < 2e-5 and len(found) <= len(wanted)
        assert len(found) > 0.98 * len(wanted)
        if label == "Head" and kind != "obj":
            nearest = away.argmin(axis=1)
            for block in thing.data.shape_keys.key_blocks[1:]:
                offsets = _world(thing, block.points) - wanted
                got = mesh.shapes[block.name][mesh.piece == number]
                assert np.abs(got - offsets[nearest]).max() < 2e-5
    assert set(mesh.shapes) == (set() if kind == "obj" else {"jawOpen", "eyeBlink_L"})


def test_a_mesh_that_blender_packs_with_draco_says_what_to_do(blender, scene, tmp_path):
    path = tmp_path / "packed.glb"
    blender.ops.export_scene.gltf(filepath=str(path), export_draco_mesh_compression_enable=True)
    if b"KHR_draco_mesh_compression" not in path.read_bytes():
        pytest.skip("this Blender has no Draco library")
    with pytest.raises(VividKeysError, match="Draco"):
        read_mesh(path)


def test_a_head_of_ours_comes_back_from_a_glb(blender, addon, head, make_face, tmp_path):
    path = tmp_path / "head.glb"
    # Without its picture: Blender's Python has nothing that reads one.
    blender.ops.export_scene.gltf(filepath=str(path), export_materials="NONE")
    mesh, face = read_mesh(path), make_face()
    assert list(mesh.shapes) == list(addon("shared.arkit").ARKIT_NAMES)
    away = np.linalg.norm(mesh.vertices[:, None] - face.vertices[None], axis=2)
    assert away.min(axis=0).max() < 1e-6
    nearest = away.argmin(axis=1)
    assert np.abs(mesh.shapes["jawOpen"] - face.shapes[17][nearest]).max() < 1e-6
