# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of heads of its own for every test, and a head to put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.face import template_face
from backend.heads import fit_photo
from backend.heads.folder import FOLDER_VARIABLE
from shared.arkit import ARKIT_NAMES


@pytest.fixture(autouse=True)
def heads_folder(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "the user's heads"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session")
def plain():
    """Our own head of the mean face."""
    return template_face()


@pytest.fixture
def character(plain, tmp_path):
    """A mesh file and its landmarks: our head in centimetres, looking along +Y, moved away, with
    names as a rig spells them, without the tongue and with two halves of one shape."""

    def make(spell=lambda name: f"Wolf3D_Head.{name}", leave_out=("tongueOut",)):
        def away(points):
            return points * (-100.0, -100.0, 100.0)

        names, deltas = [], []
        for name, offsets in zip(ARKIT_NAMES, plain.shapes, strict=True):
            if name in leave_out:
                continue
            if name == "cheekPuff":
                for side, half in (
                    ("_L", plain.vertices[:, 0] > 0),
                    ("_R", plain.vertices[:, 0] <= 0),
                ):
                    names.append(spell(name + side))
                    deltas.append(away(offsets * half[:, None]))
            else:
                names.append(spell(name))
                deltas.append(away(offsets))
        mesh, landmarks = tmp_path / "My Character.npz", tmp_path / "landmarks.npz"
        vertices = away(plain.vertices) + np.array([5, 3, 160])
        np.savez(mesh, vertices=vertices, triangles=plain.triangles, names=names, deltas=deltas)
        np.savez(landmarks, landmarks=vertices[:468])
        return mesh, landmarks

    return make


@pytest.fixture
def seen(monkeypatch, plain):
    """Instead of looking at a photo: a face whose landmarks differ from the mean's by `change`."""

    def see(change=0.0):
        from backend.face.identity import closed_template
        from backend.face.pose import Similarity
        from backend.face.template import load_template
        from backend.face.texture.photo_crop import PhotoCrop

        neutral = closed_template() + change
        aligned = np.concatenate([neutral, load_template().irises])
        points = (aligned[:, [0, 2]] * (3400.0, -3400.0)) + (416.0, 560.0)
        pixels = np.zeros((1024, 832, 3), np.uint8)
        pixels[:] = (200, 150, 120)
        skin = np.array([200.0, 150.0, 120.0])
        view = Similarity(3400.0, np.eye(3), np.zeros(3))
        crop = PhotoCrop(pixels, np.ones((1024, 832)), points, skin, view, aligned)
        photo = fit_photo._Photo(
            neutral, load_template().irises, crop, [], {"image_sha256": "0" * 64}
        )
        monkeypatch.setattr(fit_photo, "_look_at", lambda *_: photo)
        return neutral

    return see
