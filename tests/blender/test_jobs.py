# SPDX-License-Identifier: GPL-3.0-or-later
"""From the operators to the file, over real sockets: what a job gives and how it is applied.

Blocking: `bpy.ops` executes. Modal: Blender's module has no event loop, so `modal` is called as
Blender would call it, with TIMER events.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.patience import wait_until

from .conftest import shape_curve
from .modal_operators import modal, run


def test_create_head_and_animate_in_two_calls(blender, addon, connected, backend, voice, photo):
    assert blender.ops.vividkeys.create_head(image_file=str(photo)) == {"FINISHED"}
    head = blender.data.objects["Anna Head"]
    assert addon("animation.targets").target_meshes(blender.context) == [head]
    assert blender.context.view_layer.objects.active == head
    assert "The photo shows 2 faces; the largest was taken." in connected.notice.sentences
    result = blender.ops.vividkeys.animate(audio_file=str(voice), seed=5, start_frame=3)
    assert result == {"FINISHED"}
    take = addon("shared.take").take_from_arrays(backend.results["animate"])
    resampled = addon("shared.take").resample_take(take, 24.0)
    keys = shape_curve(addon, head.data.shape_keys, "jawOpen")
    assert np.array_equal(keys[:, 1], resampled.weights[:, addon("shared.arkit").INDEX["jawOpen"]])
    assert keys[0, 0] == 3
    assert head.animation_data.action == head.data.shape_keys.animation_data.action
    strip = addon("video.sequencer").our_strip(blender.context.scene, head.name)
    assert Path(blender.path.abspath(strip.sound.filepath)) == voice
    params = backend.submits[-1].params
    assert (params["seed"], params["blinks"], params["head_motion"]) == (5, 1.0, 1.0)
    assert bytes(backend.uploads[params["audio"]]) == voice.read_bytes()
    assert backend.submits[0].params["image_name"] == "Anna.jpg"


def test_results_are_forgotten_at_the_backend_once_they_are_safe(
    blender, addon, connected, backend, head, voice
):
    blender.ops.vividkeys.animate(audio_file=str(voice))
    wait_until(lambda: backend.forgotten)
    assert backend.forgotten == [backend.submits[0].job]
    assert addon("connection.unfinished").read_unfinished(addon("folders").unfinished_file()) == []


def test_settings_of_the_scene_are_used_where_nothing_is_said(
    blender, addon, connected, backend, head, voice
):
    settings = blender.context.scene.vividkeys
    settings.audio_file = str(voice)
    settings.seed, settings.blinks, settings.articulation = 11, 0.5, 1.25
    settings.head_motion, settings.start_frame, settings.lay_sound = 0.75, 20, False
    settings.effort, settings.jaw_share = 0.25, -0.5
    settings.parted, settings.head_liveliness = 0.75, -1.0
    assert blender.ops.vividkeys.animate() == {"FINISHED"}
    params = backend.submits[0].params
    assert params["seed"] == 11
    # These are applied here, so that they can be turned again; the backend sends them plain.
    plain = ("articulation", "head_motion", "blinks", "gaze")
    assert [params[name] for name in plain] == [1.0] * 4
    assert params["stream"] is False, "pieces of motion would be sent for nobody"
    speaker = ("effort", "jaw_share", "parted", "head_liveliness")
    assert [params[name] for name in speaker] == [0.25, -0.5, 0.75, -1.0]
    assert shape_curve(addon, head.data.shape_keys, "jawOpen")[0, 0] == 20
    assert addon("video.sequencer").our_strip(blender.context.scene, head.name) is None


def test_animate_is_one_undo_step(blender, addon, connected, backend, head, voice):
    blender.ops.ed.undo_push(message="before")
    blender.ops.vividkeys.animate(audio_file=str(voice), start_frame=200)
    assert blender.data.actions
    # Called by a script, an operator pushes no step by itself; Blender's UI pushes exactly one
    # for an operator with UNDO, and none for what that operator calls.
    blender.ops.ed.undo_push(message="Animate")
    blender.ops.ed.undo()
    head = blender.data.objects["Kopf"]
    assert not blender.data.actions
    assert head.data.shape_keys.animation_data is None or (
        head.data.shape_keys.animation_data.action is None
    )
    assert addon("video.sequencer").our_strip(blender.context.scene, "Kopf") is None
    blender.ops.ed.redo()
    head = blender.data.objects["Kopf"]
    assert head.data.shape_keys.animation_data.action.name == "VividKeys Satz ß"
    classes = [addon(f"operators.{n}").CLASSES[0] for n in ("animate", "create_head", "fetch")]
    assert all("UNDO" in cls.bl_options and "REGISTER" not in cls.bl_options for cls in classes)


def test_the_modal_way_ends_in_the_same_place(blender, addon, connected, backend, head, voice):
    backend.holds_back.set()
    cls, operator = modal(
        addon,
        blender,
        "animate",
        "VIVIDKEYS_OT_animate",
        audio_file=str(voice),
        start_frame=1,
        seed=0,
        articulation=1.0,
        blinks=1.0,
        head_motion=1.0,
    )
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    assert connected.busy and connected.job.sentence == "Half way"
    mouse = SimpleNamespace(type="MOUSEMOVE")
    assert cls.modal(operator, blender.context, mouse) == {"PASS_THROUGH"}
    backend.release.set()
    assert run(cls, operator, blender.context) == {"FINISHED"}
    assert not connected.busy
    assert shape_curve(addon, head.data.shape_keys, "jawOpen")[0, 0] == 1
    assert operator.reports[0][0] == {"INFO"}


def test_apply_take_again_follows_the_frame_rate_without_the_backend(
    blender, addon, connected, backend, head, voice
):
    blender.ops.vividkeys.animate(audio_file=str(voice), start_frame=5)
    blender.ops.vividkeys.disconnect()
    blender.context.scene.render.fps = 60
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    keys = shape_curve(addon, head.data.shape_keys, "jawOpen")
    assert len(keys) == 61 and keys[0, 0] == 5


def test_the_take_of_a_reopened_file_can_be_exported(
    blender, addon, connected, backend, head, voice, tmp_path
):
    blender.ops.vividkeys.animate(audio_file=str(voice))
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.open_mainfile(filepath=path)
    addon("jobs.performances")._remembered.clear()
    formats = addon("animation.exporting").FORMATS
    assert {"TAKE", "LIVE_LINK", "GLB", "FBX"} <= set(formats)
    for form in formats.values():
        result = blender.ops.vividkeys.export(format=form.name, filepath=str(tmp_path / "a"))
        assert result == {"FINISHED"}
        assert (tmp_path / f"a{form.suffix}").stat().st_size > 1000
    again = addon("shared.take").load_take(tmp_path / "a.take.npz")
    assert np.array_equal(again.weights, backend.results["animate"]["weights"])
    # It is the head's own face that the Take carries.
    neutral = addon("heads.scene").landmarks_at_rest(blender.data.objects["Kopf"])
    assert np.array_equal(again.neutral, neutral)


def test_nothing_in_the_file_holds_a_path_of_this_computer(
    blender, addon, connected, backend, head, voice
):
    blender.ops.vividkeys.animate(audio_file=str(voice))
    owners = [head, head.data, head.data.shape_keys, *blender.data.actions]
    text = json.dumps([str({k: str(v) for k, v in owner.items()}) for owner in owners])
    assert str(voice.parent) not in text and str(Path.home()) not in text


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({}, "No voice is chosen"),
        ({"audio_file": "/nowhere/x.wav"}, "There is no file 'x.wav'"),
        ({"target": "Nobody"}, "There is no object 'Nobody'"),
    ],
)
def test_missing_inputs_are_said_before_anything_is_sent(
    blender, addon, connected, backend, head, properties, sentence
):
    with pytest.raises(RuntimeError, match=sentence):
        blender.ops.vividkeys.animate(**properties)
    assert backend.submits == [] and not connected.busy


def test_a_sound_strip_is_the_voice_and_is_not_laid_twice(
    blender, addon, connected, backend, head, voice
):
    scene = blender.context.scene
    strip = addon("video.sequencer").lay_sound(scene, voice, 30, "by hand")
    del strip["vividkeys"]
    strip.select = True
    scene.vividkeys.audio_source = "STRIP"
    assert blender.ops.vividkeys.animate() == {"FINISHED"}
    assert shape_curve(addon, head.data.shape_keys, "jawOpen")[0, 0] == 30
    assert len(addon("versions").strips_of(scene.sequence_editor)) == 1


def test_a_trimmed_strip_is_applied_again_at_its_place(
    blender, addon, connected, backend, head, voice
):
    scene = blender.context.scene
    strip = addon("video.sequencer").lay_sound(scene, voice, 30, "by hand")
    del strip["vividkeys"]
    newer = hasattr(strip, "left_handle_offset")
    setattr(strip, "left_handle_offset" if newer else "frame_offset_start", 6)
    strip.select = True
    scene.vividkeys.audio_source = "STRIP"
    assert blender.ops.vividkeys.animate() == {"FINISHED"}
    first = shape_curve(addon, head.data.shape_keys, "jawOpen")
    assert first[0, 0] == 36
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    again = shape_curve(addon, head.data.shape_keys, "jawOpen")
    assert np.array_equal(first, again)
