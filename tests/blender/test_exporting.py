# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports read back: names, order, key times and values equal to the Take."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from .conftest import keyed_values, shape_curve

_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@pytest.fixture
def performance(blender, addon, head, make_take, make_plan):
    """A head with a performance of 2 s from frame 11 on, at 30 frames a second."""
    blender.context.scene.render.fps = 30
    take = make_take(2.0)
    goal = addon("animation.baking").HeadGoal(addon("animation.targets").remember(head))
    plan = make_plan(head, head=goal, start_frame=11)
    report = addon("animation.baking").bake_take(blender.context, take, plan, {"take": ""})
    return take, addon("shared.take").resample_take(take, 30.0), report


def _accessor(document, binary, index):
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    width = _COMPONENTS[accessor["type"]]
    count = accessor["count"] * width
    return np.frombuffer(bytes(binary), "<f4", count, start).reshape(-1, width)


def _channels(document, binary, animation):
    found = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        node = document["nodes"][channel["target"]["node"]]["name"]
        found[(node, channel["target"]["path"])] = (
            sampler.get("interpolation", "LINEAR"),
            _accessor(document, binary, sampler["input"])[:, 0],
            _accessor(document, binary, sampler["output"]),
        )
    return found


def test_glb_holds_the_take(blender, addon, head, performance, tmp_path):
    _, resampled, report = performance
    path = tmp_path / "häd.glb"
    addon("animation.exporting").export_glb(blender.context, [head], path)
    document, binary = addon("animation.glb_times").read_glb(path)
    (animation,) = document["animations"]
    assert animation["name"] == report.action
    (mesh,) = document["meshes"]
    names = list(addon("shared.arkit").ARKIT_NAMES)
    assert mesh["extras"]["targetNames"] == names
    assert all(len(primitive["targets"]) == 52 for primitive in mesh["primitives"])
    channels = _channels(document, binary, animation)
    interpolation, times, values = channels[("Kopf", "weights")]
    assert interpolation == "LINEAR"
    assert np.abs(times - np.arange(resampled.frame_count) / 30.0).max() < 1e-6
    assert np.array_equal(values.reshape(-1, 52), resampled.weights)
    turned = channels[("Kopf", "rotation")][2]
    for frame in (0, 17, 60):
        from mathutils import Euler, Quaternion

        # glTF has +Y up: (x, y, z) here is (x, z, -y) there.
        here = Euler(resampled.head_rotation[frame].tolist(), "XYZ").to_quaternion()
        x, y, z, w = turned[frame]
        there = Quaternion((w, x, -z, y))
        assert abs(here.dot(there)) == pytest.approx(1.0, abs=1e-5)


def test_glb_is_well_formed(blender, addon, head, performance, tmp_path):
    path = tmp_path / "head.glb"
    addon("animation.exporting").export_glb(blender.context, [head], path)
    data = path.read_bytes()
    assert struct.unpack_from("<4sII", data) == (b"glTF", 2, len(data))
    document, binary = addon("animation.glb_times").read_glb(path)
    assert len(binary) >= document["buffers"][0]["byteLength"]
    assert document["images"], "the photo is missing"
    for animation in document["animations"]:
        for sampler in animation["samplers"]:
            times = _accessor(document, binary, sampler["input"])[:, 0]
            accessor = document["accessors"][sampler["input"]]
            assert (accessor["min"], accessor["max"]) == ([times[0]], [times[-1]])
            assert times[0] == 0.0 and (np.diff(times) > 0).all()


def test_glb_of_several_meshes_is_one_animation(
    blender, addon, head, make_face, make_take, make_plan, tmp_path
):
    teeth = addon("heads.scene").create_head(blender.context.scene, make_face(5), "Teeth")
    take = make_take(1.0)
    goal = addon("animation.baking").HeadGoal(addon("animation.targets").remember(head))
    plan = make_plan(head, teeth, head=goal, start_frame=1)
    addon("animation.baking").bake_take(blender.context, take, plan, {})
    path = tmp_path / "both.glb"
    addon("animation.exporting").export_glb(blender.context, [head, teeth], path)
    document, binary = addon("animation.glb_times").read_glb(path)
    assert len(document["animations"]) == 1
    channels = _channels(document, binary, document["animations"][0])
    for name in ("Kopf", "Teeth"):
        assert channels[(name, "weights")][1][0] == 0.0
        resampled = addon("shared.take").resample_take(take, 24.0)
        assert np.array_equal(channels[(name, "weights")][2].reshape(-1, 52), resampled.weights)


def test_a_glb_comes_back_into_blender_as_it_was(blender, addon, head, performance, tmp_path):
    _, resampled, _ = performance
    path = tmp_path / "head.glb"
    addon("animation.exporting").export_glb(blender.context, [head], path)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender.context.scene.render.fps = 30
    blender.ops.import_scene.gltf(filepath=str(path))
    again = next(o for o in blender.data.objects if o.type == "MESH" and o.data.shape_keys)
    for column, name in enumerate(addon("shared.arkit").ARKIT_NAMES):
        keys = shape_curve(addon, again.data.shape_keys, name)
        assert np.abs(keys[:, 0] - np.arange(resampled.frame_count)).max() < 1e-3
        assert np.abs(keys[:, 1] - resampled.weights[:, column]).max() < 1e-6


def test_an_fbx_comes_back_into_blender_as_it_was(blender, addon, head, performance, tmp_path):
    _, resampled, _ = performance
    path = tmp_path / "head.fbx"
    addon("animation.exporting").export_fbx(blender.context, [head], path)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender.context.scene.render.fps = 30
    blender.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    (again,) = (o for o in blender.data.objects if o.type == "MESH")
    assert again.name == "Kopf"
    names = list(addon("shared.arkit").ARKIT_NAMES)
    assert [block.name for block in again.data.shape_keys.key_blocks] == ["Basis", *names]
    for column, name in enumerate(names):
        keys = shape_curve(addon, again.data.shape_keys, name)
        assert np.abs(keys[:, 0] - np.arange(resampled.frame_count)).max() < 1e-3
        assert np.abs(keys[:, 1] - resampled.weights[:, column]).max() < 1e-6
    turns = keyed_values(addon, again)[("rotation_euler", 2)]
    assert len(turns) == resampled.frame_count


def test_exporting_leaves_the_file_as_it_was(
    blender, addon, head, performance, make_face, tmp_path
):
    other = addon("heads.scene").create_head(blender.context.scene, make_face(1), "Other")
    layer, scene = blender.context.view_layer, blender.context.scene
    layer.update()
    for member in layer.objects:
        member.select_set(member == other)
    layer.objects.active = other
    head.hide_set(True)
    scene.frame_start, scene.frame_end = 3, 4000
    scene.frame_set(20)
    for export, suffix in (("export_glb", ".glb"), ("export_fbx", ".fbx")):
        getattr(addon("animation.exporting"), export)(
            blender.context, [head], tmp_path / f"a{suffix}"
        )
        assert layer.objects.active == other and other.select_get()
        assert head.hide_get() and not head.select_get()
        assert (scene.frame_start, scene.frame_end, scene.frame_current) == (3, 4000, 20)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fbx", "a.glb"]


def test_live_link_and_take_hold_the_take(blender, addon, head, performance, tmp_path):
    take, _, _ = performance
    formats = addon("animation.exporting").FORMATS
    formats["TAKE"].write(take, tmp_path / "a.take.npz")
    again = addon("shared.take").load_take(tmp_path / "a.take.npz")
    assert np.array_equal(again.weights, take.weights) and again.fps == take.fps
    formats["LIVE_LINK"].write(take, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert len(lines) == take.frame_count + 1
    header, first = lines[0].split(","), lines[1].split(",")
    jaw = addon("shared.arkit").INDEX["jawOpen"]
    written = float(first[header.index("JawOpen")])
    assert written == pytest.approx(take.weights[0, jaw], abs=1e-5)


def test_every_format_is_offered_in_the_panel_and_to_scripts(blender, addon):
    exporting = addon("animation.exporting")
    choice = blender.ops.vividkeys.export.get_rna_type().properties["format"]
    offered = {item.identifier: item for item in choice.enum_items}
    assert list(offered) == list(exporting.FORMATS)
    assert {"GLB", "FBX", "LIVE_LINK", "TAKE"} <= set(offered)
    assert choice.default == "GLB"
    for form in addon("shared.take_formats").TAKE_FORMATS:
        assert exporting.FORMATS[form.name] is form
    shown = []

    class Grid:
        enabled = True

        def operator(self, _name, text):
            shown.append(SimpleNamespace(text=text))
            return shown[-1]

    layout = SimpleNamespace(grid_flow=lambda **_: Grid(), label=lambda **_: None)
    layout.column = layout.box = layout.row = lambda **_: layout
    panel = addon("interface.panels").VIVIDKEYS_PT_export
    panel.draw(SimpleNamespace(layout=layout), blender.context)
    forms = exporting.FORMATS.values()
    assert [(b.text, b.format) for b in shown] == [(f.label, f.name) for f in forms]
    for form in forms:
        assert (offered[form.name].name, offered[form.name].description) == (
            form.label,
            form.description,
        )


def test_a_folder_that_cannot_be_written_keeps_the_older_file(
    blender, addon, head, performance, tmp_path, monkeypatch
):
    errors = addon("shared.errors")
    path = tmp_path / "head.glb"
    path.write_bytes(b"older")
    exporting = addon("animation.exporting")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(errors.VividKeysError) as caught:
        exporting.export_glb(blender.context, [head], path)
    assert "head.glb" in caught.value.sentence and caught.value.next_step
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["head.glb"]


def test_parents_and_armatures_go_along(blender, addon, head):
    empty = blender.data.objects.new("Neck", None)
    rig = blender.data.objects.new("Rig", blender.data.armatures.new("Rig"))
    for other in (empty, rig):
        blender.context.scene.collection.objects.link(other)
    head.parent = empty
    head.modifiers.new("Armature", "ARMATURE").object = rig
    wanted = {found.name for found in addon("animation.exporting").with_relations([head])}
    assert wanted == {"Kopf", "Neck", "Rig"}


def test_a_target_outside_the_view_layer_is_named(blender, addon, head, performance):
    errors = addon("shared.errors")
    for collection in head.users_collection:
        collection.objects.unlink(head)
    with pytest.raises(errors.VividKeysError, match="'Kopf' is not in the current view layer"):
        addon("animation.exporting").export_glb(blender.context, [head], Path("never.glb"))


def test_the_file_dialog_starts_beside_the_blend_file(blender, addon, tmp_path):
    default_path = addon("operators.export").default_path
    assert default_path("GLB") == "performance.glb"
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "my scene.v2.blend"))
    assert Path(default_path("TAKE")) == tmp_path / "my scene.v2.take.npz"
