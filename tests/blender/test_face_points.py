# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Face Points: empties where the face is, to drag, and what dragging them changes."""

from __future__ import annotations

import numpy as np
import pytest

from .made_up_character import (
    answer,
    choose,
    grid,
    landmarks_of,
    new_character,
    new_eye,
    new_object,
    sent_character,
)

NO_FACE = ("no_face", "No face was found on 'Figur'.", "Set its points by hand.")


@pytest.fixture
def transferring(addon, connected, backend):
    backend.results["transfer"] = answer(addon)
    return backend


@pytest.fixture
def figure(blender):
    return new_character(blender)


def points_of(addon, face):
    return addon("heads.face_points").of(face)


@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (-2.0, 0.5, 3.0)])
def test_twelve_points_show_where_the_face_was_found(blender, addon, transferring, figure, scale):
    figure.location, figure.scale = (1.0, 2.0, 3.0), scale
    figure.rotation_euler = (0.0, 0.3, 1.0)
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    assert transferring.submits[-1].params["only_landmarks"] is True
    sent = sent_character(addon, transferring)
    assert not len(sent.point_ids)
    names = addon("shared.character").FACE_POINTS
    points = points_of(addon, figure)
    assert set(points) == set(names) and len(points) == 12
    blender.context.view_layer.update()
    shift = np.array(figure.matrix_world @ figure.data.vertices[0].co) - sent.vertices[0]
    for landmark, point in points.items():
        assert point.name == f"Face Point: {names[landmark]}"
        assert point.parent == figure and point.show_in_front
        assert [c.name for c in point.users_collection] == ["VividKeys"]
        place = np.array(point.matrix_world.translation) - shift
        assert np.abs(place - landmarks_of(sent)[landmark]).max() < 1e-5
    assert figure.data.shape_keys is None
    # Small beside the face.
    assert 0.0 < points[4].empty_display_size < 0.02


def test_looking_again_replaces_our_points_of_this_character_alone(
    blender, addon, transferring, figure
):
    mine = blender.data.objects.new("Face Point: tip of the nose", None)
    blender.context.scene.collection.objects.link(mine)
    mine.parent = figure
    other = new_character(blender, "Andere")
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    theirs = set(points_of(addon, other).values())
    choose(blender, figure)
    for _ in range(2):
        assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    assert set(points_of(addon, other).values()) == theirs
    assert len(points_of(addon, figure)) == 12 and mine.name in blender.data.objects
    assert len(blender.data.objects) == 2 + 1 + 24
    assert blender.ops.vividkeys.remove_face_points() == {"FINISHED"}
    assert points_of(addon, figure) == {} and len(blender.data.objects) == 2 + 1 + 12
    assert not blender.ops.vividkeys.remove_face_points.poll()


def test_points_are_sent_where_they_were_dragged(blender, addon, transferring, figure):
    figure.location, figure.scale = (0.0, 0.0, 50.0), (-1.5, 1.5, 1.5)
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    nose = points_of(addon, figure)[4]
    nose.name = "Nase"
    nose.location = figure.data.vertices[100].co
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    sent = sent_character(addon, transferring)
    assert sorted(sent.point_ids) == sorted(addon("shared.character").FACE_POINTS)
    places = dict(zip(sent.point_ids.tolist(), sent.point_places, strict=True))
    assert np.abs(places[4] - sent.vertices[100]).max() < 1e-5
    assert np.abs(places[61] - landmarks_of(sent)[61]).max() < 1e-5


def test_while_a_point_is_active_the_character_is_what_it_was(blender, addon, transferring, figure):
    eye = new_eye(blender)
    choose(blender, figure, eye)
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    choose(blender, points_of(addon, figure)[13])
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert sent_character(addon, transferring).piece_names == ("Figur", "Auge")
    blender.data.objects.remove(eye)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert sent_character(addon, transferring).piece_names == ("Figur",)


def test_a_face_that_is_not_found_is_guessed_and_its_points_have_to_be_dragged(
    blender, addon, transferring, figure
):
    transferring.failure = NO_FACE
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    work = addon("jobs.work").state()
    assert "only guessed" in work.notice.sentences[0] and not work.notice.is_error
    points = points_of(addon, figure)
    assert len(points) == 12
    places = np.array([point.location for point in points.values()])
    assert (places.min(axis=0) >= [-0.08, 0.0, -0.1]).all()
    assert (places.max(axis=0) <= [0.08, 0.1, 0.1]).all()
    eyes, mouth = points[33].location, points[61].location
    assert eyes.z > mouth.z and points[263].location.x > 0 > points[33].location.x
    transferring.failure = None
    with pytest.raises(RuntimeError, match="only guessed"):
        blender.ops.vividkeys.make_face_keys()
    reason = addon("interface.availability").disabled_reason(blender.context, "make_face_keys")
    assert "drag them to their places" in reason
    points[4].location.y -= 0.001
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}


def test_without_points_a_face_that_is_not_found_says_where_to_get_some(
    blender, addon, transferring, figure
):
    transferring.failure = NO_FACE
    with pytest.raises(RuntimeError, match="Press 'Find Face Points'"):
        blender.ops.vividkeys.make_face_keys()
    assert figure.data.shape_keys is None


def test_on_a_whole_body_the_guess_lies_on_the_head(blender, addon, transferring):
    vertices, quads = grid()
    body, body_quads = grid(1.6, 1.5)
    places = (vertices + np.array([0, 0, 1.65]), body + np.array([0, 0, 0.75]))
    everything = np.concatenate(places)
    body = new_object(blender, "Leib", everything, [*quads, *(body_quads + len(vertices))])
    choose(blender, body)
    transferring.failure = NO_FACE
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    places = np.array([point.location for point in points_of(addon, body).values()])
    assert places[:, 2].min() > 1.5 and np.abs(places[:, 0]).max() < 0.08


def test_points_are_one_undo_step(blender, addon, transferring, figure):
    blender.ops.ed.undo_push(message="before")
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    blender.ops.ed.undo_push(message="Find Face Points")
    blender.ops.ed.undo()
    again = blender.data.objects["Figur"]
    assert points_of(addon, again) == {} and "vividkeys_pieces" not in again
