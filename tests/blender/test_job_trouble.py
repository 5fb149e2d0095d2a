# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that are cancelled, fail or are left alone: nothing of the user's is lost, all is said."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest

from tests.patience import PATIENCE, wait_until

from .conftest import PACKAGE, shape_curve
from .modal_operators import modal, run
from .scripted_backend import ScriptedBackend


def test_cancel_leaves_the_file_as_it_was(blender, addon, connected, backend, head, voice):
    backend.holds_back.set()
    cls, operator = modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    assert blender.ops.vividkeys.cancel() == {"FINISHED"}
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert backend.cancelled == [operator.job_id]
    assert not blender.data.actions and not connected.busy
    assert addon("connection.unfinished").read_unfinished(addon("folders").unfinished_file()) == []
    backend.holds_back.clear()
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}


def test_a_failure_of_the_backend_is_told_with_its_next_step(
    blender, addon, connected, backend, head, voice
):
    backend.failure = ("bad_audio", "'Satz ß.wav' holds no sound.", "Choose another file.")
    with pytest.raises(RuntimeError, match=r"holds no sound. Choose another file."):
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
    cls, operator = modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    blender.data.objects.remove(head)
    backend.release.set()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    (saved,) = _kept_takes(addon) - before
    sentence = connected.notice.sentences[0]
    assert "'Kopf' is not in the file any more" in sentence and str(saved) in sentence
    assert "Apply Take" in connected.notice.next_step
    other = addon("heads.scene").create_head(blender.context.scene, make_face(3), "Other")
    addon("animation.targets").choose_targets(blender.context, [other])
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    assert len(shape_curve(addon, other.data.shape_keys, "jawOpen")) == 25
    assert connected.pending is None


def test_a_target_renamed_in_mid_job_is_still_found(
    blender, addon, connected, backend, head, voice
):
    backend.holds_back.set()
    cls, operator = modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    head.name = "Renamed"
    backend.release.set()
    assert run(cls, operator, blender.context) == {"FINISHED"}
    assert len(shape_curve(addon, head.data.shape_keys, "jawOpen")) == 25


def test_a_target_that_lost_its_keys_in_mid_job_costs_nothing(
    blender, addon, connected, backend, head, voice
):
    backend.holds_back.set()
    cls, operator = modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    head.shape_key_clear()
    backend.release.set()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert "'Kopf' has no shape keys" in connected.notice.sentences[0]
    assert connected.pending is not None and connected.pending.file.is_file()


def test_a_backend_that_dies_in_mid_job_is_noticed_at_once(
    blender, addon, connected, backend, head, voice, tmp_path
):
    backend.holds_back.set()
    connected.disconnect()
    connected.connect(backend.address, backend.key_file, patience=0.0)
    connected.wait_until_connected(PATIENCE)
    cls, operator = modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    # In these tests a silence is not noticed for minutes: the end of the connection is.
    backend.stop()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert connected.notice.is_error and connected.notice.next_step
    assert not connected.busy and not blender.data.actions
    with ScriptedBackend(addon, tmp_path) as again:
        again.results = backend.results
        assert blender.ops.vividkeys.connect_address(
            address=again.address, key_file=str(again.key_file)
        ) == {"FINISHED"}
        assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}


def test_a_backend_that_falls_silent_is_noticed_too(
    blender, addon, connected, backend, head, voice, monkeypatch
):
    backend.holds_back.set()
    connected.disconnect()
    connected.connect(backend.address, backend.key_file, patience=0.0)
    connected.wait_until_connected(PATIENCE)
    cls, operator = modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    backend.silent.set()
    monkeypatch.setattr(addon("shared.limits"), "SILENCE_SECONDS", 0.3)
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert connected.notice.is_error


def test_blender_quits_in_mid_job_and_fetches_the_result_later(
    blender, addon, connected, backend, head, voice, tmp_path
):
    backend.holds_back.set()
    modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    wait_until(lambda: backend.submits, connected.pump)
    job = backend.submits[0].job
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    # Everything that lives in memory goes; the list of unfinished jobs stays.
    addon("jobs.work").close()
    backend.kept[job] = "animate"
    blender.ops.wm.open_mainfile(filepath=path)
    work = addon("jobs.work").state()
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=str(backend.key_file))
    assert [offer.job for offer in work.offers] == [job]
    assert work.offers[0].label == "Satz ß"
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    again = blender.data.objects["Kopf"]
    assert len(shape_curve(addon, again.data.shape_keys, "jawOpen")) == 25
    assert work.offers == ()
    assert addon("connection.unfinished").read_unfinished(addon("folders").unfinished_file()) == []


def test_an_unfinished_job_can_be_forgotten(blender, addon, backend, voice):
    unfinished = addon("connection.unfinished")
    entry = unfinished.UnfinishedJob("ab" * 16, "animate", "Old", time.time(), {})
    unfinished.remember_job(addon("folders").unfinished_file(), entry)
    backend.kept["ab" * 16] = "animate"
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=str(backend.key_file))
    work = addon("jobs.work").state()
    assert [offer.label for offer in work.offers] == ["Old"]
    assert blender.ops.vividkeys.forget(job="ab" * 16) == {"FINISHED"}
    assert work.offers == ()
    wait_until(lambda: backend.forgotten)
    assert backend.forgotten == ["ab" * 16]


def test_a_result_nobody_waits_for_is_rescued(
    blender, addon, connected, backend, head, voice, monkeypatch
):
    """Another file is loaded in mid-job: Blender ends the operator, the timer keeps the Take."""
    work_module = addon("jobs.work")
    monkeypatch.setattr(work_module, "ABANDONED_SECONDS", 0.1)
    backend.holds_back.set()
    modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(voice))
    wait_until(lambda: connected.job.fraction == 0.5, connected.pump)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    backend.release.set()
    wait_until(lambda: connected.pending is not None, addon("jobs.timer").tick)
    assert connected.pending.file.is_file()
    assert "Apply Take" in connected.notice.sentences[-1]
    assert not connected.busy


def test_a_full_disk_costs_the_take_file_but_not_the_performance(
    blender, addon, connected, backend, head, voice, monkeypatch
):
    errors = addon("shared.errors")

    def full(*_):
        raise errors.VividKeysError(errors.ErrorKind.DISK_FULL, "The disk is full.", "Free some.")

    monkeypatch.setattr(addon("jobs.takes"), "keep_take", full)
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}
    assert len(shape_curve(addon, head.data.shape_keys, "jawOpen")) == 25
    assert any("The disk is full" in sentence for sentence in connected.notice.sentences)
    performance = addon("jobs.performances").performance_on(blender.context)
    assert performance.frame_count == 61


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


def test_check_connection_names_the_step(blender, addon, backend, monkeypatch):
    module = addon("operators.check_connection")
    patient = partial(module.check_connection, timeout=PATIENCE)
    monkeypatch.setattr(module, "check_connection", patient)
    preferences = blender.context.preferences.addons[PACKAGE].preferences
    preferences.address, preferences.key_file = backend.address, str(backend.key_file)
    blender.ops.vividkeys.check_connection()
    steps = {step.name: step.ok for step in addon("jobs.work").state().checks}
    assert steps["key file"] and steps["computer"] and steps["keys"] and steps["version"]
    backend.stop()
    blender.ops.vividkeys.check_connection()
    failed = [step for step in addon("jobs.work").state().checks if not step.ok]
    assert [step.name for step in failed] == ["computer"] and failed[0].next_step
    preferences.key_file = "/no/such.key"
    blender.ops.vividkeys.check_connection()
    (step,) = addon("jobs.work").state().checks
    assert step.name == "key file" and not step.ok
    preferences.address = preferences.key_file = ""
