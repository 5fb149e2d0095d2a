# SPDX-License-Identifier: GPL-3.0-or-later
"""ICT-FaceKit as a head: from one file and from a folder laid out as it is published."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backend import heads
from backend.heads import fit_photo
from backend.heads.fit_photo import identity_coefficients
from backend.heads.folder import head_path
from backend.heads.stored_head import load_head
from shared.arkit import ARKIT_NAMES, INDEX


@pytest.fixture(scope="module")
def ict(shared_data):
    folder = shared_data / "heads"
    paths = folder / "ict_facekit.npz", folder / "arkit52_on_landmarks468.npz"
    if not all(path.is_file() for path in paths):
        pytest.skip("ICT-FaceKit is not among the data")
    return paths


@pytest.fixture(scope="module")
def stored(ict, tmp_path_factory):
    """The head that ICT-FaceKit becomes, as a file; it is made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDKEYS_HEADS", str(tmp_path_factory.mktemp("heads")))
        info = heads.add_head(ict[0], "ict", landmarks=ict[1])
        return info, head_path("ict")


@pytest.fixture
def installed(stored, heads_folder):
    heads_folder.mkdir(exist_ok=True)
    head_path("ict").write_bytes(stored[1].read_bytes())
    return stored[0]


def test_it_has_parts_modes_and_all_shapes(stored):
    info, path = stored
    assert info.title == "ICT-FaceKit" and "MIT" in info.licence
    assert not info.warnings
    head = load_head(path)
    tongue = head.shapes[INDEX["tongueOut"]]
    moved = np.abs(tongue).max(axis=1) > 1e-5
    assert {head.part_names[n] for n in head.vertex_part[moved]} == {"gums_and_tongue"}
    assert tongue[:, 1].min() < -0.015
    assert len(head.modes) == 50
    assert {"face", "left_eye", "right_eye", "upper_teeth", "lower_teeth"} <= set(head.part_names)
    # The person's left is +X, the face looks along -Y.
    left = head.vertices[head.vertex_part == head.part_names.index("left_eye")]
    assert left[:, 0].min() > 0.01 and left[:, 1].mean() < head.vertices[:, 1].mean()
    puff = head.shapes[INDEX["cheekPuff"]]
    assert puff[puff[:, 0] > 0.002].any() and puff[puff[:, 0] < -0.002].any()
    blink = head.on_landmarks(head.shapes)[INDEX["eyeBlinkLeft"]]
    assert blink[386, 2] < -0.004 and abs(blink[159, 2]) < 1e-4


def test_known_modes_are_found_again_from_the_landmarks(stored):
    head = load_head(stored[1])
    modes, landmarks = head.on_landmarks(head.modes), head.on_landmarks(head.vertices)
    random = np.random.default_rng(2)
    wanted = random.normal(0, 1, len(modes)) * (np.arange(len(modes)) < 8)
    moved = np.tensordot(wanted, modes, axes=1)
    shift = np.array((0.01, -0.02, 0.005))
    found, pose = identity_coefficients(modes, landmarks, moved + shift)
    fitted = np.tensordot(found, modes, axes=1) + pose
    error = np.linalg.norm(fitted - moved - shift, axis=1).mean()
    assert error < 0.4 * np.linalg.norm(moved, axis=1).mean()
    assert np.corrcoef(found[:4], wanted[:4])[0, 1] > 0.7


def test_a_photo_shapes_it_turns_its_eyes_and_colours_its_skin(installed, seen):
    from backend.face.identity import identity_modes

    neutral = seen(2.0 * identity_modes()[1])
    face = heads.head_from_photo("ict", b"")
    plain = load_head(head_path("ict"))
    mean = plain.on_landmarks(plain.vertices)
    wanted = 2.0 * identity_modes()[1]
    got = face.landmarks - mean
    got -= got.mean(axis=0)
    wanted = wanted - wanted.mean(axis=0)
    assert (got * wanted).sum() / np.linalg.norm(got) / np.linalg.norm(wanted) > 0.85
    assert len(neutral) == 468
    # Eyeballs stay round and turn in place.
    for side in ("left", "right"):
        rows = np.flatnonzero(face.vertex_part == face.part_names.index(f"{side}_eye"))
        ball = face.vertices[rows]
        centre = (ball.min(axis=0) + ball.max(axis=0)) / 2
        away = np.linalg.norm(ball - centre, axis=1)
        assert away.max() / away.min() < 1.25
        name = f"eyeLookUp{side.capitalize()}"
        front = rows[np.argmin(ball[:, 1])]
        turned = face.shapes[INDEX[name], front]
        assert turned[2] > 0.004 and turned[1] > 0
    assert face.texture.shape == (2048, 2048, 3)
    assert face.uvs.min() >= 0 and face.uvs.max() <= 1
    skin = face.triangles[(face.vertex_part[face.triangles] == 0).all(axis=1)]
    nose = np.linalg.norm(face.vertices[skin].mean(axis=1) - face.landmarks[4], axis=1).argmin()
    uv = face.uvs[(face.vertex_part[face.triangles] == 0).all(axis=1)][nose].mean(axis=0)
    pixel = face.texture[int((1 - uv[1]) * 2048), int(uv[0] * 2048)].astype(int)
    assert np.abs(pixel - (200, 150, 120)).max() < 6


def colours_at(face, uv):
    """The texture's colours [N,3] at coordinates [N,2]."""
    height, width = face.texture.shape[:2]
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1 - uv[:, 1]) * height, 0, height - 1).astype(int)
    return face.texture[row, column].astype(float)


def test_its_skin_is_carried_over_from_our_own_head(installed, seen, plain, monkeypatch):
    """Our head wears a texture that says where on it every texel lies, between 40 and 240; what is
    not its skin is black."""
    from backend.face.build_head import template_layout
    from backend.face.texture.texels import enlarged

    layout = template_layout()
    middle, level = np.array((0.0, 0.0, 0.02)), 200.0 / 0.32
    coded = layout.spread((plain.vertices - middle) * level + 140.5)
    coded[~layout.covered] = 0
    texture = np.clip(enlarged(coded), 0, 255).astype(np.uint8)
    own = dataclasses.replace(plain, texture=texture)
    monkeypatch.setattr(fit_photo, "build_head", lambda *_: own)
    seen()
    face = heads.head_from_photo("ict", b"")

    def places(uv):
        return (colours_at(face, uv) - 140) / level + middle

    # At the landmarks it has the colours that our own head has there.
    head = load_head(head_path("ict"))
    skin = np.flatnonzero(np.isin(face.vertex_part[face.triangles], (0, 1)).all(axis=1))
    of_vertex = np.zeros((len(face.vertices), 2))
    of_vertex[face.triangles[skin].ravel()] = face.uvs[skin].reshape(-1, 2)
    uv = (of_vertex[head.landmark_triangles] * head.landmark_shares[..., None]).sum(axis=1)
    error = np.linalg.norm(places(uv) - plain.landmarks, axis=1)
    assert np.median(error) < 0.0015 and np.percentile(error, 90) < 0.004
    # Everywhere else its colour is that of a near place on our head, also beside seams.
    triangle = np.repeat(skin, 4)
    share = np.random.default_rng(4).dirichlet((1, 1, 1), len(triangle))
    uv = (face.uvs[triangle] * share[..., None]).sum(axis=1)
    assert colours_at(face, uv).min() > 30
    at = (face.vertices[face.triangles[triangle]] * share[..., None]).sum(axis=1)
    away = np.linalg.norm(places(uv) - at, axis=1)
    # Our skull has its own shape, and it has no nostrils, no inside of the mouth, no shoulders.
    above = (at[:, 2] > -0.05) & ((np.abs(at[:, 0]) > 0.04) | (at[:, 1] > 0.03) | (at[:, 2] > 0))
    assert np.percentile(away[above], 95) < 0.015 and away[above].max() < 0.035


def test_the_published_folder_gives_the_same_head(ict, installed, seen, tmp_path):
    """Written in its layout from the one file, with a few of its shapes."""
    with np.load(ict[0], allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    faces, places = arrays["faces"] + 1, arrays["face_uvs"] + 1

    def write(name, vertices, whole=False):
        lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in arrays["uv"].tolist()] if whole else []
        if whole:
            for face, place in zip(faces.tolist(), places.tolist(), strict=True):
                pairs = zip(face, place, strict=True)
                lines.append("f " + " ".join(f"{v}/{t}" for v, t in pairs if v > 0))
        (folder / f"{name}.obj").write_text("\n".join(lines) + "\n")

    write("generic_neutral_mesh", arrays["neutral"], whole=True)
    names = list(map(str, arrays["expression_names"]))
    some = names[::5]
    for name in some:
        k = names.index(name)
        write(
            name, arrays["neutral"] + arrays["expression_deltas"][k] * arrays["expression_scale"][k]
        )
    for k in range(2):
        write(
            f"identity{k:03d}",
            arrays["neutral"] + arrays["identity_deltas"][k] * arrays["identity_scale"][k],
        )
    info = heads.add_head(folder, "folder", landmarks=ict[1])
    assert info.title == "ICT-FaceKit" and info.vertices == installed.vertices
    one, other = load_head(head_path("ict")), load_head(head_path("folder"))
    assert np.allclose(one.vertices, other.vertices, atol=1e-6)
    assert one.part_names == other.part_names
    assert np.array_equal(one.vertex_part, other.vertex_part)
    assert np.allclose(one.modes[:2], other.modes, atol=1e-6)
    for name in some:
        stem = name.replace("_L", "Left").replace("_R", "Right")
        if stem in ARKIT_NAMES:
            k = INDEX[stem]
            assert np.allclose(one.shapes[k], other.shapes[k], atol=2e-6), name
