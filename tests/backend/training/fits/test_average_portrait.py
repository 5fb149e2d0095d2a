# SPDX-License-Identifier: GPL-3.0-or-later
"""The face of nobody: three people already give nearly the portrait that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.samples import PORTRAIT
from backend.training.fits import average_portrait
from backend.training.fits.average_portrait import HEIGHT, RAYS, WIDTH, outline


def test_the_outline_of_a_round_person_is_round() -> None:
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    points = np.zeros((478, 2))
    points[[10, 152]] = (WIDTH / 2, 300.0), (WIDTH / 2, 500.0)
    points[[234, 454]] = (WIDTH / 2 - 80.0, 400.0), (WIDTH / 2 + 80.0, 400.0)
    person = (np.hypot(across - WIDTH / 2, down - 400.0) < 200.0).astype(float)
    found = outline(points, person)
    assert found.shape == (RAYS, 2)
    assert np.hypot(*(found - (WIDTH / 2, 400.0)).T) == pytest.approx(200.0, abs=2.0)


def test_three_people_give_nearly_the_portrait(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(average_portrait, "PHOTOS", average_portrait.PHOTOS[:3])
    made = average_portrait.average(shared_data / "faces/london/neutral")
    with Image.open(PORTRAIT) as picture:
        ships = np.asarray(picture.convert("RGB"))
    assert made.shape == ships.shape
    assert np.corrcoef(made.ravel(), ships.ravel())[0, 1] > 0.9
