# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and hostile mesh files and heads: a mesh, or an error with a sentence."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.mesh_files import read_mesh
from backend.mesh_files.checks import MAX_TRIANGLES
from shared.errors import ErrorKind, VividKeysError
from tests.backend.mesh_files import fbx_bytes, glb_bytes
from tests.mutations import spoilt, spoilt_archives

CASES = Path(__file__).resolve().parents[2] / "cases"
ROUNDS = 200
KINDS = (ErrorKind.BAD_FILE, ErrorKind.TOO_LARGE)

OBJ = b"""mtllib a.mtl
o head
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl skin
f 1/1 2/2 3/3 4/4
f -4/-4 -3/-3 -2/-2
"""


def npz_bytes() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(
        out,
        vertices=np.eye(3, dtype=np.float32),
        triangles=np.array([[0, 1, 2]], np.int32),
        names=np.array(["jawOpen"]),
        deltas=np.ones((1, 3, 3), np.float32),
    )
    return out.getvalue()


def mesh_or_error(path: Path) -> bool:
    try:
        read_mesh(path)
    except VividKeysError as error:
        assert error.kind in KINDS
        assert error.sentence and error.next_step
        return False
    return True


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("npzmesh-*.bin")))
def test_damaged_archives_are_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mesh.npz"
    path.write_bytes((CASES / name).read_bytes())
    assert not mesh_or_error(path)


@pytest.mark.parametrize("suffix", [".fbx", ".glb", ".obj", ".npz"])
def test_spoilt_meshes_are_meshes_or_errors(suffix: str, tmp_path: Path) -> None:
    whole = {
        ".fbx": fbx_bytes.square(),
        ".glb": glb_bytes.square().glb(),
        ".obj": OBJ,
        ".npz": npz_bytes(),
    }[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(whole)
    assert mesh_or_error(path)
    (tmp_path / "a.mtl").write_bytes(b"newmtl skin\nKd 1 0 0\nmap_Kd skin.png\n")
    versions = (spoilt_archives if suffix == ".npz" else spoilt)(whole, ROUNDS)
    read = 0
    for data in versions:
        path.write_bytes(data)
        read += mesh_or_error(path)
    assert 0 < read < ROUNDS


def test_spoilt_pictures_and_materials_are_a_colour_instead(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, "PNG")
    mesh, table, picture = (tmp_path / name for name in ("a.obj", "a.mtl", "skin.png"))
    mesh.write_bytes(OBJ)
    materials = b"newmtl skin\nKd 1 0 0\nmap_Kd -s 1 1 1 skin.png\n"
    table.write_bytes(materials)
    for data in spoilt(buffer.getvalue(), ROUNDS):
        picture.write_bytes(data)
        assert mesh_or_error(mesh)
    for data in spoilt(materials, ROUNDS):
        table.write_bytes(data)
        assert mesh_or_error(mesh)


@pytest.mark.parametrize(
    "text",
    [
        b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 " + b"9" * 5000,
        b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999999",
        b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 \xd9\xa3",
        b"v 0 0 " + b"0" * 5000 + b"\nv 1 0 0\nv 0 1 0\nf 1 2 3",
        b"v 0 0 1e400\nv 1 0 0\nv 0 1 0\nf 1 2 3",
        b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3",
        b"v 0 0 0\\\n",
        b"f 1 2 3",
        b"",
        b"\0" * 100,
    ],
)
def test_strange_objs_are_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_bytes(text)
    assert not mesh_or_error(path)


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": [{"mesh": 0}] * 200_000},
        {"nodes": [{"mesh": 10**400}]},
        {"nodes": [{"mesh": 0, "matrix": [10**400] * 16}]},
        {"nodes": [{"mesh": 0, "children": [0]}]},
        {"nodes": [{"mesh": 0, "children": [{"a": []}]}]},
        {"nodes": [{"mesh": 0, "scale": ["a", [], None]}]},
        {"accessors": [{"count": 2**62, "componentType": 5126, "type": "VEC3"}]},
        {"accessors": [{"count": -1, "componentType": 5126, "type": "VEC3"}]},
        {"accessors": [{"count": [], "componentType": {}, "type": []}]},
        {"buffers": [{"uri": "file:///etc/hostname"}]},
        {"buffers": [{"uri": "../../../../../../etc/hostname"}]},
        {"buffers": [{"uri": "data:;base64,?"}]},
        {"meshes": "no list"},
        {"asset": {"version": 10**30}},
    ],
)
def test_strange_gltf_documents_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    made = glb_bytes.square()
    whole = json.loads(made.gltf("data:;base64," + base64.b64encode(made.buffer).decode()))
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps(whole))
    assert mesh_or_error(path)
    path.write_text(json.dumps({**whole, **change}))
    assert not mesh_or_error(path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"asset": ' * 5000, '{"asset": {"version": NaN}}', "null", "{}"]
)
def test_json_that_no_gltf_is_made_of_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gltf"
    path.write_text(text)
    assert not mesh_or_error(path)


def test_more_faces_than_any_mesh_has_are_refused_while_they_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    line = b"f" + b" 1 2 3" * 100_000 + b"\n"
    path.write_bytes(b"v 0 0 0\nv 1 0 0\nv 0 1 0\n" + line * (MAX_TRIANGLES // 100_000 + 1))
    with pytest.raises(VividKeysError) as caught:
        read_mesh(path)
    assert caught.value.kind is ErrorKind.TOO_LARGE


def test_an_archive_that_is_encrypted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    data = bytearray(npz_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        places = [member.header_offset for member in archive.infolist()]
    for place in places:
        data[place + 6] |= 1
    start = data.find(b"PK\x01\x02")
    while start >= 0:
        data[start + 8] |= 1
        start = data.find(b"PK\x01\x02", start + 4)
    path.write_bytes(bytes(data))
    assert not mesh_or_error(path)
