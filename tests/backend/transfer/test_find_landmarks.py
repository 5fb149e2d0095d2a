# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks on our own head, on installed ones, from points alone, and what is no face."""

from __future__ import annotations

import numpy as np
import pytest
from known_characters import errors, one_piece, turned

from backend.face.template import face_size
from backend.transfer import find_landmarks as module
from backend.transfer.find_landmarks import find_landmarks
from backend.watch import Watch
from shared.character import FACE_POINTS, Character
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LEFT_LID_UPPER,
    RIGHT_LID_UPPER,
)

LIPS = [*INNER_LIP_UPPER, *INNER_LIP_LOWER]
IDS = np.array(sorted(FACE_POINTS), np.int32)


def test_our_own_landmarks_are_found_again(own_head, own_landmarks):
    error = errors(own_landmarks.places, own_head.vertices[:468])
    assert own_landmarks.method == "rendered" and own_landmarks.warnings == ()
    assert error.mean() < 2.5 and np.percentile(error, 95) < 6.5
    assert error[LIPS].mean() < 0.6
    assert own_landmarks.confidence.min() >= 0 and own_landmarks.confidence.max() <= 1
    assert own_landmarks.confidence[LIPS].min() >= 0.9


def test_the_frontal_frame_is_the_templates(own_head, own_landmarks):
    move = own_landmarks.to_frontal
    assert move.scale == pytest.approx(1.0, abs=0.03)
    assert np.abs(move.rotation - np.eye(3)).max() < 0.06
    assert face_size(own_landmarks.places) == pytest.approx(0.0881, rel=0.03)


def test_direction_unit_and_place_do_not_matter(own_head, own_landmarks):
    """The same head in centimetres, elsewhere, looking sideways."""
    moved = turned(own_head.vertices.astype(np.float64), 90) * 100 + (300, -20, 150)
    found = find_landmarks(one_piece(moved, own_head.triangles))
    error = errors(found.places, moved[:468])
    assert error.mean() < 2.5 and error[LIPS].mean() < 0.6
    assert found.to_frontal.scale == pytest.approx(0.01, rel=0.03)
    back = found.to_frontal.apply(found.places)
    assert back[4, 1] < back[152, 1] < back[234, 1]  # nose, chin, ear: looking along -Y


def test_points_set_by_hand_stay_where_they_were_set(own_head):
    place = own_head.vertices[[291]] + (0.004, 0.0, 0.002)
    character = one_piece(
        own_head.vertices, own_head.triangles, point_ids=np.array([291]), point_places=place
    )
    found = find_landmarks(character)
    assert np.allclose(found.places[291], place[0], atol=1e-6)
    assert found.confidence[291] == 1.0
    error = errors(found.places, own_head.vertices[:468])
    assert error[[4, 33, 10, 61]].max() < 4.5


@pytest.mark.parametrize("count", [4, 12])
def test_points_are_enough_where_no_face_is_seen(own_head, monkeypatch, count):
    monkeypatch.setattr(module, "track", lambda *_: None)
    ids = IDS if count == 12 else np.array([33, 263, 291, 152], np.int32)
    vertices = turned(own_head.vertices.astype(np.float64), 200) * 3
    character = one_piece(vertices, own_head.triangles, point_ids=ids, point_places=vertices[ids])
    found = find_landmarks(character)
    assert found.method == "points" and "by hand" in found.warnings[0]
    assert np.allclose(found.places[ids], vertices[ids], atol=1e-5)
    assert errors(found.places, vertices[:468]).mean() < 2.5


def test_points_on_one_line_are_refused(own_head, monkeypatch):
    monkeypatch.setattr(module, "track", lambda *_: None)
    ids = np.array([10, 151, 9, 6], np.int32)
    places = np.array([[0.0, 0.0, 0.1 * k] for k in range(4)])
    character = one_piece(own_head.vertices, own_head.triangles, point_ids=ids, point_places=places)
    with pytest.raises(VividKeysError) as caught:
        find_landmarks(character)
    assert caught.value.kind is ErrorKind.NO_FACE and "line" in caught.value.sentence


def test_a_ball_is_no_face():
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 24), np.linspace(0, np.pi, 13))
    x, y, z = np.cos(around) * np.sin(up), np.sin(around) * np.sin(up), np.cos(up)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    cell = np.arange(12 * 24).reshape(12, 24)[:, :-1].reshape(-1)
    triangles = np.concatenate(
        [
            np.stack([cell, cell + 1, cell + 24], axis=1),
            np.stack([cell + 1, cell + 25, cell + 24], axis=1),
        ]
    )
    with pytest.raises(VividKeysError) as caught:
        find_landmarks(one_piece(vertices, triangles))
    assert caught.value.kind is ErrorKind.NO_FACE
    assert "by hand" in caught.value.next_step


def test_too_little_or_flat_is_said(own_head):
    few = one_piece(own_head.vertices[:50], np.array([[0, 1, 2], [1, 2, 3]]))
    empty = one_piece(np.zeros((0, 3)), np.zeros((0, 3), int))
    flat = one_piece(own_head.vertices * (1, 0, 1), own_head.triangles)
    for character, word in ((few, "vertices"), (empty, "vertices"), (flat, "flat")):
        with pytest.raises(VividKeysError) as caught:
            find_landmarks(character)
        assert caught.value.kind is ErrorKind.BAD_TARGET
        assert word in caught.value.sentence and caught.value.next_step


def test_it_can_be_stopped_and_tells_how_far_it_is(own_head):
    told: list[float] = []

    def stop() -> bool:
        return len(told) >= 2

    with pytest.raises(VividKeysError) as caught:
        find_landmarks(own_head, Watch(lambda fraction, _: told.append(fraction), stop))
    assert caught.value.kind is ErrorKind.CANCELLED
    assert told == [0.0, 0.1]


def test_the_ict_head(ict_head):
    """Its own table of landmarks is uneven by 4 % itself (left against right)."""
    character, truth = ict_head
    found = find_landmarks(character)
    error = errors(found.places, truth)
    assert error.mean() < 4.5 and np.median(error) < 3.2
    assert error[LIPS].mean() < 2.2
    assert error[[*RIGHT_LID_UPPER, *LEFT_LID_UPPER]].mean() < 3.0


def test_hair_over_the_eyes_is_left_out(own_head, own_landmarks):
    """A cap over the face that is named hair changes nothing."""
    head = own_head.vertices.astype(np.float64)
    front = head[:468][head[:468, 2] > 0.02] + (0, -0.02, 0)
    from scipy.spatial import Delaunay

    cap = Delaunay(front[:, [0, 2]]).simplices.astype(np.int32) + len(head)
    piece = np.repeat([0, 1], [len(head), len(front)])
    character = Character(
        np.concatenate([head, front]),
        np.concatenate([own_head.triangles, cap]),
        piece,
        ("Head", "Hair Front"),
    )
    found = find_landmarks(character)
    assert np.abs(found.places - own_landmarks.places).max() < 1e-4


def test_a_whole_body_without_eyeballs(makehuman_body):
    found = find_landmarks(makehuman_body)
    assert found.method == "rendered"
    frontal = found.to_frontal.apply(found.places)
    assert face_size(found.places) == pytest.approx(0.94, rel=0.1)  # decimetres
    # The lips are a little open; each lip's edge was found.
    gap = frontal[list(INNER_LIP_UPPER[1:-1]), 2] - frontal[list(INNER_LIP_LOWER[1:-1]), 2]
    assert (gap > -1e-4).all() and gap.max() < 0.004
    # Left and right of the body are alike, so the landmarks are too.
    away = frontal[[33, 133, 61, 78]] * (-1, 1, 1) - frontal[[263, 362, 291, 308]]
    assert np.linalg.norm(away, axis=1).max() < 0.006
