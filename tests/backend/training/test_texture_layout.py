# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped texture layout is what its command makes, and fits the head that ships."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from backend.face import build_head, template_face
from backend.face.head import head_shape
from backend.face.texture import atlas, layout_file
from backend.face.texture.layout_file import LayoutFile, load_layout, save_layout
from backend.face.texture.texels import head_layout
from backend.training.fits.texture_layout import mean_head, texture_layout
from shared.errors import ErrorKind, VividKeysError


@pytest.fixture(scope="module")
def made() -> LayoutFile:
    return texture_layout(mean_head())


def test_the_shipped_layout_is_what_its_command_makes(made: LayoutFile) -> None:
    shipped = load_layout()
    for name in ("triangles", "island", "vertex_part"):
        np.testing.assert_array_equal(getattr(shipped, name), getattr(made, name))
    np.testing.assert_allclose(shipped.uvs * atlas.SIDE, made.uvs * atlas.SIDE, atol=0.01)
    np.testing.assert_allclose(shipped.vertices, made.vertices, atol=1e-6)
    np.testing.assert_allclose(shipped.above_hairline, made.above_hairline, atol=1e-6)
    np.testing.assert_allclose(shipped.cavity, made.cavity, atol=1e-3)


def test_a_layout_survives_its_file(made: LayoutFile, tmp_path: Path) -> None:
    save_layout(made, tmp_path / "layout.safetensors")
    again = load_layout(tmp_path / "layout.safetensors")
    for field in dataclasses.fields(LayoutFile):
        before, after = getattr(made, field.name), getattr(again, field.name)
        np.testing.assert_allclose(after, before, atol=1e-6)


def test_a_layout_for_other_shapes_of_the_head_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wider = head_shape.load_shell() * 1.01
    monkeypatch.setattr(layout_file, "load_shell", lambda: wider)
    with pytest.raises(VividKeysError) as caught:
        load_layout()
    assert caught.value.kind is ErrorKind.BAD_FILE
    assert "texture_layout" in caught.value.next_step


def test_a_layout_for_other_triangles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    laid = load_layout()
    fewer = dataclasses.replace(
        laid, triangles=laid.triangles[:-1], uvs=laid.uvs[:-1], island=laid.island[:-1]
    )
    other = head_layout(fewer)
    monkeypatch.setattr(build_head, "template_layout", lambda: other)
    with pytest.raises(VividKeysError) as caught:
        template_face()
    assert caught.value.kind is ErrorKind.BAD_FILE


def test_a_damaged_layout_is_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "texture_layout.safetensors"
    broken.write_bytes(layout_file.LAYOUT_PATH.read_bytes()[:5000])
    for path in (broken, tmp_path / "absent.safetensors"):
        with pytest.raises(VividKeysError) as caught:
            load_layout(path)
        assert caught.value.kind is ErrorKind.BAD_FILE and "damaged" in caught.value.sentence
