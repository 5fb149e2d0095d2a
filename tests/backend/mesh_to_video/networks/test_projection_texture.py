# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np

from backend.mesh_to_video.networks.projection_texture import (
    DOT,
    coordinate_code,
    lip_maps,
    projection_texture,
)
from shared import landmarks
from shared.landmarks import UPPER_LIP_EDGE


def test_the_code_runs_from_zero_to_one_over_the_members() -> None:
    rng = np.random.default_rng(1)
    vertices = rng.uniform(-50, 80, (40, 3)).astype(np.float32)
    members = np.arange(5, 25)
    code = coordinate_code(vertices, members)
    np.testing.assert_allclose(code[members].min(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(code[members].max(axis=0), 1.0, atol=1e-6)
    assert code.dtype == np.float32 and code.min() >= 0.0 and code.max() <= 1.0
    # Neither place nor size of the picture matters.
    again = coordinate_code(vertices * np.float32(3.0) + np.float32(11.0), members)
    np.testing.assert_allclose(again, code, atol=1e-5)


def test_a_flat_mesh_has_a_code_too() -> None:
    vertices = np.zeros((4, 3), np.float32)
    vertices[:, 0] = (0, 1, 2, 4)
    code = coordinate_code(vertices, np.arange(4))
    np.testing.assert_allclose(code[:, 0], (0, 0.25, 0.5, 1))
    assert not code[:, 1:].any()


def test_the_texture_is_the_code_in_the_face_and_the_picture_around_it() -> None:
    code, outer = np.full((4, 4, 3), 0.25, np.float32), np.full((4, 4, 3), 0.75, np.float32)
    mask = np.zeros((4, 4), np.float32)
    mask[1] = 1.0
    mask[2] = 0.5
    texture = projection_texture(code, mask, outer)
    np.testing.assert_allclose(texture[:, 0, 0], (0.75, 0.25, 0.5, 0.75))


def test_each_landmark_is_a_round_dot_in_its_own_map() -> None:
    reference = np.full((478, 2), -500.0, np.float32)
    driving = reference.copy()
    driving[landmarks.OUTER_LIP_LOWER[9]] = (20.5, 30.5)  # left half of the lower outer edge
    maps = lip_maps(driving, reference)
    assert maps.shape == (64, 64, 8) and maps.dtype == np.float32
    assert [c for c in range(8) if maps[..., c].any()] == [3]
    assert np.unravel_index(maps[..., 3].argmax(), (64, 64)) == (30, 20)
    np.testing.assert_allclose(maps[30, 20, 3], 1.0, atol=1e-6)
    np.testing.assert_allclose(maps[30, 23, 3], np.exp(-0.5 * (3 / DOT) ** 2), rtol=1e-4)
    np.testing.assert_allclose(maps[33, 20, 3], maps[30, 23, 3], rtol=1e-4)


def test_lips_that_stay_are_nothing_and_moved_ones_leave_where_they_were() -> None:
    rng = np.random.default_rng(2)
    reference = rng.uniform(20, 44, (478, 2)).astype(np.float32)
    assert not lip_maps(reference, reference).any()
    driving = reference + np.float32(3.0)
    maps = lip_maps(driving, reference)
    assert maps.min() < -0.3 and maps.max() > 0.3
    np.testing.assert_allclose(maps, -lip_maps(reference, driving), atol=1e-6)


def test_the_middle_of_a_lip_is_in_both_halves() -> None:
    reference = np.full((478, 2), -500.0, np.float32)
    driving = reference.copy()
    driving[UPPER_LIP_EDGE] = (32.0, 32.0)
    maps = lip_maps(driving, reference)
    assert [c for c in range(8) if maps[..., c].any()] == [4, 5]
    assert len(landmarks.LIP_LANDMARKS) == 44
