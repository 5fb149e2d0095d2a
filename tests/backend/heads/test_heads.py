# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding, listing, using and removing heads."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from backend import heads
from backend.heads import add
from backend.heads.folder import head_path
from backend.heads.stored_head import load_head, save_head
from backend.mesh_files import Material, MeshFile
from backend.samples import PORTRAIT
from backend.watch import Watch
from shared.arkit import ARKIT_NAMES, INDEX
from shared.errors import ErrorKind, VividKeysError


def test_our_own_head_is_always_there_and_stays(heads_folder):
    assert [head.name for head in heads.installed_heads()] == ["own"]
    for name in ("own", "OWN"):
        with pytest.raises(VividKeysError, match="cannot be replaced or removed"):
            heads.remove_head(name)
    with pytest.raises(VividKeysError, match="cannot be replaced or removed"):
        heads.add_head(heads_folder / "x.glb", "own")


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".hidden", "con", "LPT1", "a" * 41, "a b", "é",
     "x.npz", "x\0", "-x"],
)  # fmt: skip
def test_a_name_can_not_leave_the_folder(name, heads_folder):
    for use in (heads.remove_head, lambda n: heads.add_head(heads_folder / "x.glb", n)):
        with pytest.raises(VividKeysError) as caught:
            use(name)
        assert caught.value.kind is ErrorKind.BAD_REQUEST
    if name:
        with pytest.raises(VividKeysError, match="cannot be the name"):
            heads.head_from_photo(name, b"")


def test_a_character_becomes_a_head_of_our_size_in_our_place(character, seen, plain, heads_folder):
    mesh, landmarks = character()
    info = heads.add_head(mesh, landmarks=landmarks, licence="CC0")
    assert (info.name, info.title, info.licence) == ("my-character", "My Character", "CC0")
    assert info.warnings == ("The head has no shape for tongueOut.",)
    assert heads.installed_heads()[1:] == [info]
    assert [path.name for path in heads_folder.iterdir()] == ["my-character.head.npz"]
    seen(change=np.random.default_rng(0).normal(0, 0.002, (468, 3)))
    face = heads.head_from_photo("My-Character", b"")
    # Whatever the photo shows: the file's own shape stays.
    assert np.allclose(face.vertices, plain.vertices, atol=5e-4)
    assert np.allclose(face.landmarks, plain.vertices[:468], atol=5e-4)
    for name in ARKIT_NAMES:
        wanted = plain.shapes[INDEX[name]] * (name != "tongueOut")
        assert np.allclose(face.shapes[INDEX[name]], wanted, atol=2e-4), name
    assert face.meta["head"] == "my-character" and face.meta["warnings"] == list(info.warnings)


def test_identity_is_taken_on_mildly_where_it_is_wanted(character, seen, plain):
    mesh, landmarks = character()
    heads.add_head(mesh, "soft", landmarks=landmarks, identity=True)
    change = np.zeros((468, 3))
    change[:, 0] = 0.006 * np.sign(plain.vertices[:468, 0]) * (plain.vertices[:468, 2] < -0.03)
    seen(change)
    moved = heads.head_from_photo("soft", b"").vertices - plain.vertices
    wide = np.abs(change[:, 0]) > 0
    share = (moved[:468] * change)[wide].sum() / (change[wide] ** 2).sum()
    assert 0.3 < share < 0.7
    assert np.abs(moved).max() < 0.006
    # Not a tear between neighbours: edges are changed by a little of their length.
    a, b = plain.triangles[:, 0], plain.triangles[:, 1]
    length = np.linalg.norm(plain.vertices[a] - plain.vertices[b], axis=1)
    assert np.percentile(np.linalg.norm(moved[a] - moved[b], axis=1) / length, 95) < 0.5


def test_lip_fields_lie_near_the_lips_and_equal_those_of_the_landmarks(character, seen, plain):
    from backend.face.lip_fields import offset_basis

    mesh, landmarks = character()
    heads.add_head(mesh, "lips", landmarks=landmarks)
    seen()
    face = heads.head_from_photo("lips", b"")
    basis = offset_basis(face.landmarks)
    assert face.offset_fields.shape[0] == len(basis) == 12
    on_skin = face.offset_fields[:, :468]
    strong = np.linalg.norm(basis, axis=2) > 0.3 * np.linalg.norm(basis, axis=2).max()
    error = np.linalg.norm(on_skin - basis, axis=2)[strong] / np.linalg.norm(basis, axis=2)[strong]
    assert np.median(error) < 0.25
    away = np.linalg.norm(face.vertices - face.landmarks[13], axis=1) > 0.09
    assert not face.offset_fields[:, away].any()


def test_a_mesh_without_arkit_shapes_is_refused(character, heads_folder):
    mesh, landmarks = character(spell=lambda name: f"x{hash(name)}")
    with pytest.raises(VividKeysError, match="0 of the 52"):
        heads.add_head(mesh, "x", landmarks=landmarks)
    assert not heads_folder.exists() or not list(heads_folder.iterdir())


@pytest.mark.parametrize("spell", [
    lambda n: n, str.lower, lambda n: n.replace("Left", "_L").replace("Right", "_R"),
    lambda n: f"blendShape1.{n}", lambda n: f"Head__{n}",
])  # fmt: skip
def test_names_may_be_spelled_as_programs_do(character, spell):
    mesh, landmarks = character(spell=spell, leave_out=())
    assert heads.add_head(mesh, "x", landmarks=landmarks).warnings == ()


@pytest.mark.parametrize(
    "arrays",
    [{}, {"landmarks": np.zeros((4, 3))}, {"landmarks": np.full((468, 3), np.nan)},
     {"barycentric": np.ones((468, 3)), "triangles": np.full((468, 3), 10**6)}],
)  # fmt: skip
def test_landmarks_that_do_not_fit_are_refused(character, tmp_path, arrays):
    mesh, _ = character()
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(VividKeysError, match=r"wrong\.npz"):
        heads.add_head(mesh, "x", landmarks=tmp_path / "wrong.npz")


def test_the_face_is_looked_for_on_the_piece_that_arkits_shapes_move(plain, tmp_path, monkeypatch):
    """The finder itself has its own tests; here it gives back what it was asked."""
    asked = []

    def find_landmarks(character, progress):
        asked.append(character)
        return SimpleNamespace(places=character.vertices[character.piece == 0][:468])

    monkeypatch.setattr(add, "find_landmarks", find_landmarks)
    count = len(plain.vertices)
    mesh = MeshFile(
        vertices=np.concatenate([[[0, 0, 1], [1, 0, 1], [0, 0, 2]], plain.vertices]).astype(
            np.float32
        ),
        triangles=np.concatenate([[[0, 1, 2]], plain.triangles + 3]).astype(np.int32),
        uvs=np.zeros((len(plain.triangles) + 1, 3, 2), np.float32),
        piece=np.repeat([0, 1], [3, count]).astype(np.int32),
        piece_names=("Hat", "Head"),
        triangle_material=np.zeros(len(plain.triangles) + 1, np.int32),
        materials=(Material("skin"),),
        shapes={
            name: np.concatenate([np.zeros((3, 3), np.float32), offsets])
            for name, offsets in zip(ARKIT_NAMES, plain.shapes, strict=True)
        },
    )
    monkeypatch.setattr(add, "read_mesh", lambda path: mesh)
    heads.add_head(tmp_path / "character.glb", "found")
    assert asked[0].piece_names == ("Head", "Hat")
    head = load_head(head_path("found"))
    assert np.allclose(head.on_landmarks(head.vertices), plain.vertices[:468], atol=5e-4)


def test_a_stored_head_comes_back_and_a_damaged_one_stops_nothing(character, heads_folder):
    mesh, landmarks = character()
    heads.add_head(mesh, "good", landmarks=landmarks)
    stored = load_head(head_path("good"))
    again = dataclasses.replace(stored, meta={**stored.meta, "title": "Ünal"})
    save_head(again, head_path("other"))
    back = load_head(head_path("other"))
    for field in dataclasses.fields(stored):
        value, other = getattr(again, field.name), getattr(back, field.name)
        if isinstance(value, np.ndarray):
            assert np.allclose(value, other, atol=1e-6), field.name
        else:
            assert value == other, field.name
    (heads_folder / "bad.head.npz").write_bytes(b"PK nothing")
    data = head_path("good").read_bytes()
    (heads_folder / "cut.head.npz").write_bytes(data[: len(data) // 2])
    assert [head.name for head in heads.installed_heads()] == ["own", "good", "other"]
    for name in ("bad", "cut"):
        with pytest.raises(VividKeysError) as caught:
            heads.head_from_photo(name, PORTRAIT)
        assert caught.value.kind is ErrorKind.BAD_FILE
        heads.remove_head(name)
    heads.remove_head("good")
    with pytest.raises(VividKeysError, match="no installed head 'good'"):
        heads.remove_head("good")
    assert [head.name for head in heads.installed_heads()] == ["own", "other"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("triangles", 10**6), ("field_rows", -1), ("field_landmarks", 468), ("vertex_part", 9)],
)
def test_a_stored_head_with_wrong_indices_is_damaged(character, name, value):
    mesh, landmarks = character()
    heads.add_head(mesh, "x", landmarks=landmarks)
    with np.load(head_path("x"), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays[name] = arrays[name].copy()
    arrays[name].flat[0] = value
    np.savez(head_path("x"), **arrays)
    with pytest.raises(VividKeysError, match="damaged"):
        load_head(head_path("x"))


def test_a_photo_without_a_face_and_a_cancelled_fit(character):
    mesh, landmarks = character()
    heads.add_head(mesh, "x", landmarks=landmarks)
    with pytest.raises(VividKeysError) as caught:
        heads.head_from_photo("x", b"no picture")
    assert caught.value.kind is ErrorKind.BAD_IMAGE
    with pytest.raises(VividKeysError) as caught:
        heads.head_from_photo("x", PORTRAIT, Watch(cancelled=lambda: True))
    assert caught.value.kind is ErrorKind.CANCELLED


def test_the_commands_add_list_use_and_remove(character, capsys, tmp_path):
    from backend.commands.main import main
    from shared.face import load_face

    mesh, landmarks = character()
    assert main(["heads", "add", str(mesh), "--name", "anna", "--landmarks", str(landmarks)]) == 0
    assert "note: The head has no shape for tongueOut." in capsys.readouterr().out
    assert main(["heads", "list"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("own") and out[1].startswith("anna")
    face = tmp_path / "face.npz"
    command = ["reconstruct", str(PORTRAIT), "--out", str(face), "--head"]
    assert main([*command, "anna"]) == 0
    assert load_face(face).meta["head"] == "anna"
    assert main([*command, "berta"]) == 1
    assert "no installed head 'berta'" in capsys.readouterr().err
    assert main(["heads", "remove", "anna"]) == 0
    assert main(["heads", "remove", "anna"]) == 1
