# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scene shows after each step alone, before the next one covers it up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from .made_up_character import answer, choose, new_character, new_eye
from .talking_video import FRAMES

FRAME = 17


@pytest.fixture
def user(blender, addon, connected, backend):
    """A user with a scene of their own, at frame 17, who remembers what it was like."""
    scene, layer = blender.context.scene, blender.context.view_layer
    scene.frame_start, scene.frame_end = 3, 400
    bystander = blender.data.objects.new("Lamp", blender.data.lights.new("Lamp", "POINT"))
    scene.collection.objects.link(bystander)
    layer.update()
    scene.frame_set(FRAME)
    backend.results["transfer"] = answer(addon)
    return SimpleNamespace(scene=scene, layer=layer, operators=blender.ops.vividkeys)


def _evaluated(blender, thing):
    """The vertices [V,3] that the scene shows."""
    blender.context.view_layer.update()
    shown = thing.evaluated_get(blender.context.evaluated_depsgraph_get())
    mesh = shown.to_mesh()
    places = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", places)
    shown.to_mesh_clear()
    return places.reshape(-1, 3)


def _rest(thing):
    places = np.empty(3 * len(thing.data.vertices), np.float32)
    thing.data.vertices.foreach_get("co", places)
    return places.reshape(-1, 3)


def _assert_at_rest(blender, thing):
    keys = thing.data.shape_keys
    assert {block.name: block.value for block in keys.key_blocks if block.value} == {}
    assert np.array_equal(_evaluated(blender, thing), _rest(thing))


def _assert_usable(thing):
    """The keys are as an artist expects to find them."""
    keys = thing.data.shape_keys
    assert keys.use_relative and keys.eval_time == 0.0
    assert not thing.show_only_shape_key and not thing.use_shape_key_edit_mode
    for block in keys.key_blocks:
        lips = block.name.startswith("vk_offset_")
        reach = (-10.0, 10.0) if lips else (0.0, 1.0)
        assert (block.slider_min, block.slider_max) == reach, block.name
        assert not block.mute and not block.vertex_group
        assert block.relative_key == keys.reference_key == keys.key_blocks[0]


def _what_is_the_users(user):
    scene, layer = user.scene, user.layer
    return {
        "frame": (scene.frame_current, scene.frame_subframe),
        "range": (scene.frame_start, scene.frame_end),
        "selected": sorted(o.name for o in layer.objects if o.select_get()),
        "active": layer.objects.active.name if layer.objects.active else None,
        "mode": layer.objects.active.mode if layer.objects.active else None,
        "cursor": tuple(scene.cursor.location),
        "camera": scene.camera,
        "actions": sorted(
            (o.name, o.animation_data.action.name)
            for o in layer.objects
            if o.animation_data and o.animation_data.action
        ),
    }


@pytest.mark.parametrize("head_objects", ["ONE", "PARTS"])
def test_a_new_head_is_at_rest(blender, addon, user, backend, make_face, photo, head_objects):
    made_of = addon("shared.face").face_to_arrays(make_face(fields=3))
    backend.results["reconstruct"] = made_of
    before = _what_is_the_users(user)
    made = user.operators.create_head(image_file=str(photo), head_objects=head_objects)
    assert made == {"FINISHED"}
    meshes = [o for o in user.scene.objects if o.type == "MESH"]
    assert meshes
    for thing in meshes:
        _assert_at_rest(blender, thing)
        _assert_usable(thing)
        assert thing.active_shape_key_index == 0
        assert thing.matrix_world.is_identity and thing.animation_data is None
        assert all(slot.material is not None for slot in thing.material_slots)
        for slot in thing.material_slots:
            (picture,) = (n for n in slot.material.node_tree.nodes if n.type == "TEX_IMAGE")
            assert picture.image.has_data and picture.image.packed_file is not None
            assert picture.outputs["Color"].links[0].to_socket.name == "Base Color"
    after = _what_is_the_users(user)
    # The head is what one goes on with; nothing else changes.
    assert after.pop("selected") == [after.pop("active")] == [meshes[0].name]
    assert all(before[name] == value for name, value in after.items() if name != "mode")
    assert after["mode"] == "OBJECT"


def test_face_keys_leave_the_character_at_rest(blender, addon, user):
    figure, eye = new_character(blender), new_eye(blender)
    choose(blender, figure, eye)
    shown = [_evaluated(blender, thing) for thing in (figure, eye)]
    before = _what_is_the_users(user)
    assert user.operators.find_face_points() == {"FINISHED"}
    assert _what_is_the_users(user) == before
    assert figure.data.shape_keys is None
    assert user.operators.make_face_keys() == {"FINISHED"}
    assert _what_is_the_users(user) == before
    for thing, earlier in zip((figure, eye), shown, strict=True):
        _assert_at_rest(blender, thing)
        _assert_usable(thing)
        assert np.array_equal(_evaluated(blender, thing), earlier)
        assert thing.active_shape_key_index == 0


def test_face_keys_leave_what_the_user_has_set(blender, addon, user):
    figure = new_character(blender)
    figure.shape_key_add(name="Rest", from_mix=False).value = 0.0
    wide = figure.shape_key_add(name="wide", from_mix=False)
    wide.points[0].co.x += 0.1
    wide.value, figure.active_shape_key_index = 0.75, 1
    figure.data.update()
    shown = _evaluated(blender, figure)
    assert user.operators.make_face_keys() == {"FINISHED"}
    assert wide.value == 0.75 and figure.active_shape_key_index == 1
    assert np.array_equal(_evaluated(blender, figure), shown)


def test_lip_keys_for_an_older_head_are_at_rest(blender, addon, head):
    fields = np.full((2, len(head.data.vertices), 3), 0.01, np.float32)
    addon("animation.lip_detail").add_keys(head, fields)
    _assert_at_rest(blender, head)


def _assert_shows(blender, addon, head, take, start_frame):
    """The scene shows the Take at the current frame, before anybody moves the time."""
    fps = blender.context.scene.render.fps
    resampled = addon("shared.take").resample_take(take, fps)
    row = min(max(FRAME - start_frame, 0), resampled.frame_count - 1)
    for column, name in enumerate(addon("shared.arkit").ARKIT_NAMES):
        value = head.data.shape_keys.key_blocks[name].value
        assert value == pytest.approx(resampled.weights[row, column], abs=1e-6), name
    wanted = np.array(resampled.head_rotation[row])
    assert np.abs(np.array(head.rotation_euler) - wanted).max() < 1e-5
    blocks = head.data.shape_keys.key_blocks
    coordinates = addon("animation.lip_detail").coordinates
    rest = coordinates(head.data.shape_keys.reference_key.points)
    moved = rest + sum(
        block.value * (coordinates(block.points) - rest) for block in list(blocks)[1:]
    )
    assert np.abs(_evaluated(blender, head) - moved).max() < 1e-5


def test_a_performance_shows_at_once_and_moves_nothing_else(
    blender, addon, user, backend, head, voice, make_take, photo, films, tmp_path
):
    take = make_take(1.0)
    backend.results["animate"] = addon("shared.take").take_to_arrays(take)
    _assert_at_rest(blender, head)
    user.layer.update()
    choose(blender, user.scene.objects["Lamp"])
    before = _what_is_the_users(user)

    def rest_of(state):
        return {name: value for name, value in state.items() if name != "actions"}

    assert user.operators.animate(audio_file=str(voice), start_frame=5) == {"FINISHED"}
    assert rest_of(_what_is_the_users(user)) == rest_of(before)
    _assert_shows(blender, addon, head, take, 5)
    _assert_usable(head)
    assert user.operators.apply_take(jaw=1.0) == {"FINISHED"}
    assert rest_of(_what_is_the_users(user)) == rest_of(before)
    _assert_shows(blender, addon, head, take, 5)
    for format_name in ("TAKE", "LIVE_LINK", "GLB", "FBX"):
        state = _what_is_the_users(user)
        path = str(tmp_path / "out")
        assert user.operators.export(filepath=path, format=format_name) == {"FINISHED"}
        assert _what_is_the_users(user) == state, format_name
        _assert_shows(blender, addon, head, take, 5)
    backend.files["render"] = lambda submit: films["small"]
    backend.infos["render"] = {"frames": FRAMES, "warnings": []}
    user.scene.vividkeys.image_file = str(photo)
    state = _what_is_the_users(user)
    assert user.operators.render_video(video_preview=True) == {"FINISHED"}
    assert _what_is_the_users(user) == state
    _assert_shows(blender, addon, head, take, 5)


def test_each_step_is_undone_as_if_it_had_not_been(
    blender, addon, user, backend, head, voice, photo
):
    """Undo brings the scene back as it was shown, not only its datablocks."""
    figure = new_character(blender)
    rest = {name: _evaluated(blender, user.scene.objects[name]) for name in ("Kopf", "Figur")}
    steps = {
        "Create Head": lambda: blender.ops.vividkeys.create_head(image_file=str(photo)),
        "Make Face Keys": lambda: blender.ops.vividkeys.make_face_keys(),
        "Animate": lambda: blender.ops.vividkeys.animate(audio_file=str(voice), start_frame=5),
        "Apply Take": lambda: blender.ops.vividkeys.apply_take(jaw=0.5),
    }
    assert figure.data.shape_keys is None
    for step in ("Create Head", "Make Face Keys", "Animate"):
        choose(blender, blender.data.objects["Figur" if step == "Make Face Keys" else "Kopf"])
        addon("animation.targets").choose_targets(blender.context, [blender.data.objects["Kopf"]])
        blender.ops.ed.undo_push(message="before")
        assert steps[step]() == {"FINISHED"}
        if step == "Animate":
            assert steps["Apply Take"]() == {"FINISHED"}
        blender.ops.ed.undo_push(message=step)
        blender.ops.ed.undo()
        blender.context.view_layer.update()
        assert sorted(o.name for o in blender.context.scene.objects) == ["Figur", "Kopf", "Lamp"]
        assert blender.context.scene.frame_current == FRAME
        for name, shown in rest.items():
            thing = blender.data.objects[name]
            assert np.array_equal(_evaluated(blender, thing), shown), step
        assert blender.data.objects["Figur"].data.shape_keys is None
        assert not blender.data.actions and not blender.data.sounds
