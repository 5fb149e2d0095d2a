# SPDX-License-Identifier: GPL-3.0-or-later
"""Lip offsets of a Take as shape keys with both signs: keyed, left out, switched off, exported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.blender.conftest import shape_curve

FPS = 30


@pytest.fixture
def detailed(blender, addon, make_face):
    """A head with three lip keys, chosen as the target."""
    blender.context.scene.render.fps = FPS
    made = addon("heads.scene").create_head(blender.context.scene, make_face(fields=3), "Kopf")
    addon("animation.targets").choose_targets(blender.context, [made])
    return made


@pytest.fixture
def spoken(make_take, make_face):
    """A Take whose three lip fields are those of the head, a little larger."""
    fields = make_face(fields=3).offset_fields[:, :468]
    return replace(make_take(1.0, offsets=3), offset_basis=1.1 * fields)


def _bake(blender, addon, take, plan):
    return addon("animation.baking").bake_take(blender.context, take, plan, {"take": ""})


def _shown(blender, head):
    depsgraph = blender.context.evaluated_depsgraph_get()
    flat = np.empty(len(head.data.vertices) * 3, np.float32)
    head.evaluated_get(depsgraph).data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def _names(head):
    return [block.name for block in head.data.shape_keys.key_blocks]


def test_a_head_is_made_with_its_lip_keys(addon, detailed, make_face):
    face, blocks = make_face(fields=3), detailed.data.shape_keys.key_blocks
    assert _names(detailed)[53:] == ["vk_offset_01", "vk_offset_02", "vk_offset_03"]
    for number, field in enumerate(face.offset_fields):
        block = blocks[f"vk_offset_{number + 1:02d}"]
        assert (block.slider_min, block.slider_max) == (-10.0, 10.0)
        moved = addon("animation.lip_detail").coordinates(block.points)
        assert np.array_equal(moved, face.vertices + field)


def test_the_mesh_moves_by_the_offsets_whatever_their_sign(
    blender, addon, detailed, spoken, make_plan, make_face
):
    report = _bake(blender, addon, spoken, make_plan(detailed))
    assert not any("ip detail" in sentence for sentence in report.sentences)
    assert report.match.unmatched_keys == ()
    resampled = addon("shared.take").resample_take(spoken, FPS)
    frame = int(np.argmin(resampled.offset_weights.min(axis=1)))
    weights = resampled.offset_weights[frame]
    assert weights.min() < -1.0
    blender.context.scene.frame_set(1 + frame)
    face = make_face(fields=3)
    expected = face.posed(resampled.weights[frame])
    expected += np.tensordot(weights, face.offset_fields, axes=1)
    assert np.abs(_shown(blender, detailed) - expected).max() < 2e-6
    keys = shape_curve(addon, detailed.data.shape_keys, "vk_offset_02")
    assert np.array_equal(keys[:, 1], resampled.offset_weights[:, 1])


def test_keying_again_adds_no_key_and_updates_those_of_an_earlier_face(
    blender, addon, detailed, spoken, make_plan, make_face
):
    mine = detailed.shape_key_add(name="vk_mine", from_mix=False)
    mine.value, mine.slider_max = 0.4, 2.0
    for _ in range(2):
        _bake(blender, addon, spoken, make_plan(detailed))
    assert len(_names(detailed)) == 53 + 3 + 1
    before = addon("animation.lip_detail").coordinates(mine.points)
    other = make_face(seed=5, fields=3)
    addon("animation.lip_detail").add_keys(detailed, other.offset_fields)
    assert len(_names(detailed)) == 53 + 3 + 1
    block = detailed.data.shape_keys.key_blocks["vk_offset_03"]
    rest = addon("animation.lip_detail").coordinates(detailed.data.shape_keys.reference_key.points)
    moved = addon("animation.lip_detail").coordinates(block.points)
    assert np.array_equal(moved, rest + other.offset_fields[2])
    assert (mine.value, mine.slider_max) == (pytest.approx(0.4), 2.0)
    assert np.array_equal(addon("animation.lip_detail").coordinates(mine.points), before)


def test_switched_off_the_keys_are_muted_and_still(
    blender, addon, detailed, spoken, make_plan, make_face, tmp_path
):
    _bake(blender, addon, spoken, make_plan(detailed))
    blender.context.scene.frame_set(9)
    assert abs(detailed.data.shape_keys.key_blocks["vk_offset_01"].value) > 0.01
    report = _bake(blender, addon, spoken, make_plan(detailed, lip_detail=False))
    assert not any("ip detail" in sentence for sentence in report.sentences)
    blender.context.scene.frame_set(9)
    blocks = [b for b in detailed.data.shape_keys.key_blocks if b.name.startswith("vk_offset")]
    assert [(block.mute, block.value) for block in blocks] == [(True, 0.0)] * 3
    resampled = addon("shared.take").resample_take(spoken, FPS)
    expected = make_face(fields=3).posed(resampled.weights[8])
    assert np.abs(_shown(blender, detailed) - expected).max() < 2e-6
    path = tmp_path / "plain.glb"
    addon("animation.exporting").export_glb(blender.context, [detailed], path)
    document, _ = addon("animation.glb_times").read_glb(path)
    assert document["meshes"][0]["extras"]["targetNames"] == list(addon("shared.arkit").ARKIT_NAMES)
    # And back on again.
    _bake(blender, addon, spoken, make_plan(detailed))
    assert not any(block.mute for block in blocks)


def test_a_take_without_offsets_leaves_nothing_of_an_earlier_one(
    blender, addon, detailed, spoken, make_take, make_plan
):
    _bake(blender, addon, spoken, make_plan(detailed))
    blender.context.scene.frame_set(9)
    _bake(blender, addon, make_take(1.0), make_plan(detailed))
    blender.context.scene.frame_set(9)
    values = [b.value for b in detailed.data.shape_keys.key_blocks if "offset" in b.name]
    assert values == [0.0, 0.0, 0.0]


def test_a_mesh_without_lip_keys_is_keyed_and_the_report_says_so(
    blender, addon, head, spoken, make_take, make_plan
):
    report = _bake(blender, addon, spoken, make_plan(head))
    assert addon("animation.lip_detail").NOWHERE in report.sentences
    assert len(_names(head)) == 53
    assert len(shape_curve(addon, head.data.shape_keys, "jawOpen")) > 10
    # Nothing to leave out, nothing to say; nor where it is not wanted.
    for take, plan in (
        (make_take(1.0), make_plan(head)),
        (spoken, make_plan(head, lip_detail=False)),
    ):
        assert (
            addon("animation.lip_detail").NOWHERE not in _bake(blender, addon, take, plan).sentences
        )


def test_fields_of_another_version_are_not_keyed(
    blender, addon, detailed, spoken, make_plan, make_face
):
    other = make_face(seed=9, fields=3).offset_fields[:, :468]
    take = replace(spoken, offset_basis=other)
    report = _bake(blender, addon, take, make_plan(detailed))
    assert any("another version" in sentence for sentence in report.sentences)
    blender.context.scene.frame_set(9)
    assert detailed.data.shape_keys.key_blocks["vk_offset_01"].value == 0.0


def test_they_come_out_of_glb_and_fbx_with_their_curves(
    blender, addon, detailed, spoken, make_plan, tmp_path
):
    _bake(blender, addon, spoken, make_plan(detailed, start_frame=11))
    resampled = addon("shared.take").resample_take(spoken, FPS)
    wanted = resampled.offset_weights
    names = [f"vk_offset_{number:02d}" for number in (1, 2, 3)]
    files = tmp_path / "head.glb", tmp_path / "head.fbx"
    addon("animation.exporting").export_glb(blender.context, [detailed], files[0])
    addon("animation.exporting").export_fbx(blender.context, [detailed], files[1])
    document, _ = addon("animation.glb_times").read_glb(files[0])
    assert document["meshes"][0]["extras"]["targetNames"][52:] == names
    for path in files:
        blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        blender.context.scene.render.fps = FPS
        if path.suffix == ".glb":
            blender.ops.import_scene.gltf(filepath=str(path))
        else:
            blender.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
        again = next(o for o in blender.data.objects if o.type == "MESH" and o.data.shape_keys)
        for column, name in enumerate(names):
            keys = shape_curve(addon, again.data.shape_keys, name)
            assert np.abs(keys[:, 1] - wanted[:, column]).max() < 1e-5, (path.suffix, name)


def test_a_plan_of_an_earlier_session_keeps_the_choice(addon, detailed, make_plan):
    animate = addon("jobs.kinds.animate")
    values = animate.plan_to_json(make_plan(detailed, lip_detail=False))
    assert animate.plan_from_json(values).lip_detail is False
    del values["lip_detail"]
    assert animate.plan_from_json(values).lip_detail is True


def test_the_backend_is_told_the_landmarks_of_our_head(blender, addon, detailed, make_face):
    requests, heads = addon("shared.requests"), addon("heads.scene")
    sent = requests.face_arrays(heads.face_for_voice(detailed))
    assert sum(array.nbytes for array in sent.values()) < 400_000
    face = requests.face_of(sent)
    assert np.array_equal(face.vertices, make_face().vertices[:468])
