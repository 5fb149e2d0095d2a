# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in every state: what it shows, and that each grey button says why.

Panels draw into a recorder that checks what Blender's own layout would refuse: icons, properties
and operators that do not exist.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import PACKAGE


class Recorder:
    """Stands for a UILayout: notes texts, buttons and whether they can be pressed."""

    def __init__(self, bpy: Any, root: Recorder | None = None, parent: Recorder | None = None):
        self.bpy = bpy
        self.root = root or self
        self.parent = parent
        self.enabled = True
        self.texts: list[str] = []
        self.buttons: dict[str, bool] = {}
        self.fields: list[str] = []
        self.bars: list[tuple[float, str]] = []
        self.pictures: list[int] = []

    @property
    def usable(self) -> bool:
        return self.enabled and (self.parent is None or self.parent.usable)

    def _child(self, **_: Any) -> Recorder:
        return Recorder(self.bpy, self.root, self)

    row = column = box = grid_flow = _child

    def _check_icon(self, icon: str) -> None:
        icons = self.bpy.types.UILayout.bl_rna.functions["prop"].parameters["icon"].enum_items
        assert icon in icons, f"Blender has no icon {icon}"

    def label(self, text: str = "", icon: str = "NONE") -> None:
        self._check_icon(icon)
        self.root.texts.append(text)

    def prop(self, owner: Any, name: str, **_: Any) -> None:
        assert name in owner.bl_rna.properties, name
        self.root.fields.append(name)

    def prop_search(self, owner: Any, name: str, where: Any, what: str, **_: Any) -> None:
        assert name in owner.bl_rna.properties and what in where.bl_rna.properties
        self.root.fields.append(name)

    def template_list(self, kind: str, _id: str, *_: Any, **__: Any) -> None:
        assert hasattr(self.bpy.types, kind)

    def progress(self, factor: float, type: str, text: str) -> None:
        self.root.bars.append((factor, text))

    def template_icon(self, icon_value: int, **_: Any) -> None:
        self.root.pictures.append(icon_value)

    def operator(self, idname: str, text: str = "", icon: str = "NONE") -> Any:
        self._check_icon(icon)
        group, _, name = idname.partition(".")
        known = getattr(getattr(self.bpy.ops, group), name).get_rna_type().properties
        self.root.buttons[idname] = self.usable

        class Properties:
            def __setattr__(self, attribute: str, value: Any) -> None:
                assert attribute in known, attribute

        return Properties()

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.fixture
def draw(blender, addon):
    """Draw all panels; returns what they showed."""

    def drawn() -> Recorder:
        recorder = Recorder(blender)
        for panel in addon("interface.panels").CLASSES:
            if panel.__name__.startswith("VIVIDKEYS_PT"):
                panel.draw(SimpleNamespace(layout=recorder), blender.context)
        return recorder

    return drawn


@pytest.fixture
def location_note(addon, monkeypatch, tmp_path):
    """Where install.py would note the backend; nothing is noted at first."""
    module = addon("contracts").backend_location
    note = tmp_path / "backend.json"
    monkeypatch.setattr(module, "location_file", lambda: note)
    return module


@pytest.fixture
def preferences(blender, location_note):
    chosen = blender.context.preferences.addons[PACKAGE].preferences
    names = ("backend_python", "backend_folder", "address", "key_file")
    before = {name: getattr(chosen, name) for name in names}
    for name in names:
        setattr(chosen, name, "")
    yield chosen
    for name, value in before.items():
        setattr(chosen, name, value)


def test_an_empty_file_says_what_to_do_first(draw, preferences):
    shown = draw()
    for name in ("connect_local", "connect_address", "create_head", "animate", "export"):
        if name != "export":
            assert shown.buttons[f"vividkeys.{name}"] is False, name
    assert shown.buttons["vividkeys.export"] is False
    text = shown.text
    assert "No backend was found" in text
    assert "Start the local backend or connect to one" in text
    assert "Only animate a face with that person's" in text
    assert "Animate a target first" in text


def test_the_backend_that_was_installed_is_found(draw, preferences, location_note, tmp_path):
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").touch()
    location_note.note_location(Path(sys.executable), tmp_path)
    assert draw().buttons["vividkeys.connect_local"] is True


def test_consent_stands_beside_the_photo(blender, addon):
    recorder = Recorder(blender)
    addon("interface.panels").VIVIDKEYS_PT_head.draw(
        SimpleNamespace(layout=recorder), blender.context
    )
    assert recorder.fields == ["image_file", "head", "head_objects"]
    assert " ".join(recorder.texts).startswith(addon("interface.panels").CONSENT)


def test_every_tab_is_in_the_sidebar_under_one_name(addon):
    for panel in addon("interface.panels").CLASSES:
        if hasattr(panel, "bl_category"):
            assert (panel.bl_category, panel.bl_space_type, panel.bl_region_type) == (
                "VividKeys",
                "VIEW_3D",
                "UI",
            )


def _connect(addon, monkeypatch):
    work = addon("jobs.work").state()
    events = addon("connection.events")
    state = events.StateChanged(events.SessionState.CONNECTED, "Connected to tcp://x:1.", "")
    monkeypatch.setattr(work.session, "_state", state)
    return work


def test_connected_and_complete_lets_animate_be_pressed(
    blender, addon, draw, head, monkeypatch, tmp_path
):
    _connect(addon, monkeypatch)
    settings = blender.context.scene.vividkeys
    for name in ("a.wav", "a.jpg"):
        (tmp_path / name).write_bytes(b"x")
    settings.audio_file, settings.image_file = str(tmp_path / "a.wav"), str(tmp_path / "a.jpg")
    shown = draw()
    assert shown.buttons["vividkeys.animate"] and shown.buttons["vividkeys.create_head"]
    assert "vividkeys.connect_local" not in shown.buttons
    assert shown.buttons["vividkeys.disconnect"]
    assert "52 of 52 channels drive 52 shape" in shown.text


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda s, h: setattr(s, "audio_file", ""), "Choose a sound file first"),
        (lambda s, h: setattr(s, "audio_file", "//no.wav"), "There is no file 'no.wav'"),
        (lambda s, h: setattr(s, "audio_source", "STRIP"), "Select a sound strip"),
        (lambda s, h: s.targets.clear(), "Choose a target mesh"),
        (lambda s, h: h.shape_key_clear(), "has no shape keys"),
        (lambda s, h: setattr(s, "head_target", "OBJECT"), "Choose the object for the head"),
        (lambda s, h: setattr(s, "head_target", "BONE"), "Choose the armature and the bone"),
    ],
)
def test_the_reason_why_animate_is_grey(
    blender, addon, draw, head, monkeypatch, tmp_path, spoil, reason
):
    _connect(addon, monkeypatch)
    settings = blender.context.scene.vividkeys
    (tmp_path / "a.wav").write_bytes(b"x")
    settings.audio_file = str(tmp_path / "a.wav")
    assert draw().buttons["vividkeys.animate"]
    spoil(settings, head)
    shown = draw()
    assert shown.buttons["vividkeys.animate"] is False
    assert reason in addon("interface.availability").disabled_reason(blender.context, "animate")
    assert reason.split()[0] in shown.text


def test_polls_refuse_without_a_connection_and_say_so(blender, addon, preferences):
    for name in ("animate", "create_head", "cancel", "fetch", "apply_take", "export"):
        assert not getattr(blender.ops.vividkeys, name).poll(), name
        assert addon("interface.availability").disabled_reason(blender.context, name), name
    with pytest.raises(RuntimeError, match="Start the local backend or connect to one"):
        blender.ops.vividkeys.animate()


def test_a_job_under_way_shows_its_progress_and_a_cancel_button(
    blender, addon, draw, head, monkeypatch
):
    work = _connect(addon, monkeypatch)
    work.job = addon("jobs.job").Job(
        "1" * 32, addon("jobs.kinds.animate").KIND, "voice", None, 0.4, "Listening ..."
    )
    shown = draw()
    assert shown.bars == [(0.4, "Listening ...")]
    assert shown.buttons["vividkeys.cancel"] and "vividkeys.animate" not in shown.buttons
    assert shown.buttons["vividkeys.create_head"] is False
    work.job = None


def test_an_error_shows_its_sentence_its_next_step_and_the_log(addon, draw):
    errors = addon("shared.errors")
    addon("jobs.work").state().tell_error(
        errors.VividKeysError("no_face", "The photo shows no face.", "Choose another photo.")
    )
    shown = draw()
    assert "The photo shows no face." in shown.text
    assert "Choose another photo." in shown.text
    assert shown.buttons["vividkeys.open_log"]


def test_unfinished_jobs_are_offered(addon, draw):
    unfinished = addon("connection.unfinished")
    work = addon("jobs.work").state()
    work.offers = (unfinished.UnfinishedJob("1" * 32, "animate", "Monday", 0.0),)
    shown = draw()
    assert "Unfinished: Monday" in shown.text
    assert {"vividkeys.fetch", "vividkeys.forget"} <= set(shown.buttons)


def test_a_mapping_file_that_is_broken_shows_in_the_panel(blender, addon, draw, head, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text("{")
    blender.context.scene.vividkeys.mapping_file = str(path)
    assert "The mapping file broken.json cannot be" in draw().text


def test_a_deleted_target_is_no_target(blender, addon, draw, head):
    blender.data.objects.remove(head)
    assert addon("animation.targets").target_meshes(blender.context) == []
    draw()


def test_use_selected_takes_meshes_with_keys_the_active_first(blender, addon, head, make_face):
    scene, layer = blender.context.scene, blender.context.view_layer
    other = addon("heads.scene").create_head(scene, make_face(1), "Zwei")
    plain = blender.data.objects.new("Plain", blender.data.meshes.new("Plain"))
    scene.collection.objects.link(plain)
    layer.update()
    for member in layer.objects:
        member.select_set(True)
    layer.objects.active = other
    assert blender.ops.vividkeys.use_selected() == {"FINISHED"}
    assert addon("animation.targets").target_meshes(blender.context) == [other, head]
    assert blender.ops.vividkeys.remove_target() == {"FINISHED"}
    assert addon("animation.targets").target_meshes(blender.context) == [head]


def test_save_mapping_writes_what_bake_reads(blender, addon, head, make_take, make_plan, tmp_path):
    path = tmp_path / "map.json"
    assert blender.ops.vividkeys.save_mapping(filepath=str(path)) == {"FINISHED"}
    assert blender.context.scene.vividkeys.mapping_file == str(path)
    path.write_text(path.read_text().replace('"gain": 1.0', '"gain": 0.5'))
    plan = make_plan(head, mapping_file=path)
    blender.context.scene.render.fps = 60
    take = make_take(0.5)
    addon("animation.baking").bake_take(blender.context, take, plan, {})
    blender.context.scene.frame_set(10)
    jaw = addon("shared.arkit").INDEX["jawOpen"]
    shown = head.data.shape_keys.key_blocks["jawOpen"].value
    assert shown == pytest.approx(take.weights[9, jaw] / 2, abs=1e-6)


def test_open_log_says_where_it_is(blender, addon):
    assert blender.ops.vividkeys.open_log() == {"FINISHED"}
    assert addon("folders").log_folder().is_dir()
