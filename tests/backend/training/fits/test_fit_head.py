# SPDX-License-Identifier: GPL-3.0-or-later
"""Fitting the head's grid: small steps on shapes with known answers."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from backend.face.head.head_grid import COLUMNS, ROWS, head_grid
from backend.face.head.head_shape import load_shell
from backend.face.template import load_template
from backend.training.fits.head import Head, neighbour_mean, pulled, samples, split_quads, to_rim
from shared.landmarks import FACE_OVAL, LANDMARK_COUNT


def test_quads_and_triangles_become_triangles() -> None:
    found = split_quads(np.array([[0, 1, 2, 3], [4, 5, 6, -1]]))
    assert sorted(map(tuple, found.tolist())) == [(0, 1, 2), (0, 2, 3), (4, 5, 6)]


def test_samples_lie_close_together_all_over_a_triangle() -> None:
    corners = np.array([(0, 0, 0), (0.02, 0, 0), (0, 0.02, 0)], float)
    head = Head(corners, np.array([[0, 1, 2]], np.int32))
    points = samples(head, 0.002)
    assert (points[:, :2].sum(axis=1) < 0.02 + 1e-9).all() and not points[:, 2].any()
    asked = np.random.default_rng(1).dirichlet((1, 1, 1), 200) @ head.vertices
    assert cKDTree(points).query(asked)[0].max() < 0.002


def test_a_pull_dies_away() -> None:
    points = np.array([(0.0, 0, 0), (0.01, 0, 0), (0.5, 0, 0)])
    moved = pulled(points, np.zeros((1, 3)), np.array([(0.0, 0.0, 0.01)]), 0.02) - points
    assert moved[0, 2] > 0.009 and moved[0, 2] > moved[1, 2] > 0 and abs(moved[2, 2]) < 1e-9


def test_a_ball_is_drawn_to_the_faces_outline() -> None:
    rim = load_template().vertices[list(FACE_OVAL)]
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 49), np.linspace(-1.5, 1.5, 25))
    ball = np.stack(
        [np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)], axis=-1
    ).reshape(-1, 3) * (0.070, 0.085, 0.090) + (0, 0.01, 0.015)
    row, column = np.divmod(np.arange(24 * 48), 48)
    a = row * 49 + column
    quads = np.stack([a, a + 1, a + 50, a + 49], axis=-1)
    drawn = to_rim(Head(ball, split_quads(quads)))
    assert cKDTree(samples(drawn, 0.001)).query(rim)[0].max() < 0.0025


def test_the_shipped_shape_fits_the_grid() -> None:
    grid, shell = head_grid(), load_shell()
    assert shell.shape == (grid.count, 3) and np.isfinite(shell).all()
    assert np.abs(shell[grid.mirror] - shell * (-1, 1, 1)).max() < 1e-6
    points = np.concatenate([load_template().vertices, shell])
    mean, used = neighbour_mean(grid)
    assert used[LANDMARK_COUNT : LANDMARK_COUNT + COLUMNS].all()
    rows = [grid.rows[k][grid.rows[k] >= 0] for k in range(2, ROWS - 1)]
    inner = np.concatenate(rows)
    border = np.concatenate([rings[0] for rings, _ in grid.ears])
    inner = np.setdiff1d(inner, border)
    # Even: no vertex far from the middle of its neighbours.
    assert np.linalg.norm((mean @ points - points)[inner], axis=1).max() < 0.012
