# SPDX-License-Identifier: GPL-3.0-or-later
"""Several materials' pictures in one texture: every corner keeps its colour."""

from __future__ import annotations

import numpy as np

from backend.face.draw import sample
from backend.heads.pictures_atlas import MOST, pack
from backend.mesh_files import Material


def _gradient(height, width, red):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = red
    picture[..., 1] = np.linspace(0, 255, width)[None]
    picture[..., 2] = np.linspace(255, 0, height)[:, None]
    return picture


def _materials(side=64):
    return (
        Material("skin", picture=_gradient(side, 2 * side, 10)),
        Material("eye", (1.0, 0.5, 0.0)),
        Material("teeth", picture=_gradient(2 * side, side // 2, 200)),
    )


def test_corners_have_the_colours_of_their_own_pictures():
    material = np.repeat([0, 1, 2], 40)
    uvs = np.random.default_rng(1).uniform(0.02, 0.98, (120, 3, 2))
    texture, placed = pack(_materials(), uvs, material)
    found = sample(texture, placed.reshape(-1, 2)).reshape(120, 3, 3)
    u, v = uvs[..., 0], uvs[..., 1]
    for number, red in ((0, 10), (2, 200)):
        own = material == number
        wanted = np.stack([np.full(u[own].shape, red), 255 * u[own], 255 * v[own]], axis=-1)
        assert np.abs(found[own] - wanted).max() < 8
    assert np.abs(found[material == 1] - (255, 128, 0)).max() < 1


def test_repeated_tiles_are_brought_into_the_picture():
    uvs = np.array([[[3.25, -1.5], [3.5, -1.5], [3.25, -1.25]]])
    texture, placed = pack(_materials(), uvs, np.array([0]))
    found = sample(texture, placed[0])
    assert np.abs(found[:, 1] - (64, 128, 64)).max() < 8
    assert np.abs(found[:, 2] - (128, 128, 191)).max() < 8


def test_large_pictures_shrink_until_they_fit():
    flat = np.zeros((3500, 3500, 3), np.uint8)
    materials = tuple(Material(f"{n}", picture=flat + np.uint8(40 * n)) for n in range(3))
    uvs = np.full((3, 3, 2), 0.5)
    texture, placed = pack(materials, uvs, np.arange(3))
    assert max(texture.shape) <= MOST
    found = sample(texture, placed[:, 0])
    assert found[:, 0].round().tolist() == [0, 40, 80]
