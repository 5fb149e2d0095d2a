# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose, surface distances, subdivision and the small renderer on shapes with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from backend.face.draw import sample
from backend.face.head.refine import subdivision
from backend.face.neutral import neutral_face
from backend.face.pose import fit_similarity, head_angles
from backend.face.surface import fade, surface_distances
from backend.face.template import load_template
from shared.landmarks import LOWER_LIP_EDGE, UPPER_LIP_EDGE

angles = st.floats(-1.2, 1.2)


@settings(max_examples=30, deadline=None)
@given(angles, angles, angles, st.floats(0.1, 1000.0))
def test_a_known_similarity_is_found_again(x, y, z, scale):
    source = load_template().vertices
    rotation = Rotation.from_euler("xyz", (x, y, z)).as_matrix()
    moved = scale * source @ rotation.T + (3.0, -2.0, 5.0)
    found = fit_similarity(source, moved, np.linspace(0.1, 1.0, len(source)))
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert np.allclose(found.rotation, rotation, atol=1e-6)
    assert np.allclose(found.apply(source), moved, atol=1e-6 * scale + 1e-9)
    # The head's angles are those that were put in; the rotation that removes them is the inverse.
    assert np.allclose(head_angles(rotation.T), (x, y, z), atol=1e-6)


@pytest.mark.parametrize(("pitch", "roll", "yaw"), [(0, 0, 0), (15, 0, 0), (0, 25, 0), (-5, 8, 30)])
def test_pose_and_size_of_a_tracked_face_are_removed(pitch, roll, yaw):
    template = load_template()
    face = np.concatenate([template.vertices, template.irises])
    turn = Rotation.from_euler("xyz", (pitch, roll, yaw), degrees=True).as_matrix()
    turned = 3000.0 * face @ turn.T
    in_picture = np.stack([turned[:, 0] + 400, -turned[:, 2] + 300, turned[:, 1]], axis=1)
    neutral = neutral_face(in_picture)
    assert np.degrees(neutral.angles) == pytest.approx((pitch, roll, yaw), abs=0.2)
    # Only the lips, which meet now, may differ from the template.
    assert np.abs(neutral.vertices - template.vertices).max() < 0.0004


def test_distances_go_around_the_mouth():
    template = load_template()
    through_air = np.linalg.norm(
        template.vertices[UPPER_LIP_EDGE] - template.vertices[LOWER_LIP_EDGE]
    )
    assert through_air < 0.001
    assert template.distances[UPPER_LIP_EDGE, LOWER_LIP_EDGE] > 0.035
    assert np.allclose(template.distances, template.distances.T)


def test_distances_on_a_flat_grid_are_nearly_straight():
    side = 9
    y, x = np.mgrid[0:side, 0:side]
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(side * side)]).astype(float)
    faces = []
    for row in range(side - 1):
        for column in range(side - 1):
            a = row * side + column
            faces += [(a, a + 1, a + side), (a + 1, a + side + 1, a + side)]
    found = surface_distances(points, np.array(faces, np.int32))[0]
    straight = np.linalg.norm(points, axis=1)
    assert (found >= straight - 1e-9).all()
    assert (found[1:] / straight[1:]).max() < 1.09


def test_fade_runs_from_one_to_nothing():
    distance = np.array([0.0, 5.0, 10.0, 15.0, 20.0, 25.0])
    weight = fade(distance, reach=20.0, core=5.0)
    assert weight[0] == weight[1] == 1.0 and weight[4] == weight[5] == 0.0
    assert (np.diff(weight) <= 0).all() and 0.4 < weight[2] < 0.9


def test_subdivision_of_a_flat_sheet_stays_flat_and_keeps_its_area():
    points = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, 0)], float)
    triangles = np.array([(0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)], np.int32)
    smooth, middle, finer = subdivision(triangles, 5, set())
    moved = smooth @ points
    assert finer.shape == (16, 3) and moved.shape == (13, 3) and middle.shape == (8, 5)
    assert not moved[:, 2].any()
    assert np.allclose(smooth.sum(axis=1), 1.0) and np.allclose(middle.sum(axis=1), 1.0)
    corners = moved[finer]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] / 2
    assert (area > 0).all()


def test_texture_lookup_is_bilinear_and_upright():
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 0] = 200  # upper left
    found = sample(texture, np.array([(0.25, 0.75), (0.5, 0.75), (0.75, 0.25)]))
    assert found[:, 0] == pytest.approx((200, 100, 0), abs=0.5)
