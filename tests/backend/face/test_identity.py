# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight numbers for a face: round trip, any pose, closed lips, symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from backend.audio_to_mesh.speaker import IDENTITY_SIZE
from backend.face.arkit_basis import contacts
from backend.face.identity import identity_coefficients, identity_modes, landmarks_of, mean_smile
from backend.face.template import load_template


def test_coefficients_come_back_from_their_landmarks() -> None:
    drawn = np.random.default_rng(0).normal(0.0, 1.0, (30, IDENTITY_SIZE))
    found = np.array([identity_coefficients(landmarks_of(face)) for face in drawn])
    assert found.shape == drawn.shape and found.dtype == np.float32
    # Regularised, so rather too small than too large.
    for column in range(IDENTITY_SIZE):
        assert np.corrcoef(found[:, column], drawn[:, column])[0, 1] > 0.95
        assert 0.6 < found[:, column].std() / drawn[:, column].std() < 1.05


def test_the_mean_face_has_zeros_in_any_pose_and_size() -> None:
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    moved = 1.3 * load_template().vertices @ turn.T + (0.1, -0.2, 0.05)
    assert np.abs(identity_coefficients(moved)).max() < 0.15


def test_every_face_is_symmetric_and_has_closed_lips() -> None:
    partner = load_template().mirror[:468]
    for coefficients in np.random.default_rng(1).normal(0.0, 1.5, (5, IDENTITY_SIZE)):
        face = landmarks_of(coefficients)
        assert np.abs(face - face[partner] * (-1, 1, 1)).max() < 1e-4
        assert np.abs(contacts()["lips"].gap(face)).max() < 5e-5


def test_modes_are_ordered_and_moderate() -> None:
    sizes = np.sqrt((identity_modes() ** 2).sum(axis=(1, 2)))
    assert sizes[0] == pytest.approx(sizes.max()) and (np.diff(sizes) < 1e-3).all()
    assert np.linalg.norm(identity_modes(), axis=2).max() < 0.004


def test_a_smile_is_not_taken_for_a_face() -> None:
    drawn = np.random.default_rng(2).normal(0.0, 1.0, IDENTITY_SIZE)
    face = landmarks_of(drawn)
    assert np.linalg.norm(mean_smile(), axis=1).max() > 0.003
    change = identity_coefficients(face + mean_smile()) - identity_coefficients(face)
    assert np.abs(change).max() < 0.3
