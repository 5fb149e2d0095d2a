# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server does for clients that behave, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.server import dispatch, reception
from shared.errors import ErrorKind
from shared.limits import JOBS_PER_CLIENT, PROTOCOL_VERSION, UPLOAD_CHUNK_BYTES, limits_as_json
from shared.messages import (
    Accepted,
    Attach,
    Cancel,
    Chunk,
    Done,
    Failed,
    Forget,
    Forgotten,
    Have,
    Need,
    Ping,
    Pong,
    Progress,
    Submit,
)
from tests.backend.server.real_server import BareClient, RunningServer, has_ended
from tests.patience import wait_until

Connect = Callable[..., BareClient]


def test_hello_is_answered_with_what_the_server_can_do(client: BareClient) -> None:
    welcome = client.hello()
    assert welcome.version == PROTOCOL_VERSION
    assert welcome.name == "anna"
    assert welcome.ready
    assert set(welcome.kinds) == {"measure", "double", "wait", "break", "film"}
    assert welcome.devices[0]["kind"] == "cpu"
    assert welcome.limits == limits_as_json()


def test_ping_is_answered_with_its_number(client: BareClient) -> None:
    client.send(Ping(41))
    assert client.receive() == Pong(41)


def test_a_job_goes_through_its_states_in_order(client: BareClient) -> None:
    curve = np.arange(6, dtype=np.float32).reshape(2, 3)
    job = client.submit("double", {"curve": curve, "none": np.zeros((0, 4), np.float32)}, chunks=3)
    heard = client.until(lambda message: isinstance(message, Done))
    assert heard[0] == Accepted(job, "double", "queued", 0)
    chunks = [message for message in heard if isinstance(message, Chunk)]
    assert [chunk.index for chunk in chunks] == [0, 1, 2]
    assert chunks[2].arrays["piece"].tolist() == [[2, 2, 2], [2, 2, 2]]
    fractions = [message.fraction for message in heard if isinstance(message, Progress)]
    assert fractions == sorted(fractions)
    done = heard[-1]
    assert isinstance(done, Done)
    assert done.kept and done.info == {"doubled": 2}
    np.testing.assert_array_equal(done.arrays["curve"], curve * 2)
    assert done.arrays["none"].shape == (0, 4)


def test_the_same_bytes_are_sent_once(client: BareClient, connect: Connect) -> None:
    data = np.random.default_rng(1).bytes(3 * UPLOAD_CHUNK_BYTES + 17)
    sha256, answers = client.upload(data)
    assert [type(answer) for answer in answers] == [Need, Need, Need, Need, Have]
    assert [answer.offset for answer in answers if isinstance(answer, Need)] == [
        index * UPLOAD_CHUNK_BYTES for index in range(4)
    ]
    _sha256, again = client.upload(data)
    assert again == [Have(sha256)]
    _sha256, from_other = connect("berta").upload(data)
    assert from_other == [Have(sha256)]
    done = client.result_of(client.submit("measure", file=sha256))
    assert done.info == {"size": len(data)}
    assert done.arrays["sum"][0] == sum(data)


def test_an_empty_upload_is_complete_at_once(client: BareClient) -> None:
    sha256, answers = client.upload(b"")
    assert answers == [Have(sha256)]


def test_a_job_can_build_on_the_result_of_another(client: BareClient) -> None:
    sha256, _answers = client.upload(b"\x01\x02")
    first = client.submit("measure", file=sha256)
    client.result_of(first)
    second = client.submit("measure", file=sha256, builds_on=first)
    assert client.result_of(second).arrays["sum"][0] == 6


def test_a_result_stays_until_it_is_forgotten(
    server: RunningServer, client: BareClient, connect: Connect
) -> None:
    sha256, _answers = client.upload(b"only used here")
    job = client.submit("measure", file=sha256)
    total = int(client.result_of(job).arrays["sum"][0])
    later = connect("anna")
    assert job in [known["job"] for known in later.hello().jobs]
    later.send(Attach(job))
    assert later.receive() == Accepted(job, "measure", "done", 0)
    assert later.result_of(job).arrays["sum"][0] == total

    files = [
        server.folder / "server" / "results" / f"{job}.npz",
        server.folder / "server" / "uploads" / sha256,
    ]
    assert all(path.exists() for path in files)
    later.send(Forget(job, with_uploads=True))
    assert later.receive() == Forgotten(job)
    assert not any(path.exists() for path in files)
    later.send(Attach(job))
    assert later.error_of(job).kind is ErrorKind.UNKNOWN_JOB


def test_forget_keeps_an_upload_that_another_job_uses(
    server: RunningServer, client: BareClient
) -> None:
    sha256, _answers = client.upload(b"used twice")
    first, second = (client.submit("measure", file=sha256) for _ in range(2))
    client.result_of(first)
    client.result_of(second)
    for job, remains in ((first, True), (second, False)):
        client.send(Forget(job, with_uploads=True))
        client.wait_for(Forgotten)
        assert (server.folder / "server" / "uploads" / sha256).exists() is remains


def test_the_same_job_id_again_only_subscribes_again(client: BareClient) -> None:
    job = client.submit("double", {"curve": np.ones(2, np.float32)})
    client.result_of(job)
    client.send(Submit(job, "double", {}))
    assert client.receive() == Accepted(job, "double", "done", 0)
    assert client.result_of(job).arrays["curve"].tolist() == [2, 2]


def test_cancel_ends_a_running_job_before_it_is_through(
    server: RunningServer, client: BareClient
) -> None:
    worker = server.server.dispatcher.worker_pid
    job = client.submit("wait")
    client.until(lambda message: isinstance(message, Progress) and message.stage == "waiting")
    client.send(Cancel(job))
    failed = client.error_of(job)
    assert failed.kind is ErrorKind.CANCELLED and failed.about == "job"
    client.result_of(client.submit("double"))
    assert server.server.dispatcher.worker_pid == worker, "it was not broken off by itself"


def test_cancel_is_reported_although_the_job_does_not_listen(
    server: RunningServer, client: BareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = server.server.dispatcher.worker_pid
    job = client.submit("wait", deaf=True)
    client.until(lambda message: isinstance(message, Progress) and message.stage == "waiting")
    client.send(Cancel(job))
    assert client.error_of(job).kind is ErrorKind.CANCELLED
    assert server.server.dispatcher.worker_pid == worker, "reported before the worker is replaced"
    monkeypatch.setattr(dispatch, "KILL_SECONDS", 0.0)
    client.result_of(client.submit("double"))
    assert server.server.dispatcher.worker_pid != worker


def test_cancel_takes_a_waiting_job_out_of_the_queue(client: BareClient) -> None:
    running = client.submit("wait")
    waiting = client.submit("wait")
    client.until(lambda message: isinstance(message, Progress) and message.job == waiting)
    client.send(Cancel(waiting))
    assert client.error_of(waiting).kind is ErrorKind.CANCELLED
    client.send(Cancel(running))
    client.error_of(running)


def test_cancel_of_a_job_that_has_ended_changes_nothing(client: BareClient) -> None:
    job = client.submit("double")
    client.result_of(job)
    client.send(Cancel(job))
    client.send(Ping(1))
    assert client.receive() == Pong(1)
    client.send(Attach(job))
    client.result_of(job)


def test_two_clients_take_turns(connect: Connect, tmp_path: Path) -> None:
    many, few = connect("many"), connect("few")
    few.hello()
    released = tmp_path / "released"
    blocker = many.submit("wait", until=str(released))
    jobs = [many.submit("double") for _ in range(4)]
    many.until(lambda message: isinstance(message, Accepted) and message.job == jobs[-1])
    mine = few.submit("double")
    few.wait_for(Accepted)
    released.touch()
    few.result_of(mine)
    heard = many.until(lambda message: has_ended(message, jobs[-1]))
    ended = [message.job for message in heard if isinstance(message, Done)]
    assert ended == [blocker, *jobs], "the jobs of one client keep their order"


def test_a_client_with_few_jobs_does_not_wait_for_all_of_another(connect: Connect) -> None:
    many, few = connect("many"), connect("few")
    blocker = many.submit("wait")
    jobs = [many.submit("wait") for _ in range(3)]
    accepted = many.until(lambda message: getattr(message, "job", "") == jobs[-1])[-1]
    assert accepted == Accepted(jobs[-1], "wait", "queued", 3)
    mine = few.submit("double")
    assert few.wait_for(Accepted).position == 2, "after one waiting job of the other, not all"
    for job in (blocker, *jobs):
        many.send(Cancel(job))
    few.result_of(mine)
    many.drain_cancelled(4)


def test_too_many_jobs_of_one_client_are_refused(connect: Connect) -> None:
    client = connect("greedy")
    jobs = [client.submit("wait") for _ in range(JOBS_PER_CLIENT + 1)]
    failed = client.error_of(jobs[-1])
    assert failed.kind is ErrorKind.BUSY and failed.about == "submit"
    for job in jobs[:-1]:
        client.send(Cancel(job))
    client.drain_cancelled(JOBS_PER_CLIENT)


def test_jobs_of_another_client_are_unknown(connect: Connect) -> None:
    anna, berta = connect("anna"), connect("berta")
    job = anna.submit("double")
    anna.result_of(job)
    assert job not in [known["job"] for known in berta.hello().jobs]
    for message in (Attach(job), Cancel(job), Forget(job), Submit(job, "double")):
        berta.send(message)
        failed = berta.receive()
        assert isinstance(failed, Failed)
        assert (failed.kind, failed.about) == (ErrorKind.UNKNOWN_JOB, message.TYPE)
    anna.send(Attach(job))
    anna.result_of(job)


def test_a_client_that_is_silent_for_long_still_hears_and_one_that_has_gone_is_forgotten(
    server: RunningServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reception, "PROBE_SECONDS", 0.05)
    silent, gone = connect("anna"), connect("berta")
    gone.hello()
    gone.close()
    released = tmp_path / "released"
    job = silent.submit("wait", until=str(released), name="still there")
    silent.wait_for(Pong)  # it was probed

    def names() -> set[str]:
        return {client.name for client in list(server.server._reception._clients.values())}

    wait_until(lambda: "berta" not in names())
    assert "anna" in names()
    released.touch()
    assert silent.result_of(job).info == {"name": "still there"}


def test_kinds_for_later_are_refused_with_a_sentence(client: BareClient) -> None:
    for kind in ("render", "transfer"):
        failed = client.error_of(client.submit(kind))
        assert failed.kind is ErrorKind.BAD_REQUEST
        assert "not available in this version" in failed.sentence


def test_a_job_without_its_upload_is_refused(client: BareClient) -> None:
    failed = client.error_of(client.submit("measure", file="0" * 64))
    assert (failed.kind, failed.about) == (ErrorKind.UNKNOWN_UPLOAD, "submit")
    assert failed.next_step


def test_key_files_are_private(server: RunningServer) -> None:
    server.client_keys("anna")
    folder = server.folder / "keys"
    modes = {path.name: path.stat().st_mode & 0o777 for path in Path(folder).iterdir()}
    assert set(modes.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
