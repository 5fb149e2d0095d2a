# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which neutral faces differ: found again where they are known, and on real faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.face.identity import closed_template, identity_modes
from backend.face.template import load_template
from backend.training.fits.identity import neutral_faces, symmetric_modes
from shared.landmarks import LANDMARK_COUNT


def test_known_modes_are_found_and_what_is_lopsided_is_not() -> None:
    random = np.random.default_rng(0)
    partner = load_template().mirror[:LANDMARK_COUNT]
    fields = random.normal(0.0, 1.0, (2, LANDMARK_COUNT, 3))
    fields = fields + fields[:, partner] * (-1, 1, 1)
    axes, _ = np.linalg.qr(fields.reshape(2, -1).T)
    lopsided = random.normal(0.0, 1.0, (LANDMARK_COUNT, 3))
    lopsided = lopsided - lopsided[partner] * (-1, 1, 1)
    lopsided = 0.02 * lopsided / np.linalg.norm(lopsided)
    amounts = random.normal(0.0, 1.0, (40, 3)) * (0.05, 0.02, 1.0)
    fields = axes.T.reshape(2, LANDMARK_COUNT, 3)
    faces = closed_template() + np.tensordot(amounts[:, :2], fields, axes=1)
    faces = faces + amounts[:, 2, None, None] * lopsided
    modes, shares = symmetric_modes(faces, 2)
    flat = modes.reshape(2, -1)
    inside = flat @ axes
    assert np.linalg.norm(inside, axis=1) == pytest.approx(np.linalg.norm(flat, axis=1))
    assert np.linalg.norm(flat, axis=1) == pytest.approx([0.05, 0.02], rel=0.3)
    assert shares.sum() == pytest.approx(1.0)
    assert np.allclose(modes[:, partner] * (-1, 1, 1), modes)


def test_real_faces_lie_mostly_in_the_modes_that_ship(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = tmp_path / "nobody.jpg"
    nobody.write_bytes(b"no picture")
    photos = sorted((shared_data / "faces/london/neutral").glob("*.jpg"))[:5]
    faces = np.stack(list(neutral_faces([*photos, nobody])))
    assert len(faces) == 5 and "skipped: nobody.jpg" in capsys.readouterr().out
    partner = load_template().mirror[:LANDMARK_COUNT]
    away = (faces + faces[:, partner] * (-1, 1, 1)) / 2 - closed_template()
    assert np.linalg.norm(away, axis=2).mean() < 0.003
    shipped = identity_modes()
    axes, _ = np.linalg.qr(shipped.reshape(len(shipped), -1).T)
    flat = away.reshape(5, -1)
    assert ((flat @ axes) ** 2).sum() > 0.7 * (flat**2).sum()
