# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance takes the place of another: what of the earlier one goes, and what stays."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from .conftest import keyed_values, shape_curve

A, B = "a" * 32, "b" * 32
JAW = 'key_blocks["jawOpen"].value'


@pytest.fixture
def bake(blender, addon, head, make_take, make_plan):
    """Key a Take onto the head, as 'Animate' (another Take) and 'Apply Take' (the same) do."""

    def run(take_id=A, name="speech", seed=0, start_frame=1, **changes):
        goal = addon("animation.baking").HeadGoal(addon("animation.targets").remember(head))
        plan = make_plan(head, name=name, head=goal, start_frame=start_frame, **changes)
        take = make_take(0.5, seed=seed)
        report = addon("animation.baking").bake_take(
            blender.context, take, plan, {"take": take_id, "start_frame": start_frame}
        )
        return blender.data.actions[report.action], report

    return run


def _names(blender):
    return sorted(action.name for action in blender.data.actions)


def _curve(addon, owner, path, index=0):
    return addon("versions").channelbag_of(owner).fcurves.find(path, index=index)


def _dials(addon, value):
    return addon("shared.performance.style").StyleDials(jaw=value)


def test_turning_dials_leaves_no_copies(blender, addon, head, bake):
    for value in (1.0, 0.5, 0.25, 2.0):
        action, report = bake(style=_dials(addon, value))
        assert _names(blender) == [action.name]
        assert report.warnings == ()
    assert head.animation_data.action == head.data.shape_keys.animation_data.action == action


def test_a_file_that_was_saved_and_opened_is_not_edited(blender, addon, head, bake, tmp_path):
    bake()
    path = str(tmp_path / "saved.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.open_mainfile(filepath=path)
    blender.context.scene.frame_set(5)
    (action,) = blender.data.actions
    assert not addon("animation.set_aside").was_edited(action)


@pytest.mark.parametrize("edit", ["value", "deleted", "curve", "interpolation", "head", "muted"])
def test_what_was_edited_by_hand_is_kept_and_said(blender, addon, head, bake, edit):
    action, _ = bake()
    keys = head.data.shape_keys
    jaw = _curve(addon, keys, JAW)
    if edit == "value":
        jaw.keyframe_points[3].co.y += 0.01
    elif edit == "deleted":
        jaw.keyframe_points.remove(jaw.keyframe_points[3])
    elif edit == "curve":
        addon("versions").channelbag_of(keys).fcurves.remove(jaw)
    elif edit == "interpolation":
        jaw.keyframe_points[3].interpolation = "CONSTANT"
    elif edit == "head":
        _curve(addon, head, "rotation_euler", 2).keyframe_points[0].co.y += 0.01
    else:
        jaw.mute = True
    edited = keyed_values(addon, keys), keyed_values(addon, head)
    newer, report = bake(style=_dials(addon, 0.5))
    assert newer.name == "VividKeys speech.001" and action.use_fake_user
    assert action.name == "VividKeys speech (edited by hand)"
    said = [sentence for sentence in report.sentences if "by hand" in sentence]
    assert said == [
        "Keys in 'VividKeys speech' were changed by hand: it is kept as the Action "
        "'VividKeys speech (edited by hand)'."
    ]
    assert any("To get it back" in sentence for sentence in report.sentences)
    # The way back.
    for owner, values in ((keys, edited[0]), (head, edited[1])):
        owner.animation_data.action = action
        owner.animation_data.action_slot = next(
            slot for slot in action.slots if slot.target_id_type == owner.id_type
        )
        again = keyed_values(addon, owner)
        assert values.keys() == again.keys()
        assert all(np.array_equal(values[path], again[path]) for path in values)
    # And on: no copies of a copy, and the untouched one in between goes.
    third, _ = bake(style=_dials(addon, 0.75))
    assert _names(blender) == sorted([action.name, newer.name, third.name])


def test_another_line_leaves_the_first_one_in_the_file(blender, addon, head, bake, voice):
    first, _ = bake(name="first", sound_file=voice)
    values = keyed_values(addon, head.data.shape_keys)
    second, report = bake(B, "second", seed=1, start_frame=200)
    assert _names(blender) == ["VividKeys first", "VividKeys second"]
    assert first.use_fake_user and head.data.shape_keys.animation_data.action == second
    assert "The earlier performance is kept as the Action 'VividKeys first'." in report.sentences
    assert any("To get it back" in sentence for sentence in report.sentences)
    keys = head.data.shape_keys
    keys.animation_data.action = first
    keys.animation_data.action_slot = first.slots[0]
    again = keyed_values(addon, keys)
    assert all(np.array_equal(values[path], again[path]) for path in values)


def test_what_an_earlier_version_has_keyed_is_kept(blender, addon, bake):
    """It did not note what it left, so nobody knows whether it was edited."""
    first, _ = bake()
    del first[addon("animation.set_aside").FINGERPRINT_PROPERTY]
    _, report = bake()
    assert first.use_fake_user and first.name == "VividKeys speech"
    assert "The earlier performance is kept as the Action 'VividKeys speech'." in report.sentences


def test_the_same_keys_again_are_one_action(blender, addon, bake):
    """A voice that was sent twice gives two Takes, and the same keys."""
    bake(A)
    action, report = bake(B)
    assert _names(blender) == [action.name] and report.warnings == ()


def test_what_the_user_protects_or_uses_is_not_touched(blender, addon, head, bake):
    first, _ = bake()
    first.use_fake_user = True
    second, _ = bake()
    assert first.name in _names(blender)
    track = head.animation_data.nla_tracks.new()
    track.name = "My first try"
    track.strips.new("try", 300, second)
    third, _ = bake()
    assert {first.name, second.name, third.name} == set(_names(blender))
    assert [t.name for t in head.animation_data.nla_tracks] == ["My first try"]
    assert head.animation_data.action == third


def test_the_users_own_curves_in_our_action_go_along(blender, addon, head, bake):
    _first, _ = bake()
    keys = head.data.shape_keys
    mine = head.shape_key_add(name="my smirk", from_mix=False)
    for frame, value in ((1, 0.0), (7, 0.8), (300, 0.1)):
        mine.value = value
        mine.keyframe_insert("value", frame=frame)
    head.scale = (1.0, 1.1, 1.0)
    head.keyframe_insert("scale", frame=4)
    head.scale = (1.0, 1.3, 1.0)
    head.keyframe_insert("scale", frame=40)
    curve = _curve(addon, keys, 'key_blocks["my smirk"].value')
    curve.keyframe_points[1].interpolation = "ELASTIC"
    curve.keyframe_points[1].handle_right_type = "FREE"
    curve.keyframe_points[1].handle_right = (9.0, 1.5)
    curve.modifiers.new("NOISE").strength = 0.25
    shown = [curve.evaluate(frame) for frame in (1, 4, 7, 20, 300)]
    groups = {
        c.group.name if c.group else "" for c in addon("versions").channelbag_of(head).fcurves
    }
    second, report = bake(style=_dials(addon, 0.5))
    assert _names(blender) == [second.name], "nothing of the first is missing in the second"
    assert report.warnings == ()
    again = _curve(addon, keys, 'key_blocks["my smirk"].value')
    assert [again.evaluate(frame) for frame in (1, 4, 7, 20, 300)] == pytest.approx(shown, abs=1e-6)
    assert again.keyframe_points[1].interpolation == "ELASTIC"
    assert _curve(addon, head, "scale", 1).evaluate(40) == pytest.approx(1.3)
    bag = addon("versions").channelbag_of(head)
    assert {c.group.name if c.group else "" for c in bag.fcurves} == groups
    # The performance is that of its own curves, wherever the user's keys lie.
    assert addon("animation.exporting").performance_range([head]) == (1, 13)


def test_curves_of_what_is_no_target_any_more_keep_the_action(
    blender, addon, head, bake, make_face
):
    """The user's curves on something that is not keyed again have nowhere else to go."""
    first, _ = bake()
    lamp = blender.data.objects.new("Lamp", None)
    blender.context.scene.collection.objects.link(lamp)
    lamp.animation_data_create().action = first
    curve = first.fcurve_ensure_for_datablock(lamp, "location", index=0)
    curve.keyframe_points.insert(1, 2.0)
    lamp.animation_data.action = None
    bake()
    assert first.use_fake_user
    assert first.name == "VividKeys speech (edited by hand)"


def test_both_steps_by_the_operators(
    blender, addon, connected, backend, head, voice, make_take, tmp_path
):
    """Animate, edit, Apply Take, Animate a second line: all of it as a user does it."""
    other = tmp_path / "Zweiter.wav"
    shutil.copy(voice, other)
    ops, state = blender.ops.vividkeys, addon("jobs.work").state
    ops.animate(audio_file=str(voice), start_frame=5)
    keys = head.data.shape_keys
    _curve(addon, keys, JAW).keyframe_points[4].co.y = 0.987
    ops.apply_take(jaw=0.5)
    told = state().notice.sentences
    assert any("changed by hand" in sentence and "Satz ß" in sentence for sentence in told)
    assert shape_curve(addon, keys, "jawOpen")[4, 1] != pytest.approx(0.987)
    (edited,) = (a for a in blender.data.actions if a.name.endswith("(edited by hand)"))
    assert edited.use_fake_user
    backend.results["animate"] = addon("shared.take").take_to_arrays(make_take(1.0, seed=9))
    ops.animate(audio_file=str(other), start_frame=205)
    told = state().notice.sentences
    assert any("earlier performance is kept" in sentence for sentence in told)
    assert any("sound strip 'Satz ß' stays" in sentence for sentence in told)
    strips = addon("versions").strips_of(blender.context.scene.sequence_editor)
    assert sorted(strip.name for strip in strips) == ["Satz ß", "Zweiter"]
    assert not any(strip.mute for strip in strips)
    ops.animate(audio_file=str(voice), start_frame=208)
    told = state().notice.sentences
    assert any("'Zweiter' is muted" in sentence for sentence in told)


def test_long_names_keep_their_end(blender, addon, head, bake):
    first, _ = bake(name="ä" * 40)
    _curve(addon, head.data.shape_keys, JAW).keyframe_points[3].co.y += 0.1
    bake(name="ä" * 40)
    assert first.name.endswith("ä (edited by hand)") and first.use_fake_user
