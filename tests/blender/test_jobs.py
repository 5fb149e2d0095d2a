# SPDX-License-Identifier: GPL-3.0-or-later
"""From the operators to the file, over real sockets: results, failures, lost targets and backends.

Blocking: `bpy.ops` executes. Modal: Blender's module has no event loop, so `modal` is called as
Blender would call it, with TIMER events.
"""

from __future__ import annotations

import json
import time
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from .conftest import PACKAGE, shape_curve
from .scripted_backend import ScriptedBackend


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "Satz ß.wav"
    samples = (8000 * np.sin(np.arange(16000) * 0.1)).astype("<i2")
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(samples.tobytes())
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "Anna.jpg"
    path.write_bytes(b"only the scripted backend sees this")
    return path


@pytest.fixture
def backend(blender, addon, tmp_path, make_take, make_face):
    with ScriptedBackend(addon, tmp_path) as scripted:
        scripted.results["animate"] = addon("shared.take").take_to_arrays(make_take(1.0))
        scripted.results["reconstruct"] = addon("shared.face").face_to_arrays(
            make_face(meta={"warnings": ["The photo shows 2 faces; the largest was taken."]})
        )
        addon("folders").unfinished_file().unlink(missing_ok=True)
        yield scripted


@pytest.fixture
def connected(blender, addon, backend):
    result = blender.ops.vividkeys.connect_address(
        address=backend.address, key_file=str(backend.key_file)
    )
    assert result == {"FINISHED"}
    return addon("work").state()


def _modal(addon, blender, operator_module, class_name, **properties):
    """The operator as Blender would hold it, started by `invoke` but without a window."""
    module = addon(f"operators.{operator_module}")
    given = SimpleNamespace(is_property_set=lambda name: name in properties)
    defaults = {"target": "", "image_file": "", "name": "", "audio_file": "", "job": ""}
    operator = SimpleNamespace(
        **{**defaults, **properties}, properties=given, timer=None, job_id="", reports=[]
    )
    operator.report = lambda level, text: operator.reports.append((level, text))
    send = getattr(module, "attach" if operator_module == "fetch" else "send")
    job = send(operator) if operator_module == "fetch" else send(operator, blender.context)
    operator.job_id = job.id
    return getattr(module, class_name), operator


def _run(cls, operator, context, until=lambda: False, seconds=10.0):
    """TIMER events until the operator ends or `until` is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = cls.modal(operator, context, SimpleNamespace(type="TIMER"))
        if result != {"PASS_THROUGH"} or until():
            return result
        time.sleep(0.01)
    raise AssertionError("the operator did not end")


def test_create_head_and_animate_in_two_calls(blender, addon, connected, backend, voice, photo):
    assert blender.ops.vividkeys.create_head(image_file=str(photo)) == {"FINISHED"}
    head = blender.data.objects["Anna Head"]
    assert addon("properties").target_meshes(blender.context) == [head]
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
    strip = addon("sequencer").our_strip(blender.context.scene, head.name)
    assert Path(blender.path.abspath(strip.sound.filepath)) == voice
    params = backend.submits[-1].params
    assert (params["seed"], params["blinks"], params["head_motion"]) == (5, 1.0, 1.0)
    assert bytes(backend.uploads[params["audio"]]) == voice.read_bytes()
    assert backend.submits[0].params["image_name"] == "Anna.jpg"


def test_results_are_forgotten_at_the_backend_once_they_are_safe(
    blender, addon, connected, backend, head, voice
):
    blender.ops.vividkeys.animate(audio_file=str(voice))
    deadline = time.monotonic() + 5
    while not backend.forgotten and time.monotonic() < deadline:
        time.sleep(0.01)
    assert backend.forgotten == [backend.submits[0].job]
    assert addon("unfinished").read_unfinished(addon("folders").unfinished_file()) == []


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
    speaker = ("effort", "jaw_share", "parted", "head_liveliness")
    assert [params[name] for name in speaker] == [0.25, -0.5, 0.75, -1.0]
    assert shape_curve(addon, head.data.shape_keys, "jawOpen")[0, 0] == 20
    assert addon("sequencer").our_strip(blender.context.scene, head.name) is None


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
    assert addon("sequencer").our_strip(blender.context.scene, "Kopf") is None
    blender.ops.ed.redo()
    head = blender.data.objects["Kopf"]
    assert head.data.shape_keys.animation_data.action.name == "VividKeys Satz ß"
    classes = [addon(f"operators.{n}").CLASSES[0] for n in ("animate", "create_head", "fetch")]
    assert all("UNDO" in cls.bl_options and "REGISTER" not in cls.bl_options for cls in classes)


def test_the_modal_way_ends_in_the_same_place(blender, addon, connected, backend, head, voice):
    backend.holds_back.set()
    cls, operator = _modal(
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
    _run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    assert connected.busy and connected.job.sentence == "Half way"
    mouse = SimpleNamespace(type="MOUSEMOVE")
    assert cls.modal(operator, blender.context, mouse) == {"PASS_THROUGH"}
    backend.release.set()
    assert _run(cls, operator, blender.context) == {"FINISHED"}
    assert not connected.busy
    assert shape_curve(addon, head.data.shape_keys, "jawOpen")[0, 0] == 1
    assert operator.reports[0][0] == {"INFO"}


def test_cancel_leaves_the_file_as_it_was(blender, addon, connected, backend, head, voice):
    backend.holds_back.set()
    cls, operator = _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    _run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    assert blender.ops.vividkeys.cancel() == {"FINISHED"}
    assert _run(cls, operator, blender.context) == {"CANCELLED"}
    assert backend.cancelled == [operator.job_id]
    assert not blender.data.actions and not connected.busy
    assert addon("unfinished").read_unfinished(addon("folders").unfinished_file()) == []
    backend.holds_back.clear()
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}


def test_a_failure_of_the_backend_is_told_with_its_next_step(
    blender, addon, connected, backend, head, voice
):
    backend.failure = ("bad_audio", "'Satz ß.wav' holds no sound.", "Choose another file.")
    with pytest.raises(RuntimeError, match="holds no sound. Choose another file."):
        blender.ops.vividkeys.animate(audio_file=str(voice))
    assert connected.notice.is_error
    assert connected.notice.sentences == ("'Satz ß.wav' holds no sound.",)
    assert connected.notice.next_step == "Choose another file."
    assert not blender.data.actions


@pytest.mark.parametrize("arrays", ["empty", "nan", "shape"])
def test_arrays_that_are_no_take_are_refused(
    blender, addon, connected, backend, head, voice, arrays
):
    good = backend.results["animate"]
    backend.results["animate"] = {
        "empty": {},
        "nan": {**good, "weights": np.full_like(good["weights"], 2.0)},
        "shape": {**good, "weights": good["weights"][:, :51]},
    }[arrays]
    with pytest.raises(RuntimeError):
        blender.ops.vividkeys.animate(audio_file=str(voice))
    assert connected.notice.is_error and not connected.busy
    assert not blender.data.actions


def _kept_takes(addon):
    return set(addon("folders").takes_folder().glob("*.take.npz"))


def test_a_target_deleted_in_mid_job_costs_nothing(
    blender, addon, connected, backend, head, voice, make_face
):
    before = _kept_takes(addon)
    backend.holds_back.set()
    cls, operator = _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    _run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    blender.data.objects.remove(head)
    backend.release.set()
    assert _run(cls, operator, blender.context) == {"CANCELLED"}
    (saved,) = _kept_takes(addon) - before
    sentence = connected.notice.sentences[0]
    assert "'Kopf' is not in the file any more" in sentence and str(saved) in sentence
    assert "Apply Take" in connected.notice.next_step
    other = addon("heads").create_head(blender.context.scene, make_face(3), "Other")
    addon("properties").choose_targets(blender.context, [other])
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    assert len(shape_curve(addon, other.data.shape_keys, "jawOpen")) == 25
    assert connected.pending is None


def test_a_target_renamed_in_mid_job_is_still_found(
    blender, addon, connected, backend, head, voice
):
    backend.holds_back.set()
    cls, operator = _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    head.name = "Renamed"
    backend.release.set()
    assert _run(cls, operator, blender.context) == {"FINISHED"}
    assert len(shape_curve(addon, head.data.shape_keys, "jawOpen")) == 25


def test_a_target_that_lost_its_keys_in_mid_job_costs_nothing(
    blender, addon, connected, backend, head, voice
):
    backend.holds_back.set()
    cls, operator = _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    head.shape_key_clear()
    backend.release.set()
    assert _run(cls, operator, blender.context) == {"CANCELLED"}
    assert "'Kopf' has no shape keys" in connected.notice.sentences[0]
    assert connected.pending is not None and connected.pending.file.is_file()


def test_a_backend_that_dies_in_mid_job_is_noticed_within_five_seconds(
    blender, addon, connected, backend, head, voice, tmp_path
):
    backend.holds_back.set()
    connected.disconnect()
    connected.connect(backend.address, backend.key_file, patience=0.0)
    connected.wait_until_connected(10)
    cls, operator = _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    _run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    started = time.monotonic()
    backend.stop()
    assert _run(cls, operator, blender.context, seconds=5.0) == {"CANCELLED"}
    assert time.monotonic() - started < 5.0
    assert connected.notice.is_error and connected.notice.next_step
    assert not connected.busy and not blender.data.actions
    with ScriptedBackend(addon, tmp_path) as again:
        again.results = backend.results
        assert blender.ops.vividkeys.connect_address(
            address=again.address, key_file=str(again.key_file)
        ) == {"FINISHED"}
        assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}


def test_a_backend_that_falls_silent_is_noticed_too(
    blender, addon, connected, backend, head, voice
):
    backend.holds_back.set()
    connected.disconnect()
    connected.connect(backend.address, backend.key_file, patience=0.0)
    connected.wait_until_connected(10)
    cls, operator = _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    _run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    backend.silent.set()
    started = time.monotonic()
    assert _run(cls, operator, blender.context, seconds=7.0) == {"CANCELLED"}
    assert time.monotonic() - started < 5.5
    assert connected.notice.is_error


def test_blender_quits_in_mid_job_and_fetches_the_result_later(
    blender, addon, connected, backend, head, voice, tmp_path
):
    backend.holds_back.set()
    _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    deadline = time.monotonic() + 5
    while not backend.submits and time.monotonic() < deadline:
        connected.pump()
        time.sleep(0.01)
    job = backend.submits[0].job
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    # Everything that lives in memory goes; the list of unfinished jobs stays.
    addon("work").close()
    backend.kept[job] = "animate"
    blender.ops.wm.open_mainfile(filepath=path)
    work = addon("work").state()
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=str(backend.key_file))
    assert [offer.job for offer in work.offers] == [job]
    assert work.offers[0].label == "Satz ß"
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    again = blender.data.objects["Kopf"]
    assert len(shape_curve(addon, again.data.shape_keys, "jawOpen")) == 25
    assert work.offers == ()
    assert addon("unfinished").read_unfinished(addon("folders").unfinished_file()) == []


def test_an_unfinished_job_can_be_forgotten(blender, addon, backend, voice):
    unfinished = addon("unfinished")
    entry = unfinished.UnfinishedJob("ab" * 16, "animate", "Old", time.time(), {})
    unfinished.remember_job(addon("folders").unfinished_file(), entry)
    backend.kept["ab" * 16] = "animate"
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=str(backend.key_file))
    work = addon("work").state()
    assert [offer.label for offer in work.offers] == ["Old"]
    assert blender.ops.vividkeys.forget(job="ab" * 16) == {"FINISHED"}
    assert work.offers == ()
    deadline = time.monotonic() + 5
    while not backend.forgotten and time.monotonic() < deadline:
        time.sleep(0.01)
    assert backend.forgotten == ["ab" * 16]


def test_a_result_nobody_waits_for_is_rescued(
    blender, addon, connected, backend, head, voice, monkeypatch
):
    """Another file is loaded in mid-job: Blender ends the operator, the timer keeps the Take."""
    work_module = addon("work")
    monkeypatch.setattr(work_module, "ABANDONED_SECONDS", 0.1)
    backend.holds_back.set()
    _modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    deadline = time.monotonic() + 5
    while connected.job.fraction < 0.5 and time.monotonic() < deadline:
        connected.pump()
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    backend.release.set()
    while connected.pending is None and time.monotonic() < deadline:
        work_module.tick()
        time.sleep(0.02)
    assert connected.pending.file.is_file()
    assert "Apply Take" in connected.notice.sentences[-1]
    assert not connected.busy


def test_a_full_disk_costs_the_take_file_but_not_the_performance(
    blender, addon, connected, backend, head, voice, monkeypatch
):
    errors = addon("shared.errors")

    def full(*_):
        raise errors.VividKeysError(errors.ErrorKind.DISK_FULL, "The disk is full.", "Free some.")

    monkeypatch.setattr(addon("takes"), "keep_take", full)
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}
    assert len(shape_curve(addon, head.data.shape_keys, "jawOpen")) == 25
    assert any("The disk is full" in sentence for sentence in connected.notice.sentences)
    performance = addon("delivery").performance_on(blender.context)
    assert performance.frame_count == 61


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
    addon("delivery")._remembered.clear()
    for file_format, name in (
        ("TAKE", "a.take.npz"),
        ("LIVE_LINK", "a.csv"),
        ("GLB", "a.glb"),
        ("FBX", "a.fbx"),
    ):
        target = tmp_path / name.split(".")[0]
        result = blender.ops.vividkeys.export(format=file_format, filepath=str(target))
        assert result == {"FINISHED"} and (tmp_path / name).stat().st_size > 1000
    again = addon("shared.take").load_take(tmp_path / "a.take.npz")
    assert np.array_equal(again.weights, backend.results["animate"]["weights"])
    # It is the head's own face that the Take carries.
    neutral = addon("heads").landmarks_at_rest(blender.data.objects["Kopf"])
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
    strip = addon("sequencer").lay_sound(scene, voice, 30, "by hand")
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
    strip = addon("sequencer").lay_sound(scene, voice, 30, "by hand")
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


def test_wrong_key_and_nobody_there_are_said(blender, addon, backend, tmp_path):
    connection = addon("shared.connection")
    import zmq

    stranger = zmq.curve_keypair()[0].decode()
    wrong = connection.ClientKeys(stranger, backend.keys.client_public, backend.keys.client_secret)
    connection.save_client_keys(wrong, tmp_path / "wrong.key")
    with pytest.raises(RuntimeError):
        blender.ops.vividkeys.connect_address(
            address=backend.address, key_file=str(tmp_path / "wrong.key")
        )
    with pytest.raises(RuntimeError, match="No backend answers"):
        blender.ops.vividkeys.connect_address(address="127.0.0.1:9", key_file=str(backend.key_file))
    with pytest.raises(RuntimeError, match="cannot be read"):
        blender.ops.vividkeys.connect_address(address="127.0.0.1", key_file="/no/such.key")


def test_check_connection_names_the_step(blender, addon, backend):
    preferences = blender.context.preferences.addons[PACKAGE].preferences
    preferences.address, preferences.key_file = backend.address, str(backend.key_file)
    blender.ops.vividkeys.check_connection()
    steps = {step.name: step.ok for step in addon("work").state().checks}
    assert steps["key file"] and steps["computer"] and steps["keys"] and steps["version"]
    backend.stop()
    blender.ops.vividkeys.check_connection()
    failed = [step for step in addon("work").state().checks if not step.ok]
    assert [step.name for step in failed] == ["computer"] and failed[0].next_step
    preferences.key_file = "/no/such.key"
    blender.ops.vividkeys.check_connection()
    (step,) = addon("work").state().checks
    assert step.name == "key file" and not step.ok
    preferences.address = preferences.key_file = ""
