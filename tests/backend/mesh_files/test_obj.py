# SPDX-License-Identifier: GPL-3.0-or-later
"""OBJ files with materials, folders of them, plain arrays; and what is wrong with some."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.mesh_files import read_mesh
from shared.errors import ErrorKind, VividKeysError

QUAD = """mtllib square.mtl
o Head
v 0 0 0
v 1 0 0 0.5 0.5 0.5
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl skin
f 1/1/1 2/2/1 3/3/1 4/4/1
"""


def write(folder, name, text):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_quad_in_our_axes_with_its_material(tmp_path):
    write(tmp_path, "square.mtl", "newmtl skin\nKd 0.5 1 0\nmap_Kd -s 1 1 1 my skin.png\n")
    Image.new("RGB", (4, 2), (1, 2, 3)).save(tmp_path / "my skin.png")
    mesh = read_mesh(write(tmp_path, "square.obj", QUAD.replace("v 1 0 0 0.5 0.5 0.5", "v 1 0 0")))
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]] and not mesh.metres
    assert mesh.uvs[1].tolist() == [[0, 0], [1, 1], [0, 1]]
    assert mesh.piece_names == ("Head",)
    material = mesh.materials[0]
    assert (material.name, material.colour) == ("skin", (0.5, 1.0, 0.0))
    assert material.picture.shape == (2, 4, 3)


def test_vertex_colours_negative_numbers_and_several_objects(tmp_path):
    text = QUAD + "o Eye\nv 5 0 0\nv 6 0 0\nv 5 1 0\nf -3 -2 -1\n"
    mesh = read_mesh(write(tmp_path, "two.obj", text))
    assert mesh.piece_names == ("Head", "Eye")
    assert mesh.piece.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert mesh.triangles[-1].tolist() == [4, 5, 6]
    assert not mesh.uvs[-1].any()
    assert any("square.mtl" in warning for warning in mesh.warnings)


def test_pictures_outside_the_folder_are_not_opened(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    Image.new("RGB", (4, 2)).save(tmp_path / "secret.png")
    write(inside, "square.mtl", "newmtl skin\nmap_Kd ../secret.png\n")
    mesh = read_mesh(write(inside, "square.obj", QUAD))
    assert mesh.materials[0].picture is None
    assert any("secret.png" in warning for warning in mesh.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v 0 0 0\n",
        "v 0 0\nf 1 1 1\n",
        "v a b c\nf 1 1 1\n",
        QUAD + "f 1 2 99\n",
        QUAD + "f 1/1 2/2 3/99\n",
        QUAD + "f 1 2 x\n",
        QUAD + "f 0 1 2\n",
        QUAD + "f -9 1 2\n",
        QUAD.replace("v 1 1 0", "v 1 inf 0"),
        QUAD.replace("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1 1 2"),
        "\0\1\2" * 1000,
    ],
)
def test_damaged_files_are_named(tmp_path, text):
    with pytest.raises(VividKeysError) as caught:
        read_mesh(write(tmp_path, "bad.obj", text))
    assert caught.value.kind is ErrorKind.BAD_FILE and "bad.obj" in caught.value.sentence


def test_a_folder_has_the_neutral_mesh_and_one_file_per_shape(tmp_path):
    write(
        tmp_path, "generic_neutral_mesh.obj", QUAD + "o Eye\nv 5 0 0\nv 6 0 0\nv 5 1 0\nf 7 6 5\n"
    )
    moved = QUAD.replace("v 1 1 0", "v 1 0.5 0.25") + "v 5 0 0\nv 6 0 0\nv 5 1 0\n"
    write(tmp_path, "browDown_L.obj", moved)
    write(tmp_path, "identity000.obj", moved.replace("v 5 0 0", "v 7 0 0"))
    write(tmp_path, "other.obj", "v 0 0 0\n")
    mesh = read_mesh(tmp_path)
    assert list(mesh.shapes) == ["browDown_L", "identity000"]
    assert mesh.shapes["browDown_L"].tolist()[2] == [0, -0.25, -0.5]
    assert not mesh.shapes["browDown_L"][[0, 1, 3, 4, 5, 6]].any()
    assert np.argwhere(mesh.shapes["identity000"][:, 0]).tolist() == [[4]]
    assert mesh.vertices[4].tolist() == [5, 0, 0]
    assert any("other.obj" in warning for warning in mesh.warnings)


def test_a_folder_without_a_neutral_mesh_says_so(tmp_path):
    for name in ("a.obj", "b.obj"):
        write(tmp_path, name, QUAD)
    with pytest.raises(VividKeysError, match="neutral"):
        read_mesh(tmp_path)


def test_plain_arrays(tmp_path):
    path = tmp_path / "mesh.npz"
    np.savez(path, vertices=np.eye(3), triangles=[[0, 1, 2]])
    assert read_mesh(path).vertices.tolist() == np.eye(3).tolist()
    np.savez(path, vertices=np.eye(3), triangles=[[0, 1, 9]])
    with pytest.raises(VividKeysError, match="do not exist"):
        read_mesh(path)
    np.savez(path, vertices=np.eye(3), triangles=np.array([["a"]], object), allow_pickle=True)
    with pytest.raises(VividKeysError):
        read_mesh(path)


@pytest.mark.parametrize("name", ["head.blend", "head", "missing.glb", "missing.obj"])
def test_other_files_are_refused(tmp_path, name):
    with pytest.raises(VividKeysError, match=name.split(".")[0]):
        read_mesh(tmp_path / name)
