# SPDX-License-Identifier: GPL-3.0-or-later
"""A Take onto shape keys: exact values, an Action of ours, and the artist's own left alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from .conftest import keyed_values, shape_curve


def _bake(blender, addon, take, plan):
    return addon("animation.baking").bake_take(
        blender.context, take, plan, {"take": "", "voice": plan.name}
    )


def _artist_action(blender, datablock, path):
    datablock.animation_data_create()
    action = blender.data.actions.new("Artist")
    datablock.animation_data.action = action
    curve = action.fcurve_ensure_for_datablock(datablock, path)
    curve.keyframe_points.insert(1, 0.25)
    curve.keyframe_points.insert(20, 0.75)
    return action


@pytest.mark.parametrize(
    ("fps", "base"), [(24, 1.0), (25, 1.0), (30, 1.0), (30, 1.001), (60, 1.0), (120, 1.0)]
)
def test_keys_are_the_take_at_the_scenes_frame_rate(
    blender, addon, head, make_take, make_plan, fps, base
):
    render = blender.context.scene.render
    render.fps, render.fps_base = fps, base
    take = make_take(seconds=2.0)
    report = _bake(blender, addon, take, make_plan(head, start_frame=7))
    resampled = addon("shared.take").resample_take(take, render.fps / render.fps_base)
    for column, name in enumerate(addon("shared.arkit").ARKIT_NAMES):
        keys = shape_curve(addon, head.data.shape_keys, name)
        assert np.array_equal(keys[:, 0], np.arange(7, 7 + resampled.frame_count))
        assert np.array_equal(keys[:, 1], resampled.weights[:, column])
    assert (report.first_frame, report.last_frame) == (7, 6 + resampled.frame_count)
    assert report.match.sentence == "52 of 52 channels drive 52 shape keys."


def test_the_scene_shows_the_keyed_values(blender, addon, head, make_take, make_plan):
    blender.context.scene.render.fps = 60
    take = make_take(seconds=0.5)
    _bake(blender, addon, take, make_plan(head, start_frame=1))
    for frame in (1, 13, 31):
        blender.context.scene.frame_set(frame)
        for column, name in enumerate(addon("shared.arkit").ARKIT_NAMES):
            shown = head.data.shape_keys.key_blocks[name].value
            assert shown == pytest.approx(take.weights[frame - 1, column], abs=1e-6)


def test_keys_are_linear_and_their_handles_are_automatic(
    blender, addon, head, make_take, make_plan
):
    _bake(blender, addon, make_take(seconds=0.5), make_plan(head))
    bag = addon("versions").channelbag_of(head.data.shape_keys)
    for curve in bag.fcurves:
        assert {p.interpolation for p in curve.keyframe_points} == {"LINEAR"}
        assert {p.handle_left_type for p in curve.keyframe_points} == {"AUTO_CLAMPED"}


def test_one_action_with_a_slot_for_each_datablock(blender, addon, make_face, make_take, make_plan):
    heads, scene = addon("heads.scene"), blender.context.scene
    face, teeth = (heads.create_head(scene, make_face(n), f"Part {n}") for n in (1, 2))
    twin = blender.data.objects.new("Twin", teeth.data)
    scene.collection.objects.link(twin)
    goal = addon("animation.baking").HeadGoal(addon("animation.targets").remember(face))
    plan = make_plan(face, teeth, twin, head=goal)
    report = _bake(blender, addon, make_take(seconds=0.5), plan)
    owners = (face.data.shape_keys, teeth.data.shape_keys, face)
    assert {owner.animation_data.action.name for owner in owners} == {report.action}
    slots = [owner.animation_data.action_slot for owner in owners]
    assert len({slot.handle for slot in slots}) == 3
    assert [slot.target_id_type for slot in slots] == ["KEY", "KEY", "OBJECT"]
    # The twin shares the mesh and so the slot.
    assert len(blender.data.actions[report.action].slots) == 3
    for keys in owners[:2]:
        assert len(keyed_values(addon, keys)) == 52


def test_an_artists_action_is_set_aside_untouched(blender, addon, head, make_take, make_plan):
    keys = head.data.shape_keys
    artist = _artist_action(blender, keys, 'key_blocks["jawOpen"].value')
    before = keyed_values(addon, keys)
    report = _bake(blender, addon, make_take(seconds=0.5), make_plan(head))
    assert keys.animation_data.action != artist
    assert artist.use_fake_user, "it would be lost when the file is saved"
    assert keys["vividkeys_previous_action"] == artist
    assert report.set_aside == ("Artist",)
    assert any("'Artist' was set aside" in sentence for sentence in report.sentences)
    keys.animation_data.action = artist
    keys.animation_data.action_slot = artist.slots[0]
    after = keyed_values(addon, keys)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[path], after[path]) for path in before)


def test_a_second_performance_gets_the_next_number(blender, addon, head, make_take, make_plan):
    first = _bake(blender, addon, make_take(0.5, seed=1), make_plan(head))
    values = keyed_values(addon, head.data.shape_keys)
    second = _bake(blender, addon, make_take(0.5, seed=2), make_plan(head))
    assert (first.action, second.action) == ("VividKeys speech", "VividKeys speech.001")
    assert second.set_aside == ()
    kept = blender.data.actions[first.action]
    assert kept.use_fake_user, "somebody may have edited it by hand"
    animation = head.data.shape_keys.animation_data
    animation.action, animation.action_slot = kept, kept.slots[0]
    again = keyed_values(addon, head.data.shape_keys)
    assert all(np.array_equal(values[path], again[path]) for path in values)


def test_driven_keys_are_left_and_reported(blender, addon, head, make_take, make_plan):
    key = head.data.shape_keys.key_blocks["jawOpen"]
    key.driver_add("value").driver.expression = "0.125"
    report = _bake(blender, addon, make_take(0.5), make_plan(head))
    assert len(keyed_values(addon, head.data.shape_keys)) == 51
    assert any("have drivers" in sentence for sentence in report.sentences)
    blender.context.scene.frame_set(5)
    assert key.value == pytest.approx(0.125)


def test_muted_and_pinned_keys_are_mentioned(blender, addon, head, make_take, make_plan):
    head.data.shape_keys.key_blocks["jawOpen"].mute = True
    head.show_only_shape_key = True
    report = _bake(blender, addon, make_take(0.5), make_plan(head))
    text = " ".join(report.sentences)
    assert "1 keys of 'Kopf' are muted" in text and "pin button" in text


def test_missing_channels_are_named(blender, addon, head, make_take, make_plan):
    for name in ("tongueOut", "cheekPuff"):
        head.shape_key_remove(head.data.shape_keys.key_blocks[name])
    report = _bake(blender, addon, make_take(0.5), make_plan(head))
    assert report.match.missing_channels == ("cheekPuff", "tongueOut")
    assert "No shape key for cheekPuff, tongueOut." in report.sentences


def test_key_names_with_quotes_are_escaped(blender, addon, make_take, make_plan, tmp_path):
    mesh = blender.data.meshes.new("Odd")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    odd = blender.data.objects.new("Odd", mesh)
    blender.context.scene.collection.objects.link(odd)
    odd.shape_key_add(name="Basis")
    odd.shape_key_add(name='the "jaw"\\open')
    path = tmp_path / "map.json"
    rule = {"key": 'the "jaw"\\open', "channels": {"jawOpen": 1.0}}
    path.write_text(json.dumps({"vividkeys_mapping": 1, "meshes": {"Odd": [rule]}}))
    take = make_take(0.5)
    _bake(blender, addon, take, make_plan(odd, mapping_file=path))
    blender.context.scene.render.fps = 60
    _bake(blender, addon, take, make_plan(odd, mapping_file=path))
    blender.context.scene.frame_set(20)
    jaw = addon("shared.arkit").INDEX["jawOpen"]
    shown = odd.data.shape_keys.key_blocks[1].value
    assert shown == pytest.approx(take.weights[19, jaw], abs=1e-6)


def test_a_mesh_without_known_names_is_refused_before_anything_changes(
    blender, addon, make_take, make_plan
):
    mesh = blender.data.meshes.new("Cube")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    cube = blender.data.objects.new("Cube", mesh)
    blender.context.scene.collection.objects.link(cube)
    errors = addon("shared.errors")
    for add in (lambda: None, lambda: [cube.shape_key_add(name=n) for n in ("Basis", "Fat")]):
        add()
        with pytest.raises(errors.VividKeysError) as caught:
            _bake(blender, addon, make_take(0.5), make_plan(cube))
        assert caught.value.kind == errors.ErrorKind.BAD_TARGET
        assert caught.value.sentence and caught.value.next_step
    assert len(blender.data.actions) == 0


def test_only_the_heard_part_of_a_trimmed_strip_is_keyed(
    blender, addon, head, make_take, make_plan
):
    blender.context.scene.render.fps = 60
    take = make_take(2.0)
    report = _bake(blender, addon, take, make_plan(head, start_frame=-20, heard=(1, 41)))
    assert (report.first_frame, report.last_frame) == (1, 40)
    jaw = addon("shared.arkit").INDEX["jawOpen"]
    keys = shape_curve(addon, head.data.shape_keys, "jawOpen")
    assert np.array_equal(keys[:, 1], take.weights[21:61, jaw])


def test_visemes_of_a_character_are_derived(blender, addon, make_take, make_plan):
    mesh = blender.data.meshes.new("Anime")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    anime = blender.data.objects.new("Anime", mesh)
    blender.context.scene.collection.objects.link(anime)
    for name in ("Basis", *(f"Fcl_MTH_{vowel}" for vowel in "AIUEO"), "Fcl_EYE_Close"):
        anime.shape_key_add(name=name)
    report = _bake(blender, addon, make_take(0.5), make_plan(anime))
    assert report.match.visemes == 5 and report.match.matched_keys == 6
    keys = shape_curve(addon, anime.data.shape_keys, "Fcl_MTH_A")
    assert 0 <= keys[:, 1].min() < keys[:, 1].max() <= 1


def test_extending_the_scene_is_optional(blender, addon, head, make_take, make_plan):
    scene = blender.context.scene
    scene.frame_end = 10
    _bake(blender, addon, make_take(2.0), make_plan(head, extend_scene=False))
    assert scene.frame_end == 10
    report = _bake(blender, addon, make_take(2.0), make_plan(head))
    assert scene.frame_end == report.last_frame


def test_a_mesh_that_nothing_moves_keeps_its_action(blender, addon, head, make_take, make_plan):
    mesh = blender.data.meshes.new("Coat")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    coat = blender.data.objects.new("Coat", mesh)
    blender.context.scene.collection.objects.link(coat)
    for name in ("Basis", "Folds"):
        coat.shape_key_add(name=name)
    artist = _artist_action(blender, mesh.shape_keys, 'key_blocks["Folds"].value')
    report = _bake(blender, addon, make_take(0.5), make_plan(head, coat))
    assert mesh.shape_keys.animation_data.action == artist
    assert report.set_aside == ()
    assert "No shape key of 'Coat' matched; it will not move." in report.sentences


def test_linked_characters_are_refused_and_overrides_are_animated(
    blender, addon, head, make_take, make_plan, tmp_path
):
    path = str(tmp_path / "character.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with blender.data.libraries.load(path, link=True) as (_, wanted):
        wanted.collections = ["VividKeys"]
    scene = blender.context.scene
    (linked,) = blender.data.objects
    errors = addon("shared.errors")
    with pytest.raises(errors.VividKeysError, match="linked from another file"):
        _bake(blender, addon, make_take(0.5), make_plan(linked))
    instance = blender.data.objects.new("Instance", None)
    instance.instance_type = "COLLECTION"
    instance.instance_collection = blender.data.collections["VividKeys"]
    scene.collection.objects.link(instance)
    blender.context.view_layer.update()
    blender.data.collections["VividKeys"].override_hierarchy_create(
        scene, blender.context.view_layer, do_fully_editable=True
    )
    override = next(o for o in blender.data.objects if o.override_library and o.type == "MESH")
    with pytest.raises(errors.VividKeysError, match="mesh of 'Kopf' is still linked"):
        _bake(blender, addon, make_take(0.5), make_plan(override))
    override.data.override_create(remap_local_usages=True)
    take = make_take(0.5)
    goal = addon("animation.baking").HeadGoal(addon("animation.targets").remember(override))
    _bake(blender, addon, take, make_plan(override, head=goal))
    scene.frame_set(5)
    resampled = addon("shared.take").resample_take(take, 24.0)
    jaw = addon("shared.arkit").INDEX["jawOpen"]
    shown = override.data.shape_keys.key_blocks["jawOpen"].value
    assert shown == pytest.approx(resampled.weights[4, jaw], abs=1e-6)
