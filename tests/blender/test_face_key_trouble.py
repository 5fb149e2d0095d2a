# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that cannot get keys, jobs that end otherwise: a reason is given, nothing changes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.patience import wait_until

from .made_up_character import answer, choose, grid, new_character, new_eye, new_object
from .modal_operators import modal, run
from .test_panels import Recorder


@pytest.fixture
def transferring(addon, connected, backend):
    backend.results["transfer"] = answer(addon)
    return backend


@pytest.fixture
def figure(blender):
    return new_character(blender)


def _edit_mode(blender, figure):
    blender.ops.object.mode_set(mode="EDIT")


def _hidden(blender, figure):
    figure.hide_viewport = True


def _mirrored(blender, figure):
    figure.modifiers.new("Mirror", "MIRROR")


def _absolute(blender, figure):
    figure.shape_key_add(name="Basis", from_mix=False)
    figure.data.shape_keys.use_relative = False


def _shared(blender, figure):
    twin = blender.data.objects.new("Zwilling", figure.data)
    blender.context.scene.collection.objects.link(twin)


def _no_faces(blender, figure):
    vertices, _ = grid()
    choose(blender, new_object(blender, "Wolke", vertices, []))


def _few_vertices(blender, figure):
    choose(blender, new_eye(blender))


def _lamp(blender, figure):
    lamp = blender.data.objects.new("Lampe", blender.data.lights.new("Lampe", "POINT"))
    blender.context.scene.collection.objects.link(lamp)
    choose(blender, lamp)


def _excluded(blender, figure):
    collection = blender.data.collections.new("Lager")
    blender.context.scene.collection.children.link(collection)
    collection.objects.link(figure)
    blender.context.scene.collection.objects.unlink(figure)
    blender.context.view_layer.layer_collection.children["Lager"].exclude = True


def _nothing(blender, figure):
    blender.context.view_layer.objects.active = None


def _bad_piece(blender, figure):
    eye = new_eye(blender)
    eye.modifiers.new("Mirror", "MIRROR")
    choose(blender, figure, eye)


def _linked(blender, figure, tmp_path):
    path = str(tmp_path / "library.blend")
    blender.data.libraries.write(path, {figure})
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with blender.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["Figur"]
    blender.context.scene.collection.objects.link(wanted.objects[0])
    choose(blender, wanted.objects[0])
    return wanted.objects[0]


CHOICES = [
    (_edit_mode, "is in edit mode"),
    (_hidden, "is hidden; show it first"),
    (_mirrored, "mirrored by a modifier"),
    (_absolute, "are absolute"),
    (_shared, "2 objects share the mesh"),
    (_no_faces, "'Wolke' has no faces"),
    (_few_vertices, "'Auge' has 8 vertices"),
    (_lamp, "'Lampe' is not a mesh"),
    (_nothing, "Select the mesh with the face"),
    (_bad_piece, "'Auge' is mirrored by a modifier.*Or deselect it"),
]


def _seen(blender):
    return (
        sorted(blender.data.objects.keys()),
        [len(mesh.vertices) for mesh in blender.data.meshes],
        sorted((keys.name, len(keys.key_blocks)) for keys in blender.data.shape_keys),
    )


@pytest.mark.parametrize(("spoil", "sentence"), CHOICES)
def test_the_reason_stands_in_the_panel_and_nothing_is_sent(
    blender, addon, transferring, figure, spoil, sentence
):
    spoil(blender, figure)
    blender.context.view_layer.update()
    before = _seen(blender)
    for operator in ("make_face_keys", "find_face_points"):
        shown = addon("interface.availability").disabled_reason(blender.context, operator)
        assert shown and not shown.endswith(".")
        with pytest.raises(RuntimeError, match=sentence):
            getattr(blender.ops.vividkeys, operator)()
    assert transferring.submits == [] and not addon("jobs.work").state().busy
    if blender.context.mode != "OBJECT":
        blender.ops.object.mode_set(mode="OBJECT")
    assert _seen(blender) == before


def test_linked_and_overridden_characters_are_refused(
    blender, addon, transferring, figure, tmp_path
):
    linked = _linked(blender, figure, tmp_path)
    with pytest.raises(RuntimeError, match="is linked from another file"):
        blender.ops.vividkeys.make_face_keys()
    override = linked.override_create(remap_local_usages=True)
    choose(blender, override)
    with pytest.raises(RuntimeError, match="The mesh of 'Figur' is linked"):
        blender.ops.vividkeys.make_face_keys()
    override.data.override_create(remap_local_usages=True)
    with pytest.raises(RuntimeError, match="is a library override"):
        blender.ops.vividkeys.make_face_keys()
    assert transferring.submits == []


@pytest.mark.parametrize("place", [np.nan, np.inf])
def test_vertices_that_lie_nowhere_are_said(blender, addon, transferring, figure, place):
    figure.data.vertices[7].co.x = place
    with pytest.raises(RuntimeError, match="invalid coordinates"):
        blender.ops.vividkeys.make_face_keys()
    assert transferring.submits == []


def test_a_flat_scale_and_too_many_vertices_are_said(
    blender, addon, transferring, figure, monkeypatch
):
    figure.scale = (1.0, 0.0, 1.0)
    with pytest.raises(RuntimeError, match="scale of 'Figur' is zero"):
        blender.ops.vividkeys.make_face_keys()
    figure.scale = (1.0, 1.0, 1.0)
    monkeypatch.setattr(addon("shared.character"), "MAX_VERTICES", 483)
    with pytest.raises(RuntimeError, match="have 484 vertices; at most 483"):
        blender.ops.vividkeys.make_face_keys()
    with pytest.raises(RuntimeError, match="There is no object 'Niemand'"):
        blender.ops.vividkeys.make_face_keys(target="Niemand")
    assert transferring.submits == []


def test_a_backend_that_knows_no_such_job_is_said(blender, addon, transferring, figure):
    welcome = addon("jobs.work").state().session.welcome
    kinds, welcome.__dict__["kinds"] = welcome.kinds, ("animate",)
    try:
        assert not blender.ops.vividkeys.make_face_keys.poll()
        reason = addon("interface.availability").disabled_reason(blender.context, "make_face_keys")
        assert reason == "This backend cannot make face keys; update it"
    finally:
        welcome.__dict__["kinds"] = kinds


def _start(addon, blender, connected):
    cls, operator = modal(addon, blender, "make_face_keys", "VIVIDKEYS_OT_make_face_keys")
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    return cls, operator


def test_cancel_leaves_the_character_as_it_was(blender, addon, connected, transferring, figure):
    transferring.holds_back.set()
    cls, operator = _start(addon, blender, connected)
    shown = _panel(blender, addon)
    assert shown.bars == [(0.5, "Half way")] and shown.buttons["vividkeys.cancel"]
    assert "vividkeys.make_face_keys" not in shown.buttons
    blender.ops.vividkeys.cancel()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert figure.data.shape_keys is None and not connected.busy


def test_a_mouth_that_cannot_open_offers_keys_for_the_surface(
    blender, addon, connected, transferring, figure
):
    assert "surface_only" not in _panel(blender, addon).fields
    transferring.failure = ("bad_target", "The mouth of 'Figur' is no mouth.", "Draw one.")
    with pytest.raises(RuntimeError, match="is no mouth"):
        blender.ops.vividkeys.make_face_keys()
    assert "surface_only" not in _panel(blender, addon).fields
    transferring.failure = ("mouth_closed", "The lips of 'Figur' are one.", "Cut them apart.")
    with pytest.raises(RuntimeError, match=r"are one. Cut them apart."):
        blender.ops.vividkeys.make_face_keys()
    assert "surface_only" in _panel(blender, addon).fields
    transferring.failure = None
    blender.context.scene.vividkeys.surface_only = True
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert transferring.submits[-1].params["surface_only"] is True
    blender.context.scene.vividkeys.surface_only = False
    assert "surface_only" not in _panel(blender, addon).fields


def test_an_answer_that_fits_no_character_is_refused(
    blender, addon, connected, transferring, figure
):
    good = answer(addon)

    def beyond(message):
        arrays = good(message)
        return {**arrays, "rows": arrays["rows"] + 1}

    for broken in ({}, beyond):
        transferring.results["transfer"] = broken
        with pytest.raises(RuntimeError):
            blender.ops.vividkeys.make_face_keys()
        assert connected.notice.is_error and not connected.busy
        assert figure.data.shape_keys is None and "vividkeys_landmarks" not in figure


def test_a_mesh_that_is_being_edited_gets_its_keys_later(
    blender, addon, connected, transferring, figure
):
    transferring.holds_back.set()
    cls, operator = _start(addon, blender, connected)
    blender.ops.object.mode_set(mode="EDIT")
    transferring.release.set()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert "edit mode" in connected.notice.sentences[0]
    assert "fetch the keys again" in connected.notice.next_step
    blender.ops.object.mode_set(mode="OBJECT")
    assert [offer.label for offer in connected.offers] == ["Figur"]
    transferring.kept[operator.job_id] = "transfer"
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    assert len(figure.data.shape_keys.key_blocks) > 52 and connected.offers == ()


def test_a_mesh_that_was_changed_meanwhile_gets_no_keys(
    blender, addon, connected, transferring, figure
):
    transferring.holds_back.set()
    cls, operator = _start(addon, blender, connected)
    figure.data.vertices[3].co.x += 0.01
    transferring.release.set()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert "was changed since it was sent" in connected.notice.sentences[0]
    assert figure.data.shape_keys is None


def test_a_character_that_was_deleted_but_is_still_a_target_gets_no_keys(
    blender, addon, connected, transferring, figure
):
    addon("animation.targets").choose_targets(blender.context, [figure])
    transferring.holds_back.set()
    cls, operator = _start(addon, blender, connected)
    blender.context.scene.collection.objects.unlink(figure)
    transferring.release.set()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert "is in no scene any more" in connected.notice.sentences[0]
    assert figure.data.shape_keys is None


def test_a_target_outside_the_view_layer_is_said(blender, addon, transferring, figure):
    _excluded(blender, figure)
    with pytest.raises(RuntimeError, match="not in the current view layer"):
        blender.ops.vividkeys.make_face_keys(target="Figur")
    assert transferring.submits == []


def test_renamed_and_moved_in_mid_job_it_is_still_the_same(
    blender, addon, connected, transferring, figure
):
    transferring.holds_back.set()
    cls, operator = _start(addon, blender, connected)
    figure.name, figure.location.x = "Umbenannt", 3.0
    transferring.release.set()
    assert run(cls, operator, blender.context) == {"FINISHED"}
    assert len(figure.data.shape_keys.key_blocks) > 52


def test_blender_quits_in_mid_job_and_fetches_the_keys_later(
    blender, addon, connected, transferring, figure, tmp_path
):
    transferring.holds_back.set()
    blender.context.scene.vividkeys.key_convention = "SIDES"
    figure.scale = (2.0, 2.0, 2.0)
    _, operator = _start(addon, blender, connected)
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    addon("jobs.work").close()
    transferring.kept[operator.job_id] = "transfer"
    blender.ops.wm.open_mainfile(filepath=path)
    blender.context.scene.vividkeys.key_convention = "ARKIT"
    blender.ops.vividkeys.connect_address(
        address=transferring.address, key_file=str(transferring.key_file)
    )
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    again = blender.data.objects["Figur"]
    assert "eyeBlink_L" in again.data.shape_keys.key_blocks
    assert addon("connection.unfinished").read_unfinished(addon("folders").unfinished_file()) == []


def test_keys_for_another_file_wait_until_it_is_open(
    blender, addon, connected, transferring, figure, tmp_path, monkeypatch
):
    work_module = addon("jobs.work")
    monkeypatch.setattr(work_module, "ABANDONED_SECONDS", 0.1)
    transferring.holds_back.set()
    _, operator = _start(addon, blender, connected)
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    transferring.release.set()
    wait_until(lambda: connected.job is None, addon("jobs.timer").tick)
    assert "'Figur' is not in the file any more" in connected.notice.sentences[0]
    assert [offer.label for offer in connected.offers] == ["Figur"]
    transferring.kept[operator.job_id] = "transfer"
    blender.ops.wm.open_mainfile(filepath=path)
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    assert blender.data.objects["Figur"].data.shape_keys is not None


def test_a_note_that_was_not_written_by_us_is_refused(addon):
    transfer, errors = addon("jobs.kinds.transfer"), addon("shared.errors")
    for values in ({}, {"pieces": [{"object": {}}]}, {"name": "x", "pieces": []}):
        with pytest.raises(errors.VividKeysError, match="does not say which character"):
            transfer.plan_from_json(values)


def _panel(blender, addon):
    recorder = Recorder(blender)
    panel = addon("interface.panels_character").VIVIDKEYS_PT_character
    panel.draw(SimpleNamespace(layout=recorder), blender.context)
    return recorder


def test_the_panel_says_what_the_character_is_and_has(blender, addon, transferring, figure):
    eye = new_eye(blender)
    choose(blender, figure, eye)
    shown = _panel(blender, addon)
    assert "Face: 'Figur', with 'Auge'." in shown.text
    assert "none of the 52 keys" in shown.text and "will be found" in shown.text
    assert shown.buttons["vividkeys.make_face_keys"] and shown.buttons["vividkeys.find_face_points"]
    assert "vividkeys.remove_face_points" not in shown.buttons
    assert shown.fields == ["face_style", "shapes_of", "key_convention", "replace_keys"]
    figure.shape_key_add(name="Basis", from_mix=False)
    figure.shape_key_add(name="EyeBlink_L", from_mix=False)
    assert "It has 1 of the 52 keys." in _panel(blender, addon).text
    assert blender.ops.vividkeys.find_face_points() == {"FINISHED"}
    shown = _panel(blender, addon)
    assert "12 face points" in shown.text and shown.buttons["vividkeys.remove_face_points"]
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert "all 52 keys and is a target" in _panel(blender, addon).text
    addon("animation.targets").choose_targets(blender.context, [])
    shown = _panel(blender, addon)
    assert "choose it as a target" in shown.text and "tick 'Replace Keys'" in shown.text
    assert shown.buttons["vividkeys.make_face_keys"] is False
    blender.context.scene.vividkeys.replace_keys = True
    assert _panel(blender, addon).buttons["vividkeys.make_face_keys"] is True


def test_without_a_mesh_or_a_connection_the_panel_says_what_to_do(blender, addon):
    shown = _panel(blender, addon)
    assert "Select the mesh with the face" in shown.text
    assert shown.buttons["vividkeys.make_face_keys"] is False
    assert "Start the local backend" in shown.text
