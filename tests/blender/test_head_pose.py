# SPDX-License-Identifier: GPL-3.0-or-later
"""Head motion on an object, an empty and a bone, in every rotation mode, on top of the rest."""

from __future__ import annotations

import math

import pytest

MODES = ("XYZ", "ZXY", "QUATERNION", "AXIS_ANGLE")


def _bake(blender, addon, take, plan):
    blender.context.scene.render.fps = 60
    return addon("animation.baking").bake_take(blender.context, take, plan, {})


def _goal(addon, owner, bone="", forward="-Y"):
    return addon("animation.baking").HeadGoal(
        addon("animation.targets").remember(owner), bone, forward
    )


def _motion(take, frame):
    from mathutils import Euler, Matrix, Vector

    turn = Euler(take.head_rotation[frame].tolist(), "XYZ").to_matrix().to_4x4()
    return Matrix.Translation(Vector(take.head_translation[frame].tolist())) @ turn


def _close(matrix, expected, tolerance=2e-5):
    return all(
        abs(a - b) < tolerance
        for row, other in zip(matrix, expected, strict=True)
        for a, b in zip(row, other, strict=True)
    )


@pytest.mark.parametrize("mode", MODES)
def test_an_object_moves_about_its_rest_transform(blender, addon, head, make_take, make_plan, mode):
    from mathutils import Euler, Matrix

    rest = Matrix.Translation((1, 2, 3)) @ Euler((0.3, -0.2, 2.5)).to_matrix().to_4x4()
    head.rotation_mode = mode
    head.matrix_basis = rest
    take = make_take(2.0)
    _bake(blender, addon, take, make_plan(head, head=_goal(addon, head)))
    for frame in (1, 30, 100):
        blender.context.scene.frame_set(frame)
        assert _close(head.matrix_basis, rest @ _motion(take, frame - 1)), frame


def test_animating_again_does_not_pile_up(blender, addon, head, make_take, make_plan):
    from mathutils import Matrix

    head.location = (0, 0, 5)
    take = make_take(1.0)
    for _ in range(3):
        _bake(blender, addon, take, make_plan(head, head=_goal(addon, head)))
        blender.context.scene.frame_set(33)
    assert _close(head.matrix_basis, Matrix.Translation((0, 0, 5)) @ _motion(take, 32))


def test_an_empty_can_carry_the_motion(blender, addon, head, make_take, make_plan):
    empty = blender.data.objects.new("Neck", None)
    blender.context.scene.collection.objects.link(empty)
    take = make_take(1.0)
    report = _bake(blender, addon, take, make_plan(head, head=_goal(addon, empty)))
    blender.context.scene.frame_set(20)
    assert _close(empty.matrix_basis, _motion(take, 19))
    assert head.animation_data is None
    assert empty.animation_data.action.name == report.action


@pytest.mark.parametrize("forward", ["-Y", "+X", "+Y", "-X"])
def test_the_face_may_look_along_another_axis(blender, addon, head, make_take, make_plan, forward):
    from mathutils import Matrix, Vector

    empty = blender.data.objects.new("Neck", None)
    blender.context.scene.collection.objects.link(empty)
    take = make_take(1.0)
    _bake(blender, addon, take, make_plan(head, head=_goal(addon, empty, forward=forward)))
    turn = {"-Y": 0, "+X": math.pi / 2, "+Y": math.pi, "-X": -math.pi / 2}[forward]
    axes = Matrix.Rotation(turn, 4, "Z")
    looking = axes.to_3x3() @ Vector((0, -1, 0))
    sign, axis = forward
    assert looking["XYZ".index(axis)] == pytest.approx(1 if sign == "+" else -1)
    blender.context.scene.frame_set(40)
    assert _close(empty.matrix_basis, axes @ _motion(take, 39) @ axes.inverted())


@pytest.fixture
def armature(blender):
    """An armature with a leaning neck bone and a connected head bone with a roll."""
    data = blender.data.armatures.new("Rig")
    rig = blender.data.objects.new("Rig", data)
    blender.context.scene.collection.objects.link(rig)
    blender.context.view_layer.objects.active = rig
    blender.ops.object.mode_set(mode="EDIT")
    neck = data.edit_bones.new("Neck")
    neck.head, neck.tail = (0, 0, 1.4), (0, -0.05, 1.5)
    skull = data.edit_bones.new("Head")
    skull.head, skull.tail = (0, -0.05, 1.5), (0.02, -0.05, 1.7)
    skull.roll, skull.parent = 0.7, neck
    blender.ops.object.mode_set(mode="OBJECT")
    return rig


@pytest.mark.parametrize("mode", MODES)
def test_a_bone_turns_in_the_armatures_axes(
    blender, addon, head, armature, make_take, make_plan, mode
):
    posed = armature.pose.bones["Head"]
    posed.rotation_mode = mode
    take = make_take(1.0)
    plan = make_plan(head, head=_goal(addon, armature, "Head"))
    _bake(blender, addon, take, plan)
    blender.context.scene.frame_set(25)
    blender.context.view_layer.update()
    rest = posed.bone.matrix_local
    turned = posed.matrix.to_3x3() @ rest.to_3x3().inverted()
    assert _close(turned, _motion(take, 24).to_3x3())
    shifted = posed.matrix.translation - rest.translation
    assert (shifted - _motion(take, 24).translation).length < 1e-5


def test_a_connected_bone_is_mentioned(blender, addon, head, armature, make_take, make_plan):
    blender.context.view_layer.objects.active = armature
    blender.ops.object.mode_set(mode="EDIT")
    armature.data.edit_bones["Head"].use_connect = True
    blender.ops.object.mode_set(mode="OBJECT")
    report = _bake(
        blender, addon, make_take(0.5), make_plan(head, head=_goal(addon, armature, "Head"))
    )
    assert any("is connected" in sentence for sentence in report.sentences)


def test_body_animation_goes_on_beneath_nothing_of_ours(
    blender, addon, head, armature, make_take, make_plan
):
    """The artist's body Action stays the active one; ours moves only the head, in an NLA track."""
    armature.animation_data_create()
    body = blender.data.actions.new("Body")
    armature.animation_data.action = body
    curve = body.fcurve_ensure_for_datablock(armature, "location", index=0)
    curve.keyframe_points.insert(1, 0.0)
    curve.keyframe_points.insert(61, 6.0)
    take = make_take(1.0)
    plan = make_plan(head, head=_goal(addon, armature, "Head"))
    armature.pose.bones["Head"].rotation_mode = "XYZ"
    for _ in range(2):
        _bake(blender, addon, take, plan)
    assert armature.animation_data.action == body
    assert [track.name for track in armature.animation_data.nla_tracks] == ["VividKeys"]
    blender.context.scene.frame_set(61)
    blender.context.view_layer.update()
    assert armature.location.x == pytest.approx(6.0)
    posed = armature.pose.bones["Head"]
    rest = posed.bone.matrix_local.to_3x3()
    assert _close(posed.matrix.to_3x3() @ rest.inverted(), _motion(take, 60).to_3x3())


def test_a_bone_the_artist_animates_is_left_alone(
    blender, addon, head, armature, make_take, make_plan
):
    armature.animation_data_create()
    body = blender.data.actions.new("Body")
    armature.animation_data.action = body
    posed = armature.pose.bones["Head"]
    path = posed.path_from_id("rotation_quaternion")
    body.fcurve_ensure_for_datablock(armature, path, index=1).keyframe_points.insert(1, 0.1)
    report = _bake(
        blender, addon, make_take(0.5), make_plan(head, head=_goal(addon, armature, "Head"))
    )
    assert armature.animation_data.action == body
    assert not armature.animation_data.nla_tracks
    assert any("'Body' already moves Head" in sentence for sentence in report.sentences)
    assert head.data.shape_keys.animation_data.action.name == report.action


def test_a_bone_that_is_gone_is_said_before_anything_changes(
    blender, addon, head, armature, make_take, make_plan
):
    errors = addon("shared.errors")
    with pytest.raises(errors.VividKeysError, match="no bone 'Skull'"):
        _bake(blender, addon, make_take(0.5), make_plan(head, head=_goal(addon, armature, "Skull")))
    assert len(blender.data.actions) == 0
