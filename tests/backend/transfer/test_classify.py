# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles of a character's parts, eyeballs, seams, and human proportions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from known_characters import one_piece, turned

from backend.transfer.classify import component_roles
from backend.transfer.components import component_labels, fit_ball, seam_twins
from backend.transfer.head_parts import name_role, take_apart
from backend.transfer.proportions import is_stylised, strangeness


def test_our_own_heads_parts(own_head, own_landmarks):
    roles = {component.role: component for component in component_roles(own_head, own_landmarks)}
    for role in ("face", "eye_left", "eye_right", "upper_teeth", "lower_teeth", "tongue"):
        assert role in roles, role
    assert own_head.vertices[roles["eye_left"].vertices, 0].mean() > 0
    assert own_head.vertices[roles["eye_right"].vertices, 0].mean() < 0
    upper, lower = (
        own_head.vertices[roles[name].vertices, 2].mean() for name in ("upper_teeth", "lower_teeth")
    )
    assert upper > lower
    assert np.isin(np.arange(468), roles["face"].vertices).mean() > 0.95


def test_the_ict_heads_parts(ict_head):
    from backend.transfer.find_landmarks import find_landmarks

    character, _ = ict_head
    turned_round = one_piece(turned(character.vertices.astype(float), 30), character.triangles)
    found = component_roles(turned_round, find_landmarks(turned_round))
    counts = Counter(component.role for component in found)
    assert counts["face"] == 1 and counts["eye_left"] == 2 and counts["eye_right"] == 2
    assert counts["upper_teeth"] == 16 and counts["lower_teeth"] == 16
    assert counts["lashes"] == 12 and counts["mouth"] == 1  # gums and tongue are one part
    assert sum(counts.values()) == 50


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Eyelashes.001", "lashes"), ("eyebrow_L", "brows"), ("Teeth Upper", "upper_teeth"),
        ("teeth.lower", "lower_teeth"), ("Eye.L", "eye"), ("Hair_Ponytail", "hair"),
        ("tongue01", "tongue"), ("Glasses", "other"), ("what", ""), ("Body", ""),
    ],
)  # fmt: skip
def test_names_tell_roles(name, role):
    assert name_role(name) == role


def test_a_seam_does_not_cut_but_a_touching_part_stays_apart():
    """A strip of two squares cut at a texture seam, and a flap that stands on one edge of it."""
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], float)
    vertices = np.concatenate(
        [square, square + np.array([1, 0, 0]), square[[0, 1]], [[0.5, 1, 0.5]]]
    )
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [8, 9, 10]], np.int32)
    piece = np.zeros(len(vertices), np.int32)
    label = component_labels(triangles, seam_twins(vertices, triangles, piece))
    assert len(set(label[:8])) == 1
    assert set(label[8:]) == {1}
    other_piece = np.repeat([0, 1], [4, 7]).astype(np.int32)
    apart = component_labels(triangles, seam_twins(vertices, triangles, other_piece))
    assert apart[0] != apart[4]


def test_a_ball_is_fitted():
    random = np.random.default_rng(3)
    points = random.normal(size=(200, 3))
    points = points / np.linalg.norm(points, axis=1, keepdims=True) * 2 + (5, 6, 7)
    ball = fit_ball(points)
    assert ball is not None
    assert np.allclose(ball.centre, (5, 6, 7)) and ball.radius == pytest.approx(2)
    assert ball.roughness < 1e-6
    assert fit_ball(points * (1, 0, 1)) is None


def test_eyeballs_are_pairs(own_head):
    parts = take_apart(own_head)
    centres = np.array([ball.centre for ball in parts.balls.values()])
    assert len(centres) == 2
    assert centres[:, 0].prod() < 0 and np.ptp(centres[:, 2]) < 1e-4


def test_a_person_is_not_stylised_but_large_eyes_are(own_landmarks):
    assert not is_stylised(own_landmarks)
    places = own_landmarks.places.copy()
    for x in (-0.031, 0.031):
        middle = np.array([x, -0.06, 0.042])
        away = places - middle
        near = np.exp(-((np.linalg.norm(away, axis=1) / 0.026) ** 4))
        places = middle + away * (1 + 0.9 * near)[:, None]
    assert is_stylised(replace(own_landmarks, places=places))
    # Size and turn are no matter of style.
    moved = replace(own_landmarks, places=turned(own_landmarks.places, 70) * 5 + 2)
    assert strangeness(moved) == pytest.approx(strangeness(own_landmarks), rel=1e-3)
