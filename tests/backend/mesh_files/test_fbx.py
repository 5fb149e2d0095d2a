# SPDX-License-Identifier: GPL-3.0-or-later
"""FBX: both widths of its nodes, packed arrays, transforms, axes, shapes; damaged files."""

from __future__ import annotations

import numpy as np
import pytest
from fbx_bytes import fbx, node, properties, square

from backend.mesh_files import read_mesh
from shared.errors import ErrorKind, VividKeysError


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "head.fbx"
        path.write_bytes(data)
        return read_mesh(path)

    return read_bytes


@pytest.mark.parametrize("version", [7400, 7700])
@pytest.mark.parametrize("packed", [True, False])
def test_a_square_in_metres_and_our_axes_with_its_shape(read, version, packed):
    mesh = read(square(version, packed))
    assert np.allclose(mesh.vertices, [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]])
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert np.allclose(mesh.uvs[1], [[0, 0], [1, 1], [0, 1]])
    assert np.allclose(mesh.shapes["jawOpen"], [[0, 0, 0], [0, 0, 0], [0, 0, -0.25], [0, 0, -0.25]])
    assert mesh.piece_names == ("Head",)
    assert [(m.name, m.colour) for m in mesh.materials] == [("Skin", (0.5, 0.25, 1.0))]


def test_a_model_is_turned_moved_and_scaled_with_its_pivot(read):
    mesh = read(
        square(
            Lcl_Translation=(100.0, 0.0, 0.0),
            Lcl_Rotation=(0.0, 90.0, 0.0),
            Lcl_Scaling=(2.0, 2.0, 2.0),
            RotationPivot=(100.0, 0.0, 0.0),
        )
    )
    # Scaled to two metres, turned about the pivot at x = 1 (its +X goes to the back), then moved.
    assert np.allclose(mesh.vertices, [[2, -1, 0], [2, 1, 0], [2, 1, 2], [2, -1, 2]], atol=1e-6)
    assert np.allclose(mesh.shapes["jawOpen"][2], (0, 0, -0.5), atol=1e-6)


def test_other_axes_and_units_come_out_the_same(read):
    data = square()
    settings = properties(
        UpAxis=2, UpAxisSign=1, FrontAxis=1, FrontAxisSign=-1, CoordAxis=0, CoordAxisSign=1,
        UnitScaleFactor=100.0,
    )  # fmt: skip
    settings_node = node("GlobalSettings", children=[settings])
    vertices = np.array([0, 0, 0, 1, 0, 0, 1, 0, 1], np.float64)
    data = fbx(
        [
            settings_node,
            node("Objects", children=[
                node("Geometry", 1, "G", "Mesh", children=[
                    node("Vertices", vertices),
                    node("PolygonVertexIndex", np.array([0, 1, -3], np.int32)),
                ]),
                node("Model", 2, "Head", "Mesh"),
            ]),
            node("Connections", children=[node("C", "OO", 1, 2), node("C", "OO", 2, 0)]),
        ]
    )  # fmt: skip
    assert np.allclose(read(data).vertices, vertices.reshape(3, 3))


def test_text_fbx_says_what_to_do(read):
    with pytest.raises(VividKeysError, match="export it as binary FBX"):
        read(b"; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n")


def test_every_cut_and_many_changes_of_a_file_are_survived(read):
    data = square(packed=False)
    random = np.random.default_rng(5)
    for length in range(0, len(data) - 60, 41):
        try:
            read(data[:length])
        except VividKeysError as error:
            assert error.kind is ErrorKind.BAD_FILE
    refused = 0
    for _ in range(300):
        spoiled = bytearray(data)
        for place in random.integers(27, len(data), 3):
            spoiled[place] = int(random.integers(0, 256))
        try:
            read(bytes(spoiled))
        except VividKeysError as error:
            refused += 1
            assert error.kind in (ErrorKind.BAD_FILE, ErrorKind.TOO_LARGE)
    assert refused > 50


def test_an_array_that_unfolds_into_more_than_it_says_is_refused(read):
    bomb = np.zeros(200_000, np.float64)
    data = bytearray(
        fbx([node("Objects", children=[node("Geometry", 1, "G", "Mesh",
            children=[node("Vertices", bomb)])])])
    )  # fmt: skip
    place = data.index(b"d" + (200_000).to_bytes(4, "little"))
    data[place + 1 : place + 5] = (3).to_bytes(4, "little")
    with pytest.raises(VividKeysError, match="the length it declares"):
        read(bytes(data))
    data[place + 1 : place + 5] = (2**31).to_bytes(4, "little")
    with pytest.raises(VividKeysError, match="too large"):
        read(bytes(data))


def test_objects_that_are_their_own_children_are_refused(read):
    data = square()
    # Model 2 hangs from the scene (0); now from itself.
    old = b"OO" + b"L" + (2).to_bytes(8, "little") + b"L" + (0).to_bytes(8, "little")
    new = b"OO" + b"L" + (2).to_bytes(8, "little") + b"L" + (2).to_bytes(8, "little")
    assert old in data
    with pytest.raises(VividKeysError, match="contains a cycle"):
        read(data.replace(old, new))
