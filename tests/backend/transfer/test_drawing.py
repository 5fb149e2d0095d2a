# SPDX-License-Identifier: GPL-3.0-or-later
"""The depth buffer, views, and the nearest points of a surface."""

from __future__ import annotations

import numpy as np

from backend.face.rasterise import rasterise
from backend.transfer.face_picture import Light, View, draw
from backend.transfer.head_parts import shown_surface, take_apart
from backend.transfer.head_search import unproject
from backend.transfer.rasterise_dense import rasterise_dense
from backend.transfer.surface_points import nearest_on_surface


def test_it_agrees_with_the_plain_rasteriser(own_head):
    vertices = own_head.vertices.astype(np.float64)
    points = np.stack(
        [64 + 400 * vertices[:, 0], 64 - 400 * vertices[:, 2], 400 * vertices[:, 1]], axis=1
    )
    plain, shares = rasterise(points, own_head.triangles, 128, 128)
    dense, dense_shares, depth = rasterise_dense(points, own_head.triangles, 128)
    assert (plain != dense).mean() < 2e-3
    alike = (plain == dense) & (plain >= 0)
    assert alike.sum() > 2000
    assert np.abs(shares - dense_shares)[alike].max() < 1e-3
    assert np.isinf(depth[dense < 0]).all() and np.isfinite(depth[dense >= 0]).all()


def test_nothing_in_the_picture_is_no_error():
    points = np.array([[-50.0, 5, 0], [-40, 5, 0], [-45, 9, 0]])
    triangle, _, depth = rasterise_dense(points, np.array([[0, 1, 2]], np.int32), 16)
    assert (triangle == -1).all() and np.isinf(depth).all()


def test_a_view_can_be_undone():
    view = View(np.array([1.0, 2, 3]), np.eye(3), 0.5, 200).turned(0.4, -0.2)
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.2 + view.centre
    flat = view.project(points)
    assert np.allclose(unproject(flat[:, :2], flat[:, 2], view), points)


def test_eyes_are_dark_in_the_middle_and_light_beside(own_head):
    surface = shown_surface(own_head, take_apart(own_head), strict=False)
    middle = own_head.vertices[[33, 133]].mean(axis=0).astype(np.float64)
    picture = draw(surface, View(middle, np.eye(3), 0.02, 96), Light())
    grey = picture.pixels.mean(axis=2)
    assert grey[44:52, 44:52].mean() < 60
    assert grey[40:56].max() > 150


def test_the_nearest_points_lie_on_the_surface_and_on_its_right_side():
    """Two walls close together that look in opposite directions."""
    wall = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], float)
    vertices = np.concatenate([wall, wall + (0, 0.1, 0)])
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]], np.int32)
    normals = np.repeat([[0.0, -1, 0], [0.0, 1, 0]], 4, axis=0)
    point = np.array([[0.3, 0.06, 0.4]])
    place, triangle, distance = nearest_on_surface(point, vertices, triangles)
    assert np.allclose(place, [[0.3, 0.1, 0.4]]) and triangle[0] in (2, 3)
    assert np.allclose(distance, 0.04)
    place, _, _ = nearest_on_surface(point, vertices, triangles, np.array([[0.0, -1, 0]]), normals)
    assert np.allclose(place, [[0.3, 0.0, 0.4]])
