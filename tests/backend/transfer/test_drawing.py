# SPDX-License-Identifier: GPL-3.0-or-later
"""Views, pictures of faces, and the nearest points of a surface."""

from __future__ import annotations

import numpy as np

from backend.transfer.face_picture import Light, View, draw
from backend.transfer.head_parts import shown_surface, take_apart
from backend.transfer.head_search import unproject
from backend.transfer.surface_points import nearest_on_surface


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
    vertices = np.concatenate([wall, wall + np.array([0, 0.1, 0])])
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]], np.int32)
    normals = np.repeat([[0.0, -1, 0], [0.0, 1, 0]], 4, axis=0)
    point = np.array([[0.3, 0.06, 0.4]])
    place, triangle, distance = nearest_on_surface(point, vertices, triangles)
    assert np.allclose(place, [[0.3, 0.1, 0.4]]) and triangle[0] in (2, 3)
    assert np.allclose(distance, 0.04)
    place, _, _ = nearest_on_surface(point, vertices, triangles, np.array([[0.0, -1, 0]]), normals)
    assert np.allclose(place, [[0.3, 0.0, 0.4]])
