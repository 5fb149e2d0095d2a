# SPDX-License-Identifier: GPL-3.0-or-later
"""Lids that pass an eyeball go around it."""

from __future__ import annotations

import numpy as np

from backend.transfer.closing import around_ball
from backend.transfer.loose_parts import Eye, eye_looks


def _sphere(radius: float) -> np.ndarray:
    points = np.random.default_rng(3).normal(size=(2000, 3))
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True)


def test_skin_that_would_cut_into_the_ball_is_pushed_out_and_other_skin_is_not() -> None:
    radius = 0.012
    ball = _sphere(radius)
    eye = Eye("left", np.zeros(3), radius, np.arange(len(ball)))
    upper, brow = (0.0, -0.0095, 0.0082), (0.0, -0.014, 0.02)
    points = np.array([upper, brow])
    # Straight down, as far as the middle of the eye: the chord lies inside the ball.
    motion = np.array([(0.0, 0.0015, -0.0082), (0.0, 0.0, -0.001)])
    made = around_ball(points, motion, eye, ball)
    assert np.linalg.norm(points[0] + motion[0]) < 0.75 * radius
    assert np.linalg.norm(points[0] + made[0]) > radius
    np.testing.assert_array_equal(made[1], motion[1])


def test_a_pocket_behind_the_lids_is_not_turned_out() -> None:
    ball = _sphere(0.012)
    eye = Eye("left", np.zeros(3), 0.012, np.arange(len(ball)))
    inside = np.array([(0.0, -0.008, 0.0)])
    made = around_ball(inside, np.array([(0.0, 0.001, 0.0)]), eye, ball)
    assert np.linalg.norm(inside + made) <= 0.008 + 1e-9


def test_eyes_look_where_the_shape_says() -> None:
    gaze = np.array([(0.0, -0.012, 0.0)])
    for side, outward in (("left", 1.0), ("right", -1.0)):
        eye = Eye(side, np.zeros(3), 0.012, np.zeros(1, np.int64))
        looks = eye_looks(eye, gaze)
        name = side.capitalize()
        assert looks[f"eyeLookUp{name}"][0, 2] > 0.004 > looks[f"eyeLookDown{name}"][0, 2]
        assert outward * looks[f"eyeLookOut{name}"][0, 0] > 0.004
        assert outward * looks[f"eyeLookIn{name}"][0, 0] < -0.004
