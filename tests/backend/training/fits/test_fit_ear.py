# SPDX-License-Identifier: GPL-3.0-or-later
"""The ear's relief is read off a head again as it ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.face.head.head_grid import head_grid
from backend.face.head.head_shape import load_shell
from backend.face.template import load_template
from backend.training.fits.ear import fit_ear
from backend.training.fits.head import onto_template, read_ict


def test_the_ear_that_ships_is_read_again(shared_data: Path) -> None:
    folder = shared_data / "heads"
    head = onto_template(
        *read_ict(folder / "ict_facekit.npz", folder / "arkit52_on_landmarks468.npz")
    )
    ear = fit_ear(head.vertices, head.triangles)
    assert (ear.radius > 0.008).all() and (ear.radius < 0.036).all()
    assert (ear.concha < ear.radius).all()
    points = np.concatenate([load_template().vertices, load_shell()])
    rings, middle = head_grid().ears[0]
    shipped = np.concatenate([points[rings[1:]].reshape(-1, 3), points[middle][None]])
    found = ear.rings()
    assert found.shape == shipped.shape
    # It was moved as a whole onto the mean of two heads.
    off = (found - found.mean(axis=0)) - (shipped - shipped.mean(axis=0))
    assert np.linalg.norm(off, axis=1).max() < 3e-4
