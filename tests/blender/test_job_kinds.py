# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the same for every kind of job: how it ends, how it is noted, who can do it."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest

KINDS = ("animate", "reconstruct", "render", "transfer")
WAYS = ("deliver", "rescue")
JOB = "ab" * 16


def _plan(addon, kind):
    targets = addon("animation.targets")
    scene = targets.Reference("scenes", targets.NO_UID, "Scene")
    mesh = targets.Reference("objects", targets.NO_UID, "Kopf")
    piece = addon("heads.characters").Piece(mesh, 8, (1.0,) * 16, "a shape")
    return {
        "animate": lambda: addon("animation.baking").BakePlan(
            "Satz", scene, (mesh,), heard=(3, 9), moving_moods=("joy",)
        ),
        "reconstruct": lambda: addon("jobs.kinds.reconstruct").HeadPlan("Kopf", scene, True),
        "render": lambda: addon("jobs.kinds.render").VideoPlan(
            "Satz", "Kopf", scene, is_preview=True
        ),
        "transfer": lambda: addon("heads.face_keys").CharacterPlan(
            "Figur", scene, (piece,), had_points=True
        ),
    }[kind]()


def _job(addon, kind, **ended):
    """A job under way, on the list of unfinished ones."""
    work = addon("jobs.work").state()
    addon("folders").unfinished_file().unlink(missing_ok=True)
    job = addon("jobs.job").Job(JOB, addon("jobs.kinds").KINDS[kind], "a label", _plan(addon, kind))
    addon("jobs.offers").note(job)
    for name, value in ended.items():
        setattr(job, name, value)
    work.job = job
    return job


def _end(blender, job, way):
    arguments = (blender.context, job) if way == "deliver" else (job,)
    return getattr(job.kind, way)(*arguments)


def _listed(addon):
    path = addon("folders").unfinished_file()
    return [entry.job for entry in addon("connection.unfinished").read_unfinished(path)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_job_whose_backend_was_lost_may_still_be_fetched(blender, addon, kind, way):
    errors = addon("shared.errors")
    lost = errors.VividKeysError("backend_lost", "It is gone.", "Start it.")
    job = _job(addon, kind, error=lost)
    with pytest.raises(errors.VividKeysError, match="It is gone"):
        _end(blender, job, way)
    assert addon("jobs.work").state().job is None and _listed(addon) == [JOB]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_failed_is_over(blender, addon, kind, way):
    errors = addon("shared.errors")
    job = _job(addon, kind, error=errors.VividKeysError("bad_file", "It is broken.", "Mend it."))
    with pytest.raises(errors.VividKeysError, match="It is broken"):
        _end(blender, job, way)
    work = addon("jobs.work").state()
    assert work.job is None and work.offers == () and _listed(addon) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_is_none_is_not_offered_again(blender, addon, kind, way):
    done = addon("shared.messages").Done(JOB, {}, {})
    job = _job(addon, kind, done=done)
    with pytest.raises(addon("shared.errors").VividKeysError):
        _end(blender, job, way)
    work = addon("jobs.work").state()
    assert work.job is None and work.offers == () and _listed(addon) == []


@pytest.mark.parametrize("kind", ["reconstruct", "transfer"])
def test_a_result_whose_place_is_gone_is_offered_again(blender, addon, kind, monkeypatch):
    errors = addon("shared.errors")

    def gone(*_):
        raise errors.VividKeysError("bad_target", "It is not there.", "Look for it.")

    monkeypatch.setattr(addon("shared.face"), "face_from_arrays", gone)
    monkeypatch.setattr(addon("shared.character"), "keys_from_arrays", gone)
    job = _job(addon, kind, done=addon("shared.messages").Done(JOB, {}, {}))
    with pytest.raises(errors.VividKeysError, match="It is not there"):
        _end(blender, job, "deliver")
    work = addon("jobs.work").state()
    assert work.job is None and [offer.job for offer in work.offers] == [JOB]
    assert _listed(addon) == [JOB]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_comes_back_from_the_list_of_unfinished_jobs(blender, addon, kind):
    job = _job(addon, kind)
    noted = json.loads(json.dumps(job.kind.plan_to_json(job.plan)))
    assert job.kind.plan_from_json(noted) == job.plan
    (entry,) = json.loads(addon("folders").unfinished_file().read_text("utf-8"))
    assert (entry["kind"], entry["plan"]) == (kind, noted)


def test_a_job_of_a_kind_that_only_a_later_version_knows_stays_where_it_is(
    blender, addon, connected, backend
):
    unfinished = addon("connection.unfinished")
    entry = unfinished.UnfinishedJob(JOB, "sing", "A song", time.time(), {})
    unfinished.remember_job(addon("folders").unfinished_file(), entry)
    connected.offers = (entry,)
    with pytest.raises(RuntimeError, match="sends no jobs of the kind 'sing'"):
        blender.ops.vividkeys.fetch()
    assert connected.offers == (entry,) and _listed(addon) == [JOB]
    assert backend.forgotten == []


@pytest.mark.parametrize(
    ("kind", "operator"),
    [
        ("animate", "animate"),
        ("reconstruct", "create_head"),
        ("render", "render_video"),
        ("transfer", "make_face_keys"),
    ],
)
def test_a_backend_that_does_no_such_jobs_is_the_reason_unless_it_still_loads(
    blender, addon, connected, monkeypatch, kind, operator
):
    others = tuple(name for name in KINDS if name != kind)
    welcome = dataclasses.replace(connected.session.welcome, kinds=others)
    monkeypatch.setattr(connected.session, "_welcome", welcome)
    reason = addon("interface.availability").blocking_reason(blender.context, operator)
    deed = addon("jobs.kinds").KINDS[kind].deed
    assert reason == f"This backend cannot {deed}; update it"
    loading = dataclasses.replace(welcome, ready=False, kinds=())
    monkeypatch.setattr(connected.session, "_welcome", loading)
    assert addon("interface.availability").blocking_reason(blender.context, operator) == ""


def test_each_operator_that_sends_a_job_needs_a_backend_that_does_it(blender, addon):
    job_operator = addon("operators.job_operator").JobOperator
    senders = {
        registered.bl_idname.removeprefix("vividkeys.")
        for registered in addon("registration").classes()
        if issubclass(registered, job_operator)
    }
    named = {name for kind in addon("jobs.kinds").KINDS.values() for name in kind.operators}
    # A job that is fetched was sent already, whatever its kind.
    assert senders - {"fetch"} == named
    for name in named:
        reason = addon("interface.availability").blocking_reason(blender.context, name)
        assert reason == "Start the local backend or connect to one first"


def test_each_kind_is_a_module_of_its_name(blender, addon):
    kinds = addon("jobs.kinds").KINDS
    assert sorted(kinds) == sorted(KINDS)
    for name, kind in kinds.items():
        assert addon(f"jobs.kinds.{name}").KIND is kind and kind.name == name
