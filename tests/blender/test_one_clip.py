# SPDX-License-Identifier: GPL-3.0-or-later
"""One performance is one animation in a GLB and in an FBX, from time zero, as the scene shows it.

Both kinds of file are read twice: their structure, and back into Blender, where the vertices have
to lie where they lay in the scene that was exported.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from .test_exporting import _accessor

FPS = 30
FRAMES = 16
# FBX counts time in these units a second.
FBX_SECOND = 46_186_158_000


@pytest.fixture
def stage(blender, addon, head, make_face, make_take, make_plan):
    """A head whose motion is on a bone of a rig that deforms it, and a way to key it."""
    scene = blender.context.scene
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.frame_start, scene.frame_end = 3, 700
    data = blender.data.armatures.new("Rig")
    rig = blender.data.objects.new("Rig", data)
    scene.collection.objects.link(rig)
    blender.context.view_layer.objects.active = rig
    blender.ops.object.mode_set(mode="EDIT")
    chest = data.edit_bones.new("Chest")
    chest.head, chest.tail = (0, 0.1, -0.5), (0, 0.1, -0.2)
    skull = data.edit_bones.new("Head")
    skull.head, skull.tail, skull.parent = (0, 0.1, -0.15), (0, 0.1, 0.2), chest
    # The FBX importer connects a bone to the one below when it has no sibling; such a bone cannot
    # shift.
    arm = data.edit_bones.new("Arm")
    arm.head, arm.tail, arm.parent = (0.2, 0.1, -0.2), (0.4, 0.1, -0.2), chest
    blender.ops.object.mode_set(mode="OBJECT")
    head.parent = rig
    head.modifiers.new("Armature", "ARMATURE").object = rig
    head.vertex_groups.new(name="Head").add(range(len(head.data.vertices)), 1.0, "REPLACE")

    def perform(*others, start=11, seed=0, take_id="a" * 32):
        goal = addon("animation.baking").HeadGoal(addon("animation.targets").remember(rig), "Head")
        plan = make_plan(head, *others, head=goal, start_frame=start)
        take = make_take((FRAMES - 1) / FPS, seed=seed)
        return addon("animation.baking").bake_take(blender.context, take, plan, {"take": take_id})

    return SimpleNamespace(
        scene=scene, head=head, rig=rig, perform=perform, exported=[head], make_face=make_face
    )


def _own_action(blender, datablock, name, path, index=0, frames=((1, 0.0), (60, 0.6))):
    """An Action of the user's on a datablock."""
    action = blender.data.actions.new(name)
    datablock.animation_data_create().action = action
    curve = action.fcurve_ensure_for_datablock(datablock, path, index=index)
    for frame, value in frames:
        curve.keyframe_points.insert(frame, value)
    return action


def applied_twice(blender, addon, stage):
    for _ in range(3):
        stage.perform()
    for action in blender.data.actions:
        action.use_fake_user = True


def another_line_before(blender, addon, stage):
    stage.perform(start=11, seed=1, take_id="b" * 32)
    stage.perform(start=211, seed=2)


def far_from_frame_one(blender, addon, stage):
    stage.perform(start=1001)


def two_targets_and_a_still_part(blender, addon, stage):
    teeth = addon("heads.scene").create_head(stage.scene, stage.make_face(5), "Teeth")
    teeth.parent = stage.rig
    teeth.location.x = 0.3
    cap = blender.data.objects.new("Cap", teeth.data.copy())
    cap.shape_key_clear()
    stage.scene.collection.objects.link(cap)
    cap.parent = stage.head
    stage.exported += [teeth, cap]
    stage.perform(teeth)


def an_action_set_aside(blender, addon, stage):
    keys = stage.head.data.shape_keys
    own = _own_action(blender, keys, "Mine", 'key_blocks["jawOpen"].value')
    stage.perform()
    assert own.use_fake_user


def stashed_actions(blender, addon, stage):
    report = stage.perform(seed=1, take_id="b" * 32)
    for owner in (stage.head.data.shape_keys, stage.rig):
        track = owner.animation_data.nla_tracks.new()
        track.name = "[Action Stash]"
        strip = track.strips.new("old", 1, blender.data.actions[report.action])
        strip.action_slot = owner.animation_data.action_slot
        track.mute = True
    stage.perform(start=21)


def a_body_action_on_the_rig(blender, addon, stage):
    _own_action(blender, stage.rig, "Body", "location", 1)
    stage.perform()
    assert stage.rig.animation_data.action.name == "Body"


def a_walk_above_it(blender, addon, stage):
    walk = blender.data.objects.new("Path", None)
    stage.scene.collection.objects.link(walk)
    stage.rig.parent = walk
    _own_action(blender, walk, "Walk", "location", 0, ((-20, 0.0), (300, 3.2)))
    stage.perform()


def a_constraint(blender, addon, stage):
    guide = blender.data.objects.new("Guide", None)
    stage.scene.collection.objects.link(guide)
    _own_action(blender, guide, "Sway", "rotation_euler", 2, ((1, 0.0), (60, 1.0)))
    limb = stage.rig.pose.bones["Chest"].constraints.new("COPY_ROTATION")
    limb.target, limb.target_space, limb.owner_space = guide, "LOCAL", "LOCAL"
    stage.perform()


def a_driven_key(blender, addon, stage):
    guide = blender.data.objects.new("Guide", None)
    stage.scene.collection.objects.link(guide)
    _own_action(blender, guide, "Pull", "location", 0, ((1, 0.0), (60, 1.0)))
    driver = stage.head.data.shape_keys.key_blocks["jawOpen"].driver_add("value").driver
    variable = driver.variables.new()
    variable.name, variable.type = "pull", "TRANSFORMS"
    variable.targets[0].id, variable.targets[0].transform_type = guide, "LOC_X"
    driver.expression = "pull"
    stage.perform()


def keys_edited_by_hand(blender, addon, stage):
    stage.perform()
    curves = addon("versions").channelbag_of(stage.head.data.shape_keys).fcurves
    jaw = curves.find('key_blocks["jawOpen"].value')
    for point in jaw.keyframe_points[3:9]:
        point.interpolation = "BEZIER"
    jaw.keyframe_points[6].co.y = 0.9
    jaw.update()
    smile = curves.find('key_blocks["mouthSmileLeft"].value')
    smile.modifiers.new("NOISE").strength = 0.3


def the_users_keys_in_our_action(blender, addon, stage):
    stage.perform()
    chest = stage.rig.pose.bones["Chest"]
    chest.rotation_mode = "XYZ"
    for frame, angle in ((-5, 0.0), (300, 3.0)):
        chest.rotation_euler.x = angle
        chest.keyframe_insert("rotation_euler", frame=frame)


SITUATIONS = (
    applied_twice,
    another_line_before,
    far_from_frame_one,
    two_targets_and_a_still_part,
    an_action_set_aside,
    stashed_actions,
    a_body_action_on_the_rig,
    a_walk_above_it,
    a_constraint,
    a_driven_key,
    keys_edited_by_hand,
    the_users_keys_in_our_action,
)


def _places(blender, thing):
    """The vertices [V,3] that the scene shows, in the world."""
    blender.context.view_layer.update()
    shown = thing.evaluated_get(blender.context.evaluated_depsgraph_get())
    mesh = shown.to_mesh()
    places = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", places)
    shown.to_mesh_clear()
    return places.reshape(-1, 3) @ np.array(thing.matrix_world)[:3, :3].T + np.array(
        thing.matrix_world.translation
    )


def _shown_at(blender, names, frames):
    shown = []
    for frame in frames:
        blender.context.scene.frame_set(frame)
        shown.append({name: _places(blender, _mesh_called(blender, name)) for name in names})
    return shown


def _mesh_called(blender, name):
    # The importer makes an empty and a mesh of a node with a skin, and numbers one of them.
    meshes = (o for o in blender.data.objects if o.type == "MESH")
    return next(mesh for mesh in meshes if mesh.name.split(".")[0] == name)


def _farthest(points, others):
    """How far the farthest of `points` is from the nearest of `others`."""
    return max(float(np.linalg.norm(others - point, axis=1).min()) for point in points)


def _whole_file(blender, addon):
    """All of the animation in the open file, and how the user looks at it."""
    layer, scene = blender.context.view_layer, blender.context.scene
    owners = [*blender.data.objects, *blender.data.shape_keys]
    return {
        "actions": {
            action.name: (
                action.use_fake_user,
                action.users,
                [
                    (
                        curve.data_path,
                        curve.array_index,
                        [(*p.co, *p.handle_left, p.interpolation) for p in curve.keyframe_points],
                    )
                    for _, bag in addon("versions").channelbags(action)
                    for curve in bag.fcurves
                ],
            )
            for action in blender.data.actions
        },
        "owners": {
            (owner.id_type, owner.name): (
                owner.animation_data.action,
                getattr(owner.animation_data.action_slot, "handle", None),
                owner.animation_data.use_nla,
                [
                    (t.name, t.mute, t.is_solo, [(s.name, s.frame_start, s.mute) for s in t.strips])
                    for t in owner.animation_data.nla_tracks
                ],
                len(owner.animation_data.drivers),
            )
            for owner in owners
            if owner.animation_data is not None
        },
        "frame": (scene.frame_current, scene.frame_subframe, scene.frame_start, scene.frame_end),
        "selected": sorted(o.name for o in layer.objects if o.select_get()),
        "active": (layer.objects.active.name, layer.objects.active.mode),
        "objects": sorted(o.name for o in blender.data.objects),
        "values": [
            (block.name, block.value) for k in blender.data.shape_keys for block in k.key_blocks
        ],
        "places": [tuple(map(tuple, o.matrix_world)) for o in blender.data.objects],
    }


@pytest.fixture
def exported(blender, addon, stage, tmp_path, request):
    """A situation, exported as GLB and FBX while the user stood at frame 20.25 in pose mode."""
    request.param(blender, addon, stage)
    first, last = addon("animation.exporting").performance_range(stage.exported)
    assert last - first == FRAMES - 1
    names = [thing.name for thing in stage.exported]
    rows = (0, 4, FRAMES - 1)
    shown = _shown_at(blender, names, [first + row for row in rows])
    cube = blender.data.objects.new("Bystander", blender.data.meshes.new("Bystander"))
    stage.scene.collection.objects.link(cube)
    _own_action(blender, cube, "Own", "location")
    layer = blender.context.view_layer
    layer.update()
    for member in layer.objects:
        member.select_set(member == stage.rig)
    layer.objects.active = stage.rig
    blender.ops.object.mode_set(mode="POSE")
    stage.scene.frame_set(20, subframe=0.25)
    before = _whole_file(blender, addon)
    wanted = addon("animation.exporting").with_relations(stage.exported)
    for suffix in ("glb", "fbx"):
        path = tmp_path / f"clip.{suffix}"
        getattr(addon("animation.exporting"), f"export_{suffix}")(blender.context, wanted, path)
        assert _whole_file(blender, addon) == before, suffix
    return SimpleNamespace(
        names=names,
        rows=rows,
        shown=shown,
        action=addon("animation.exporting").performance_actions(stage.exported)[0].name,
        glb=tmp_path / "clip.glb",
        fbx=tmp_path / "clip.fbx",
    )


@pytest.mark.parametrize("exported", SITUATIONS, indirect=True, ids=lambda case: case.__name__)
def test_a_performance_is_one_animation(blender, addon, exported):
    _check_glb(addon, exported)
    _check_fbx(exported)
    for path, tolerance in ((exported.glb, 2e-5), (exported.fbx, 2e-5)):
        blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        blender.context.scene.render.fps = FPS
        if path.suffix == ".glb":
            blender.ops.import_scene.gltf(filepath=str(path))
        else:
            blender.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
        assert "Bystander" not in blender.data.objects
        again = _shown_at(blender, exported.names, exported.rows)
        for was, is_now in zip(exported.shown, again, strict=True):
            for name in exported.names:
                assert _farthest(was[name], is_now[name]) < tolerance, (path.suffix, name)
        moved = exported.shown[0]["Kopf"] - exported.shown[1]["Kopf"]
        assert np.abs(moved).max() > 100 * tolerance, "nothing moves"


def _check_glb(addon, exported):
    document, binary = addon("animation.glb_times").read_glb(exported.glb)
    (animation,) = document["animations"]
    assert animation["name"] == exported.action
    length = (FRAMES - 1) / FPS
    found = set()
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times = _accessor(document, binary, sampler["input"])[:, 0]
        assert times[0] == 0.0 and times[-1] == pytest.approx(length, abs=1e-6)
        assert (np.diff(times) > 0).all()
        node = document["nodes"][channel["target"]["node"]]["name"]
        found.add((node, channel["target"]["path"]))
    assert ("Head", "rotation") in found
    keyed = {name for name in exported.names if name != "Cap"}
    assert {(name, "weights") for name in keyed} <= found


def _check_fbx(exported):
    fbx_nodes = pytest.importorskip("backend.mesh_files.fbx_nodes")
    root = fbx_nodes.read_nodes(exported.fbx)
    objects = root.child("Objects")
    (stack,) = objects.all("AnimationStack")
    (take,) = root.child("Takes").all("Take")
    end = round((FRAMES - 1) / FPS * FBX_SECOND)
    spans = {p.text(0): p.values[-1] for p in stack.child("Properties70").all("P")}
    assert spans.get("LocalStart", 0) == spans.get("ReferenceStart", 0) == 0
    assert spans["LocalStop"] == pytest.approx(end, abs=2)
    for name in ("LocalTime", "ReferenceTime"):
        assert take.child(name).values == pytest.approx([0, end], abs=2)
    curves = [curve.array("KeyTime", "i") for curve in objects.all("AnimationCurve")]
    assert len(curves) > 52
    for times in curves:
        assert times[0] == 0 and times[-1] <= end + 2 and (np.diff(times) > 0).all()
    assert max(times[-1] for times in curves) == pytest.approx(end, abs=2)


def test_what_cannot_be_evaluated_before_frame_zero_is_said(blender, addon, stage, tmp_path):
    stage.perform(start=-9)
    wanted = addon("animation.exporting").with_relations(stage.exported)
    addon("animation.exporting").export_glb(blender.context, wanted, tmp_path / "a.glb")
    document, binary = addon("animation.glb_times").read_glb(tmp_path / "a.glb")
    (animation,) = document["animations"]
    for sampler in animation["samplers"]:
        times = _accessor(document, binary, sampler["input"])[:, 0]
        assert np.abs(times - np.arange(FRAMES) / FPS).max() < 1e-6
    with pytest.raises(addon("shared.errors").VividKeysError, match="begins at frame -9"):
        addon("animation.exporting").export_fbx(blender.context, wanted, tmp_path / "a.fbx")
    assert not (tmp_path / "a.fbx").exists()


def test_an_fbx_of_newer_layout_or_of_none_is_handled(addon, tmp_path):
    """Versions from 7500 on have wider numbers; what is not FBX is refused."""
    import struct

    fbx_times = addon("animation.fbx_times")
    times = np.array([3, 5, 9], "<i8")

    def node(name, values, count, children=b"", at=0):
        head = 25 + len(name) + len(values)
        end = at + head + len(children)
        return struct.pack("<QQQB", end, count, len(values), len(name)) + name + values + children

    values = b"l" + struct.pack("<III", len(times), 0, times.nbytes) + times.tobytes()
    start = b"Kaydara FBX Binary  \x00\x1a\x00" + struct.pack("<I", 7700)
    body = node(b"KeyTime", values, 1, at=len(start)) + bytes(25)
    foot = bytes(range(16)) + bytes(4)
    foot += bytes(16 - (len(start) + len(body) + len(foot)) % 16)
    path = tmp_path / "new.fbx"
    path.write_bytes(start + body + foot + struct.pack("<I", 7700) + bytes(120) + b"e" * 16)
    fbx_times.start_animation_at_zero(path)
    fbx_nodes = pytest.importorskip("backend.mesh_files.fbx_nodes")
    (key_time,) = fbx_nodes.read_nodes(path).children
    assert key_time.values[0].tolist() == [0, 2, 6]
    data = path.read_bytes()
    assert len(data) % 16 == 12 and data[-140:-136] == struct.pack("<I", 7700)
    path.write_bytes(b"no FBX")
    with pytest.raises(ValueError, match="not a binary FBX"):
        fbx_times.start_animation_at_zero(path)
