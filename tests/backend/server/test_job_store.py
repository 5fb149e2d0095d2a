# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept on disk, for how long, and what is said about a folder that cannot be used."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from backend.server import uploads as uploads_module
from backend.server.folders import InstanceLock
from backend.server.job_store import JobStore
from backend.server.turns import Turns
from backend.server.uploads import ABANDONED_SECONDS, KEPT_SECONDS, UploadStore
from shared.errors import ErrorKind, VividKeysError
from shared.messages import Have, Need, Upload
from tests.patience import PATIENCE

JOB, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path)


def upload(files: UploadStore, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    message = Upload(sha256, len(data), 0, {"data": np.frombuffer(data, np.uint8)})
    assert files.receive("anna", message) == Have(sha256)
    return sha256


def test_uploads_that_nobody_needs_are_deleted_after_days(store: JobStore, tmp_path: Path) -> None:
    files = UploadStore(tmp_path, store, 1 << 30)
    old, needed, young = (upload(files, name) for name in (b"old", b"needed", b"young"))
    store.add(JOB, "anna", "i", "animate", {}, uploads=(needed,))
    long_ago = time.time() - KEPT_SECONDS - 1
    table = sqlite3.connect(tmp_path / "jobs.sqlite3")
    with table:
        table.execute("UPDATE uploads SET used = ? WHERE sha256 <> ?", (long_ago, young))
    table.close()
    files.tidy()
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {needed, young}
    with pytest.raises(VividKeysError) as caught:
        files.path(old)
    assert caught.value.kind is ErrorKind.UNKNOWN_UPLOAD


def test_what_was_left_half_sent_is_deleted(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = UploadStore(tmp_path, store, 1 << 30)
    assert files.receive("anna", Upload("1" * 64, 10)) == Need("1" * 64, 0)
    crashed = tmp_path / "unfinished" / "of-a-server-that-crashed.tmp"
    crashed.write_bytes(b"half")
    files.tidy()
    assert len(list((tmp_path / "unfinished").iterdir())) == 2, "too early"
    os.utime(crashed, (0, 0))
    monkeypatch.setattr(uploads_module, "ABANDONED_SECONDS", -1.0)
    files.tidy()
    assert list((tmp_path / "unfinished").iterdir()) == []
    assert ABANDONED_SECONDS > 60


def test_a_client_that_left_many_uploads_may_begin_another(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "LEFT_SECONDS", PATIENCE)
    files = UploadStore(tmp_path, store, 1 << 30)
    for digit in "1234":
        files.receive("anna", Upload(digit * 64, 10))
    with pytest.raises(VividKeysError) as caught:
        files.receive("anna", Upload("5" * 64, 10))
    assert caught.value.kind is ErrorKind.BUSY
    assert files.receive("berta", Upload("5" * 64, 10)) == Need("5" * 64, 0)
    monkeypatch.setattr(uploads_module, "LEFT_SECONDS", 0.0)
    assert files.receive("anna", Upload("5" * 64, 10)) == Need("5" * 64, 0)


def test_jobs_of_a_server_that_died_are_taken_over_once(store: JobStore, tmp_path: Path) -> None:
    dead, first, second = (InstanceLock(tmp_path / "instances") for _ in range(3))
    store.add(JOB, "anna", dead.name, "animate", {"seed": 1})
    store.add(OTHER, "anna", dead.name, "animate", {})
    store.set_running(OTHER)
    assert first.dead(store.unfinished_instances()) == [], "it still lives"
    dead.release()
    found = first.dead(store.unfinished_instances())
    assert found == [dead.name]
    waiting = store.take_over(found, first.name)
    assert [(job.job, job.params) for job in waiting] == [(JOB, {"seed": 1})]
    lost = store.get(OTHER)
    assert lost is not None and lost.error is not None
    assert lost.error.kind is ErrorKind.BACKEND_LOST
    assert second.dead(store.unfinished_instances()) == []
    assert store.take_over(found, second.name) == []


def test_a_failed_job_keeps_its_sentence_and_loses_its_files(store: JobStore) -> None:
    store.add(JOB, "anna", "i", "animate", {}, arrays={"face.uvs": np.ones((2, 2), np.float32)})
    assert store.request_path(JOB).exists()
    store.set_failed(JOB, VividKeysError(ErrorKind.BAD_AUDIO, "No sound.", "Another."))
    job = store.get(JOB)
    assert job is not None and job.error is not None and job.has_ended
    assert (job.error.kind, job.error.next_step) == (ErrorKind.BAD_AUDIO, "Another.")
    assert not store.request_path(JOB).exists()


def test_a_kind_of_error_that_only_a_later_version_knows_keeps_its_sentence(
    store: JobStore, tmp_path: Path
) -> None:
    store.add(JOB, "anna", "i", "animate", {})
    store.set_failed(JOB, VividKeysError(ErrorKind.BAD_AUDIO, "No sound.", "Another."))
    with sqlite3.connect(tmp_path / "jobs.sqlite3") as table:
        table.execute("UPDATE jobs SET error_kind = 'of_tomorrow'")
    table.close()
    job = store.get(JOB)
    assert job is not None and job.error is not None
    assert (job.error.kind, job.error.sentence) == (ErrorKind.INTERNAL, "No sound.")


def test_a_list_of_jobs_by_a_newer_version_or_none_at_all_is_refused(tmp_path: Path) -> None:
    JobStore(tmp_path).close()
    table = sqlite3.connect(tmp_path / "jobs.sqlite3")
    table.execute("PRAGMA user_version = 99")
    table.close()
    with pytest.raises(VividKeysError) as caught:
        JobStore(tmp_path)
    assert "newer" in caught.value.sentence
    for path in tmp_path.glob("jobs.sqlite3*"):
        path.unlink()
    (tmp_path / "jobs.sqlite3").write_bytes(b"not a database " * 1000)
    with pytest.raises(VividKeysError) as caught:
        JobStore(tmp_path)
    assert caught.value.kind is ErrorKind.BAD_FILE and caught.value.next_step


def test_a_kept_result_that_was_damaged_is_an_error_of_its_own(store: JobStore) -> None:
    store.save_result(JOB, {"curve": np.arange(1000, dtype=np.float32)})
    assert store.load_result(JOB)["curve"][-1] == 999
    store.result_path(JOB).write_bytes(store.result_path(JOB).read_bytes()[:-300])
    with pytest.raises(VividKeysError) as caught:
        store.load_result(JOB)
    assert caught.value.kind is ErrorKind.BAD_FILE


def test_turns_go_round_the_clients_and_keep_each_ones_order() -> None:
    turns = Turns()
    for client, job in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1")]:
        turns.add(client, job)
    assert turns.order() == ["a1", "b1", "c1", "a2", "a3"]
    assert turns.take() == "a1"
    turns.add("b", "b2")
    assert turns.order() == ["b1", "c1", "a2", "b2", "a3"]
    assert turns.remove("c1") and not turns.remove("c1")
    taken = [turns.take() for _ in range(5)]
    assert taken == ["b1", "a2", "b2", "a3", None]
    assert len(turns) == 0
