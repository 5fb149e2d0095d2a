# SPDX-License-Identifier: GPL-3.0-or-later
"""Which head a photo is put onto and a character's keys take their shapes from, as chosen in the
panel or told to the operator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from .conftest import shape_curve
from .made_up_character import answer, new_character

ELLA = {"name": "ella", "version": "1", "task": "reconstruct", "title": "Ella", "licence": "CC0"}
OWN = {"name": "own", "version": "1", "task": "reconstruct", "title": "VividKeys", "vertices": 0}
MOTION = {"name": "motion", "version": "4", "task": "animate"}


@pytest.fixture
def offering(blender, backend):
    """A connection to a backend that has a head beside our own."""
    backend.models = (MOTION, OWN, ELLA)
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=str(backend.key_file))
    return backend


def _names(addon):
    return [item[0] for item in addon("settings.head_choice").items(None, None)]


def test_without_a_backend_there_is_our_own_head(blender, addon):
    assert _names(addon) == ["own"]
    assert blender.context.scene.vividkeys.head == "own"
    assert addon("settings.head_choice").chosen(blender.context.scene.vividkeys.head) == ""


def test_the_heads_of_the_backend_are_offered_and_the_chosen_one_is_asked_for(
    blender, addon, offering, photo
):
    assert _names(addon) == ["own", "ella"]
    blender.ops.vividkeys.create_head(image_file=str(photo))
    assert offering.submits[-1].params["head"] == ""
    blender.context.scene.vividkeys.head = "ella"
    blender.ops.vividkeys.create_head(image_file=str(photo))
    assert offering.submits[-1].params["head"] == "ella"
    blender.ops.vividkeys.create_head(image_file=str(photo), head="berta")
    assert offering.submits[-1].params["head"] == "berta"


def test_the_choice_is_saved_and_survives_other_heads_and_their_absence(
    blender, addon, offering, photo, tmp_path
):
    blender.context.scene.vividkeys.head = "ella"
    path = str(tmp_path / "chosen.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.vividkeys.disconnect()
    blender.ops.wm.open_mainfile(filepath=path)
    with pytest.raises(addon("shared.errors").VividKeysError, match="not installed"):
        addon("settings.head_choice").chosen(blender.context.scene.vividkeys.head)
    offering.models = (OWN, {**ELLA, "name": "anna"}, ELLA)
    blender.ops.vividkeys.connect_address(address=offering.address, key_file=str(offering.key_file))
    assert blender.context.scene.vividkeys.head == "ella"


@pytest.mark.parametrize("models", [({"task": "reconstruct"},), (OWN, OWN, ELLA, ELLA), ({},)])
def test_strange_lists_of_heads_are_borne(blender, addon, backend, models):
    backend.models = models
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=str(backend.key_file))
    assert _names(addon) in (["own"], ["own", "ella"])


def test_parts_become_targets_and_follow_the_take(
    blender, addon, offering, make_face, photo, voice, tmp_path
):
    face = make_face()
    part = (np.arange(22 * 22) >= 19 * 22).astype(np.int32)
    joined = part[face.triangles]
    own = (joined == joined[:, :1]).all(axis=1)
    offering.results["reconstruct"] = addon("shared.face").face_to_arrays(
        replace(
            face,
            triangles=face.triangles[own],
            uvs=face.uvs[own],
            triangle_material=face.triangle_material[own],
            part_names=("skin", "lower_teeth"),
            vertex_part=part,
        )
    )
    blender.context.scene.vividkeys.head_objects = "PARTS"
    blender.ops.vividkeys.create_head(image_file=str(photo))
    head, teeth = addon("animation.targets").target_meshes(blender.context)
    assert (head.name, teeth.name) == ("Anna Head", "Anna Head Lower teeth")
    assert teeth.parent == head
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}
    for target in (head, teeth):
        assert len(shape_curve(addon, target.data.shape_keys, "jawOpen")) > 10
    # A part that nothing moves is no target, but a file has it.
    gum = blender.data.objects.new("Gum", blender.data.meshes.new("Gum"))
    blender.context.scene.collection.objects.link(gum)
    gum.parent = head
    gum[addon("heads.scene").PART_PROPERTY] = "Upper gum"
    path = tmp_path / "parts.glb"
    assert blender.ops.vividkeys.export(format="GLB", filepath=str(path)) == {"FINISHED"}
    document, _ = addon("animation.glb_times").read_glb(path)
    assert {node["name"] for node in document["nodes"]} == {head.name, teeth.name, "Gum"}
    # Only the face carries the head's motion; what hangs from it goes along.
    assert head.animation_data is not None
    assert teeth.animation_data is None or teeth.animation_data.action is None
    blender.ops.vividkeys.create_head(image_file=str(photo), head_objects="ONE", name="Whole")
    assert [m.name for m in addon("animation.targets").target_meshes(blender.context)] == ["Whole"]


@pytest.fixture
def transferring(addon, offering):
    offering.results["transfer"] = answer(addon)
    return offering


def test_keys_are_asked_for_with_the_shapes_of_the_chosen_head(blender, addon, transferring):
    figure, scene = new_character(blender), blender.context.scene.vividkeys
    listed = addon("settings.head_choice").shape_items(None, None)
    assert [item[:2] for item in listed] == [("own", "VividKeys"), ("ella", "Ella")]
    assert scene.shapes_of == "own"
    asked = []
    for choice, told in (("own", {}), ("ella", {}), ("ella", {"shapes_of": "own"})):
        scene.shapes_of, scene.replace_keys = choice, True
        assert blender.ops.vividkeys.make_face_keys(**told) == {"FINISHED"}
        asked.append(transferring.submits[-1].params["shapes_of"])
    assert asked == ["", "ella", "own"]
    # The photo's head is another choice, and points have no shapes.
    assert scene.head == "own"
    blender.ops.vividkeys.find_face_points()
    assert transferring.submits[-1].params["shapes_of"] == ""
    assert len(figure.data.shape_keys.key_blocks) > 52


def test_shapes_of_a_head_that_was_removed_are_refused_and_nothing_changes(
    blender, addon, transferring
):
    figure = new_character(blender)
    blender.context.scene.vividkeys.shapes_of = "ella"
    # Removed since the welcome: the backend says so.
    transferring.failure = ("bad_request", "There is no installed head 'ella'.", "See the list.")
    with pytest.raises(RuntimeError, match=r"There is no installed head 'ella'. See the list."):
        blender.ops.vividkeys.make_face_keys()
    assert addon("jobs.work").state().notice.is_error and not addon("jobs.work").state().busy
    # Removed before the next welcome: it is not even asked, and not silently replaced by ours.
    transferring.failure, transferring.models = None, (OWN,)
    blender.ops.vividkeys.disconnect()
    blender.ops.vividkeys.connect_address(
        address=transferring.address, key_file=str(transferring.key_file)
    )
    sent = len(transferring.submits)
    reason = addon("interface.availability").disabled_reason(blender.context, "make_face_keys")
    assert reason.endswith("Choose another one under 'Shapes'")
    with pytest.raises(RuntimeError, match=r"not installed at this backend. Choose another one"):
        blender.ops.vividkeys.make_face_keys()
    assert len(transferring.submits) == sent and figure.data.shape_keys is None
    assert list(blender.data.objects) == [figure]
    blender.context.scene.vividkeys.shapes_of = "own"
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
