# SPDX-License-Identifier: GPL-3.0-or-later
"""glTF: places, shapes, skins, pictures; and files that lie about themselves."""

from __future__ import annotations

import base64
import io
import json
import struct

import numpy as np
import pytest
from glb_bytes import CORNERS, Glb, square
from PIL import Image

from backend.mesh_files import read_mesh
from shared.errors import ErrorKind, VividKeysError

SQUARE = {(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)}


@pytest.fixture
def read(tmp_path):
    def read_bytes(data, name="head.glb"):
        path = tmp_path / name
        path.write_bytes(data)
        return read_mesh(path)

    return read_bytes


def places(mesh):
    return {tuple(np.round(row, 5).tolist()) for row in mesh.vertices}


def test_a_square_in_our_axes_with_its_shape_and_one_vertex_per_corner(read):
    mesh = read(square().glb())
    assert len(mesh.vertices) == 4 and places(mesh) == SQUARE
    assert mesh.piece_names == ("Head",) and mesh.metres
    top = mesh.vertices[:, 2] > 0.5
    assert np.allclose(mesh.shapes["jawOpen"][top], (0, 0, -0.25))
    assert not mesh.shapes["jawOpen"][~top].any()
    # The seam stays in the corners' texture coordinates, v upwards.
    shown = {(*mesh.vertices[v][[0, 2]], *uv) for t, c in zip(mesh.triangles, mesh.uvs, strict=True)
             for v, uv in zip(t, c, strict=True)}  # fmt: skip
    assert (0, 0, 0, 0) in shown and (0, 0, 0.5, 0) in shown and (1, 1, 1, 1) in shown


def test_vertices_in_one_place_that_move_apart_stay_two(read):
    made = square()
    moved = np.zeros_like(CORNERS)
    moved[0] = (0, 0.5, 0)
    target = made.accessor(moved)
    made.document["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": target}]
    mesh = read(made.glb())
    assert len(mesh.vertices) == 5
    assert np.count_nonzero(mesh.shapes["jawOpen"].any(axis=1)) == 1


def test_objects_stand_where_their_parents_put_them(read):
    made = square(scale=[2, 2, 2])
    made.document["nodes"].append(
        {"children": [0], "translation": [1, 0, 0], "rotation": [0, 0.5**0.5, 0, 0.5**0.5]}
    )
    made.document["scenes"][0]["nodes"] = [1]
    mesh = read(made.glb())
    # A quarter turn about the vertical takes +X to the back, which is +Y here.
    assert places(mesh) == {(1, 0, 0), (1, 2, 0), (1, 2, 2), (1, 0, 2)}
    assert np.allclose(mesh.shapes["jawOpen"].min(axis=0), (0, 0, -0.5))


def test_a_mirrored_object_keeps_its_outside_out(read):
    mesh = read(square(scale=[-1, 1, 1]).glb())
    a, b, c = (mesh.vertices[mesh.triangles[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 1] < 0).all()


def test_sparse_and_normalized_arrays_and_short_integers(read):
    made = square()
    primitive = made.document["meshes"][0]["primitives"][0]
    full = (CORNERS * 32767).astype(np.int16)
    primitive["attributes"]["POSITION"] = made.accessor(full, normalized=True)
    made.document["accessors"].append(
        {
            "componentType": 5126, "count": 6, "type": "VEC3",
            "sparse": {
                "count": 1,
                "indices": {"bufferView": made.view(b"\x02\x00"), "componentType": 5123},
                "values": {"bufferView": made.view(np.float32([0, 0, 3]).tobytes())},
            },
        }
    )  # fmt: skip
    primitive["targets"][0]["POSITION"] = len(made.document["accessors"]) - 1
    mesh = read(made.glb())
    assert places(mesh) == SQUARE
    assert np.allclose(mesh.shapes["jawOpen"].sum(axis=0), (0, -3, 0))


def test_a_skinned_mesh_is_where_its_joints_have_it(read):
    made = square(skin=0, translation=[50, 0, 0])
    primitive = made.document["meshes"][0]["primitives"][0]
    joints = np.zeros((6, 4), np.uint8)
    weights = np.zeros((6, 4), np.float32)
    weights[:, 0] = 1.0
    primitive["attributes"]["JOINTS_0"] = made.accessor(joints)
    primitive["attributes"]["WEIGHTS_0"] = made.accessor(weights)
    joint = made.node(translation=[0, 1.5, 0])
    bind = np.eye(4, dtype=np.float32)
    bind[1, 3] = -1.0
    made.document["skins"] = [
        {"joints": [joint], "inverseBindMatrices": made.accessor(bind.T.reshape(1, 16))}
    ]
    # The place of the mesh's own node does not count.
    assert places(read(made.glb())) == {(x, y, z + 0.5) for x, y, z in SQUARE}


def test_pictures_and_colours_of_materials(read):
    made = square()
    picture = io.BytesIO()
    Image.new("RGB", (5, 3), (10, 200, 30)).save(picture, "PNG")
    made.document["images"] = [{"bufferView": made.view(picture.getvalue())}]
    made.document["textures"] = [{"source": 0}]
    made.document["materials"] = [
        {"name": "skin", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
        {"name": "eye", "pbrMetallicRoughness": {"baseColorFactor": [0.2140411, 0, 1, 1]}},
    ]
    made.document["meshes"][0]["primitives"][0]["material"] = 0
    mesh = read(made.glb())
    assert mesh.materials[0].picture.shape == (3, 5, 3)
    assert mesh.materials[0].picture[0, 0].tolist() == [10, 200, 30]
    assert np.allclose(mesh.materials[1].colour, (0.5, 0, 1), atol=1e-3)


@pytest.mark.parametrize("way", ["beside", "data", "elsewhere"])
def test_a_buffer_lies_beside_the_file_or_in_it_and_nowhere_else(read, tmp_path, way):
    made = square()
    (tmp_path / "sub").mkdir()
    (tmp_path / "out.bin").write_bytes(made.buffer)
    (tmp_path / "sub" / "Büffer 1.bin").write_bytes(made.buffer)
    uri = {
        "beside": "B%C3%BCffer%201.bin",
        "data": "data:application/octet-stream;base64," + base64.b64encode(made.buffer).decode(),
        "elsewhere": "../out.bin",
    }[way]
    data = made.gltf(uri)
    if way == "elsewhere":
        with pytest.raises(VividKeysError, match="not found next to it"):
            read(data, "sub/head.gltf")
    else:
        assert places(read(data, "sub/head.gltf")) == SQUARE


def test_compressed_meshes_say_what_to_do(read):
    made = square()
    made.document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    with pytest.raises(VividKeysError, match="Draco") as caught:
        read(made.glb())
    assert caught.value.kind is ErrorKind.BAD_FILE and caught.value.next_step


def _spoil(path, value):
    def spoil(document):
        place = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _spoil(["accessors", 0, "count"], 2**40),
        _spoil(["accessors", 0, "count"], -5),
        _spoil(["accessors", 0], {"componentType": 5126, "count": 30_000_000, "type": "VEC3"}),
        _spoil(["accessors", 0, "byteOffset"], 2**31),
        _spoil(["accessors", 0, "byteOffset"], -4),
        _spoil(["accessors", 0, "componentType"], 1),
        _spoil(["accessors", 0, "type"], "VEC9"),
        _spoil(["bufferViews", 0, "byteLength"], 2**33),
        _spoil(["bufferViews", 0, "byteOffset"], -1),
        _spoil(["bufferViews", 0, "byteStride"], 1),
        _spoil(["bufferViews", 0, "buffer"], 7),
        _spoil(["nodes", 0, "mesh"], 12),
        _spoil(["nodes", 0, "mesh"], True),
        _spoil(["nodes", 0, "children"], [0]),
        _spoil(["nodes", 0, "matrix"], [1, 2]),
        _spoil(["nodes"], {"a": 1}),
        _spoil(["scenes", 0, "nodes"], [99]),
        _spoil(["meshes", 0, "primitives", 0, "indices"], 1),
        _spoil(["meshes", 0, "primitives", 0, "targets"], [{"POSITION": 1}]),
        _spoil(["meshes", 0, "primitives"], 3),
        _spoil(["meshes", 0, "primitives", 0, "attributes"], {"POSITION": "x"}),
        _spoil(["asset"], {"version": "1.0"}),
        _spoil(["asset"], None),
    ],
)  # fmt: skip
def test_a_file_that_lies_is_an_error_with_a_sentence(read, spoil):
    made = square()
    spoil(made.document)
    with pytest.raises(VividKeysError) as caught:
        read(made.glb())
    assert caught.value.kind in (ErrorKind.BAD_FILE, ErrorKind.TOO_LARGE)
    assert "head.glb" in caught.value.sentence


def test_every_cut_and_many_changes_of_a_file_are_survived(read):
    data = square().glb()
    random = np.random.default_rng(3)
    for length in range(0, len(data), 37):
        with pytest.raises(VividKeysError):
            read(data[:length])
    for _ in range(150):
        spoiled = bytearray(data)
        for place in random.integers(12, len(data), 4):
            spoiled[place] = int(random.integers(0, 256))
        try:
            read(bytes(spoiled))
        except VividKeysError as error:
            assert error.kind in (ErrorKind.BAD_FILE, ErrorKind.TOO_LARGE)


def test_not_numbers_are_refused(read):
    made = Glb()
    broken = CORNERS.copy()
    broken[1] = np.nan
    primitive = {"attributes": {"POSITION": made.accessor(broken)}}
    made.document["meshes"].append({"primitives": [primitive]})
    made.node(mesh=0)
    with pytest.raises(VividKeysError, match="not finite"):
        read(made.glb())


def test_a_chunk_longer_than_the_file_is_refused(read):
    text = json.dumps({"asset": {"version": "2.0"}}).encode()
    data = struct.pack("<4sII", b"glTF", 2, 100) + struct.pack("<I4s", 2**31, b"JSON") + text
    with pytest.raises(VividKeysError, match="truncated"):
        read(data)
