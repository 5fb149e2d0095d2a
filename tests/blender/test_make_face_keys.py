# SPDX-License-Identifier: GPL-3.0-or-later
"""Make Face Keys: what is sent of a character, and what its meshes get from the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from .made_up_character import (
    FIELDS,
    STILL,
    answer,
    choose,
    fields_for,
    new_character,
    new_eye,
    sent_character,
    shapes_for,
)


@pytest.fixture
def transferring(addon, connected, backend):
    """A connected backend that makes face keys."""
    backend.results["transfer"] = answer(addon)
    return backend


@pytest.fixture
def figure(blender):
    return new_character(blender)


def key_offsets(addon, piece, name):
    """What a key does [V,3], in the world's axes."""
    coordinates = addon("animation.lip_detail").coordinates
    keys = piece.data.shape_keys
    local = coordinates(keys.key_blocks[name].points) - coordinates(keys.reference_key.points)
    return local @ np.array(piece.matrix_world)[:3, :3].T


def names_of(piece):
    return [block.name for block in piece.data.shape_keys.key_blocks]


def test_every_object_gets_the_keys_that_move_it(blender, addon, transferring, figure):
    eye = new_eye(blender)
    choose(blender, figure, eye)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    arkit = addon("shared.arkit").ARKIT_NAMES
    lips = [f"vk_offset_{number + 1:02d}" for number in range(FIELDS)]
    assert names_of(figure) == ["Basis", *arkit, *lips]
    looks = [name for name in arkit if name.startswith("eyeLook")]
    assert names_of(eye) == ["Basis", *looks]
    sent = sent_character(addon, transferring)
    assert sent.piece_names == ("Figur", "Auge")
    shapes, fields = shapes_for(addon, sent), fields_for(sent)
    for row, name in enumerate(arkit):
        offsets = key_offsets(addon, figure, name)
        assert np.abs(offsets - shapes[row, sent.piece == 0]).max() < 1e-6
    for row, name in enumerate(lips):
        offsets = key_offsets(addon, figure, name)
        assert np.abs(offsets - fields[row, sent.piece == 0]).max() < 1e-6
    for name in looks:
        offsets = key_offsets(addon, eye, name)
        assert np.abs(offsets - shapes[arkit.index(name), sent.piece == 1]).max() < 1e-6
    assert not key_offsets(addon, figure, STILL).any()
    told = addon("jobs.work").state().notice.sentences
    assert told[:2] == ("'Figur' has 52 new shape keys.", "'Auge' has 8 new shape keys.")
    assert f"Nothing of this character moves with {STILL}." in told
    # The mapping knows them at once.
    assert addon("animation.targets").target_meshes(blender.context) == [figure, eye]
    match = addon("animation.baking").preview_match([figure, eye])
    assert len(match.matched_channels) == 52 and not match.unmatched_keys


@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0), (-1.0, 1.0, 1.0)])
def test_places_and_scales_that_are_not_applied_do_not_matter(
    blender, addon, transferring, figure, scale
):
    figure.location, figure.scale = (5.0, -7.0, 100.0), scale
    figure.rotation_euler = (0.1, -0.2, math.radians(70))
    eye = new_eye(blender)
    eye.parent, eye.location = figure, (0.0, -0.02, 0.01)
    choose(blender, figure, eye)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    sent = sent_character(addon, transferring)
    for number, piece in enumerate((figure, eye)):
        world = np.array([piece.matrix_world @ vertex.co for vertex in piece.data.vertices])
        own = sent.vertices[sent.piece == number]
        # One shift for all pieces: single precision has no room for where the scene puts them.
        if number == 0:
            shift = world[0] - own[0]
        assert np.abs(world - own - shift).max() < 2e-5
        # The second channel, eyeLookDownLeft, moves both.
        name, shapes = "eyeLookDownLeft", shapes_for(addon, sent)[1, sent.piece == number]
        assert np.abs(key_offsets(addon, piece, name) - shapes).max() < 2e-6
    assert np.abs(sent.vertices[sent.piece == 0].mean(axis=0)).max() < 1.0
    # Seen from outside, also when the object is mirrored.
    corners = sent.vertices[sent.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    forward = np.array(figure.matrix_world)[:3, :3] @ [0.0, -1.0, 0.0]
    of_face = (sent.piece[sent.triangles] == 0).all(axis=1)
    assert (normals[of_face] @ forward > 0).all()


def test_the_base_mesh_is_sent_whatever_keys_pose_and_modifiers_show(
    blender, addon, transferring, figure
):
    figure.shape_key_add(name="Rest", from_mix=False)
    wide = figure.shape_key_add(name="wide", from_mix=False)
    for point in wide.points:
        point.co.x *= 2.0
    wide.value = 1.0
    figure.modifiers.new("Smooth", "SUBSURF").levels = 1
    figure.modifiers.new("Cast", "CAST")
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    sent = sent_character(addon, transferring)
    assert len(sent.vertices) == 484 and len(sent.triangles) == 2 * 21 * 21
    assert np.ptp(sent.vertices[:, 0]) == pytest.approx(0.16, abs=1e-6)
    assert names_of(figure)[:3] == ["Rest", "wide", "eyeBlinkLeft"]
    # The new shape stands on the rest shape, not on what is shown.
    offsets = key_offsets(addon, figure, "eyeBlinkLeft")
    assert np.abs(offsets - shapes_for(addon, sent)[0]).max() < 1e-6


def test_an_eye_on_a_posed_bone_is_sent_where_it_rests(blender, addon, transferring, figure):
    armature = blender.data.objects.new("Rig", blender.data.armatures.new("Rig"))
    blender.context.scene.collection.objects.link(armature)
    choose(blender, armature)
    blender.ops.object.mode_set(mode="EDIT")
    bone = armature.data.edit_bones.new("head")
    bone.head, bone.tail = (0.0, 0.0, 0.0), (0.0, 0.0, 0.1)
    blender.ops.object.mode_set(mode="OBJECT")
    eye = new_eye(blender)
    eye.parent, eye.parent_type, eye.parent_bone = armature, "BONE", "head"
    eye.matrix_parent_inverse = (
        armature.matrix_world @ armature.data.bones["head"].matrix_local
    ).inverted()
    blender.context.view_layer.update()
    rest = np.array([eye.matrix_world @ vertex.co for vertex in eye.data.vertices])
    armature.pose.bones["head"].rotation_mode = "XYZ"
    armature.pose.bones["head"].rotation_euler = (0.0, 0.8, 0.0)
    choose(blender, figure, eye)
    assert not np.allclose(rest[0], eye.matrix_world @ eye.data.vertices[0].co, atol=1e-3)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    sent = sent_character(addon, transferring)
    face = np.array([vertex.co for vertex in figure.data.vertices])
    shift = face[0] - sent.vertices[0]
    assert np.abs(sent.vertices[sent.piece == 1] + shift - rest).max() < 1e-6


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("ARKIT", "eyeBlinkLeft"),
        ("SIDES", "eyeBlink_L"),
        ("PASCAL", "EyeBlinkLeft"),
        ("LOWER", "eyeblinkleft"),
    ],
)
def test_every_convention_is_recognised(blender, addon, transferring, figure, convention, expected):
    blender.context.scene.vividkeys.key_convention = convention
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    names = names_of(figure)
    assert names[1] == expected and len(set(names)) == 53 + FIELDS
    match = addon("animation.baking").preview_match([figure])
    assert match.sentence == "52 of 52 channels drive 52 shape keys."


@pytest.fixture
def worked_on(blender, figure):
    """A character with keys of its own: one animated, one driven, one in another convention."""
    figure.shape_key_add(name="Basis", from_mix=False)
    for number, name in enumerate(("jawOpen", "Smirk", "browDown_L", "mouthPucker")):
        block = figure.shape_key_add(name=name, from_mix=False)
        block.points[number].co.z += 0.5
    blocks = figure.data.shape_keys.key_blocks
    blocks["jawOpen"].value = 0.25
    blocks["jawOpen"].keyframe_insert("value", frame=4)
    blocks["Smirk"].driver_add("value").driver.expression = "0.75"
    blocks["browDown_L"].slider_max = 2.0
    figure.active_shape_key_index = 2
    return figure


def test_keys_that_are_there_are_kept_with_all_that_hangs_on_them(
    blender, addon, transferring, worked_on
):
    coordinates = addon("animation.lip_detail").coordinates
    blocks = worked_on.data.shape_keys.key_blocks
    before = {block.name: coordinates(block.points) for block in blocks}
    action = worked_on.data.shape_keys.animation_data.action
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    for name, places in before.items():
        assert np.array_equal(coordinates(blocks[name].points), places), name
    assert len(blocks) == 53 + 1 + FIELDS
    assert "browDownLeft" not in blocks
    animation = worked_on.data.shape_keys.animation_data
    assert animation.action == action and len(animation.drivers) == 1
    assert blocks["jawOpen"].value == pytest.approx(0.25)
    assert blocks["browDown_L"].slider_max == 2.0
    assert worked_on.active_shape_key_index == 2
    told = addon("jobs.work").state().notice.sentences
    kept = next(sentence for sentence in told if "were kept" in sentence)
    for name in ("jawOpen", "browDown_L", "mouthPucker"):
        assert name in kept
    assert told[0] == "'Figur' has 49 new shape keys."
    assert addon("animation.baking").preview_match([worked_on]).matched_channels


def test_replacing_gives_new_shapes_but_not_to_locked_keys(blender, addon, transferring, worked_on):
    coordinates = addon("animation.lip_detail").coordinates
    blocks = worked_on.data.shape_keys.key_blocks
    blocks["mouthPucker"].lock_shape = True
    locked, smirk = (coordinates(blocks[name].points) for name in ("mouthPucker", "Smirk"))
    assert blender.ops.vividkeys.make_face_keys(replace_keys=True) == {"FINISHED"}
    sent = sent_character(addon, transferring)
    shapes, index = shapes_for(addon, sent), addon("shared.arkit").INDEX
    for channel, name in (("jawOpen", "jawOpen"), ("browDownLeft", "browDown_L")):
        offsets = key_offsets(addon, worked_on, name)
        assert np.abs(offsets - shapes[index[channel]]).max() < 1e-6
    assert np.array_equal(coordinates(blocks["mouthPucker"].points), locked)
    assert np.array_equal(coordinates(blocks["Smirk"].points), smirk)
    assert blocks["jawOpen"].value == pytest.approx(0.25)
    told = addon("jobs.work").state().notice.sentences
    assert "Locked keys were not replaced: mouthPucker." in told


def test_twice_is_as_good_as_once(blender, addon, transferring, figure):
    for _ in range(2):
        assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert len(figure.data.shape_keys.key_blocks) == 53 + FIELDS
    told = addon("jobs.work").state().notice.sentences
    assert told[0] == "Every key was there already; none was added."


def test_keys_of_several_channels_are_named_when_they_would_add_up(
    blender, addon, transferring, figure
):
    figure.shape_key_add(name="Basis", from_mix=False)
    figure.shape_key_add(name="Fcl_BRW_Angry", from_mix=False)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    told = " ".join(addon("jobs.work").state().notice.sentences)
    assert "Fcl_BRW_Angry will move together with the new keys" in told


def test_it_is_one_undo_step(blender, addon, transferring, figure):
    blender.ops.ed.undo_push(message="before")
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    blender.ops.ed.undo_push(message="Make Face Keys")
    blender.ops.ed.undo()
    again = blender.data.objects["Figur"]
    assert again.data.shape_keys is None and "vividkeys_landmarks" not in again
    assert addon("animation.targets").target_meshes(blender.context) == []


def test_what_the_backend_says_about_the_face_is_told(blender, addon, transferring, figure):
    transferring.results["transfer"] = answer(addon, {"warnings": ["The tongue has no mesh."]})
    settings = blender.context.scene.vividkeys
    settings.face_style, settings.surface_only = "STYLISED", True
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert "The tongue has no mesh." in addon("jobs.work").state().notice.sentences
    params = transferring.submits[-1].params
    expected = {"only_landmarks": False, "style": "stylised", "surface_only": True}
    assert params == {**expected, "shapes_of": ""}
