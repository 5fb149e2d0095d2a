# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's jobs on disk: a table in SQLite, arrays in files beside it.

A result stays until its client forgets it, so that Blender may crash and ask again. The table
is used on the server's thread only; the files may be written and read on another one.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from backend.server.folders import as_disk_error, disk_full, private_folder, sync_to_disk
from backend.server.job_kinds import MadeFile
from backend.server.job_table import is_full, open_table
from shared.arrays import Arrays
from shared.disk_errors import told_of_the_disk
from shared.errors import ErrorKind, VividKeysError, known_kind
from shared.npz import load_npz
from shared.whole_files import written_whole


@dataclass(frozen=True)
class StoredJob:
    """A row of the table.

    `state` is one of shared.limits.JOB_STATES; `builds_on` are jobs whose results this one needs.
    """

    job: str
    owner: str
    instance: str
    kind: str
    label: str
    params: dict[str, Any]
    state: str
    created: float
    builds_on: tuple[str, ...]
    info: dict[str, Any]
    error: VividKeysError | None
    file_sha256: str = ""
    file_size: int = 0

    @property
    def has_ended(self) -> bool:
        return self.state in ("done", "failed")


class JobStore:
    """Jobs, their requests and results, and which upload each of them uses.

    Every method that writes may raise VividKeysError(disk_full).
    """

    def __init__(self, folder: Path) -> None:
        self._requests = private_folder(folder / "requests")
        self._results = private_folder(folder / "results")
        self._working = private_folder(folder / "working")
        self._path = folder / "jobs.sqlite3"
        self._table = open_table(self._path)

    def close(self) -> None:
        self._table.close()

    # --- jobs -------------------------------------------------------------------------------

    def add(
        self,
        job: str,
        owner: str,
        instance: str,
        kind: str,
        params: dict[str, Any],
        *,
        label: str = "",
        uploads: tuple[str, ...] = (),
        builds_on: tuple[str, ...] = (),
        arrays: Arrays | None = None,
    ) -> None:
        """Record a new job as queued, with the arrays of its request."""
        if arrays:
            _save_arrays(self.request_path(job), arrays)
        with self._writing("a new job") as table:
            table.execute(
                "INSERT INTO jobs"
                " (job, owner, instance, kind, label, params, state, created, builds_on)"
                " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                (
                    job,
                    owner,
                    instance,
                    kind,
                    label,
                    json.dumps(params),
                    time.time(),
                    json.dumps(builds_on),
                ),
            )
            table.executemany(
                "INSERT INTO job_uploads (job, sha256) VALUES (?, ?)",
                [(job, sha256) for sha256 in set(uploads)],
            )

    def get(self, job: str) -> StoredJob | None:
        row = self._table.execute("SELECT * FROM jobs WHERE job = ?", (job,)).fetchone()
        return None if row is None else _stored_job(row)

    def uploads_of(self, job: str) -> list[str]:
        """The uploads that a job uses, by their SHA-256."""
        rows = self._table.execute("SELECT sha256 FROM job_uploads WHERE job = ?", (job,))
        return [str(row["sha256"]) for row in rows]

    def of_owner(self, owner: str, most: int) -> list[StoredJob]:
        """At most `most` of a client's jobs, the newest first."""
        rows = self._table.execute(
            "SELECT * FROM jobs WHERE owner = ? ORDER BY created DESC, rowid DESC LIMIT ?",
            (owner, most),
        )
        return [_stored_job(row) for row in rows]

    def set_running(self, job: str) -> None:
        with self._writing("the state of a job") as table:
            table.execute("UPDATE jobs SET state = 'running' WHERE job = ?", (job,))

    def set_done(
        self, job: str, info: dict[str, Any], result_bytes: int, file: MadeFile | None = None
    ) -> None:
        sha256, size = ("", 0) if file is None else (file.sha256, file.size)
        with self._writing("the state of a job") as table:
            table.execute(
                "UPDATE jobs SET state = 'done', info = ?, result_bytes = ?, file_sha256 = ?,"
                " file_size = ? WHERE job = ?",
                (json.dumps(info), result_bytes, sha256, size, job),
            )
        self.request_path(job).unlink(missing_ok=True)
        self.clear_working_folder(job)

    def set_failed(self, job: str, error: VividKeysError) -> None:
        """Record a failure; the job keeps its row, for later questions, and loses its files."""
        self._delete_files(job)
        with self._writing("the state of a job") as table:
            table.execute(
                "UPDATE jobs SET state = 'failed', error_kind = ?, sentence = ?, next_step = ?,"
                " result_bytes = 0 WHERE job = ?",
                (error.kind.value, error.sentence, error.next_step, job),
            )

    def forget(self, job: str) -> list[str]:
        """Delete a job and its files; returns the uploads that no other job uses."""
        self._delete_files(job)
        alone = [
            str(row["sha256"])
            for row in self._table.execute(
                "SELECT sha256 FROM job_uploads AS mine WHERE job = ? AND NOT EXISTS"
                " (SELECT 1 FROM job_uploads WHERE sha256 = mine.sha256 AND job <> mine.job)",
                (job,),
            )
        ]
        with self._writing("the state of a job") as table:
            table.execute("DELETE FROM jobs WHERE job = ?", (job,))
        return alone

    def take_over(self, dead: list[str], instance: str) -> list[StoredJob]:
        """Take over the jobs of dead servers: waiting ones stay queued, running ones have failed.

        Returns the queued ones, oldest first.
        """
        taken: list[StoredJob] = []
        for name in dead:
            # The update locks the table, so two servers cannot take over the same job.
            with self._writing("the state of a job") as table:
                rows = table.execute(
                    "UPDATE jobs SET instance = ? WHERE instance = ?"
                    " AND state IN ('queued', 'running') RETURNING *",
                    (instance, name),
                ).fetchall()
            taken += map(_stored_job, rows)
        for job in taken:
            if job.state == "running":
                self.set_failed(job.job, _died_in_mid_job())
        return sorted((job for job in taken if job.state == "queued"), key=lambda job: job.created)

    def unfinished_instances(self) -> set[str]:
        """The servers that unfinished jobs belong to."""
        rows = self._table.execute(
            "SELECT DISTINCT instance FROM jobs WHERE state IN ('queued', 'running')"
        )
        return {str(row["instance"]) for row in rows}

    # --- files ------------------------------------------------------------------------------

    def request_path(self, job: str) -> Path:
        """The file of the arrays of a job's request."""
        return self._requests / f"{job}.npz"

    def result_path(self, job: str) -> Path:
        return self._results / f"{job}.npz"

    def file_path(self, job: str) -> Path:
        """The file that belongs to a result."""
        return self._results / f"{job}.file"

    def working_folder(self, job: str) -> Path:
        """Where a running job may write; created on the first write."""
        return self._working / job

    def clear_working_folder(self, job: str) -> None:
        """Delete the files that a job has written beside its result."""
        shutil.rmtree(self.working_folder(job), ignore_errors=True)

    def clear_working_folders(self) -> None:
        """Do so for all jobs that have ended: a file may have been in use when they did."""
        for folder in self._working.iterdir():
            job = self.get(folder.name)
            if job is None or job.has_ended:
                shutil.rmtree(folder, ignore_errors=True)

    def save_result(self, job: str, arrays: Arrays, file: MadeFile | None = None) -> int:
        """Write a result's arrays, move its file here, and return their bytes on disk.

        May run on another thread. Raises VividKeysError(disk_full or bad_file).
        """
        path = self.result_path(job)
        _save_arrays(path, arrays)
        size = path.stat().st_size
        if file is not None:
            try:
                file.path.replace(self.file_path(job))
            except OSError as error:
                raise as_disk_error(error, "The file of a result") from error
            size += file.size
        return size

    def read_file(self, job: str, offset: int, count: int) -> UInt8[np.ndarray, " N"]:
        """At most `count` bytes of a result's file; may run on another thread.

        Raises VividKeysError(bad_file).
        """
        try:
            with self.file_path(job).open("rb") as stream:
                stream.seek(offset)
                return np.frombuffer(stream.read(count), np.uint8)
        except OSError as error:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"The file of a kept result cannot be read: {error.strerror or error}.",
                "Run the job again.",
            ) from error

    def _delete_files(self, job: str) -> None:
        for path in (self.request_path(job), self.result_path(job), self.file_path(job)):
            path.unlink(missing_ok=True)
        self.clear_working_folder(job)

    def load_result(self, job: str) -> Arrays:
        """A result's arrays; may run on another thread. Raises VividKeysError(bad_file)."""
        return load_npz(self.result_path(job), "a kept result")

    # --- uploads ----------------------------------------------------------------------------

    def add_upload(self, sha256: str, size: int) -> None:
        with self._writing("an uploaded file") as table:
            table.execute(
                "INSERT OR REPLACE INTO uploads (sha256, size, used) VALUES (?, ?, ?)",
                (sha256, size, time.time()),
            )

    def touch_upload(self, sha256: str) -> None:
        with self._writing("an uploaded file") as table:
            table.execute("UPDATE uploads SET used = ? WHERE sha256 = ?", (time.time(), sha256))

    def remove_upload(self, sha256: str) -> None:
        with self._writing("an uploaded file") as table:
            table.execute("DELETE FROM uploads WHERE sha256 = ?", (sha256,))

    def idle_uploads(self, unused_since: float) -> list[tuple[str, int]]:
        """Uploads (SHA-256, size) that no unfinished job needs and that were not used since then.

        The least recently used ones come first.
        """
        rows = self._table.execute(
            "SELECT sha256, size FROM uploads WHERE used <= ? AND sha256 NOT IN"
            " (SELECT sha256 FROM job_uploads JOIN jobs USING (job)"
            "  WHERE state IN ('queued', 'running')) ORDER BY used",
            (unused_since,),
        )
        return [(str(row["sha256"]), int(row["size"])) for row in rows]

    def bytes_on_disk(self) -> int:
        """The bytes that uploads and results take together."""
        row = self._table.execute(
            "SELECT (SELECT COALESCE(SUM(size), 0) FROM uploads)"
            " + (SELECT COALESCE(SUM(result_bytes), 0) FROM jobs) AS total"
        ).fetchone()
        return int(row["total"])

    @contextmanager
    def _writing(self, what: str) -> Iterator[sqlite3.Connection]:
        try:
            with self._table:
                yield self._table
        except sqlite3.Error as error:
            if is_full(error):
                raise disk_full(what) from error
            raise VividKeysError(
                ErrorKind.INTERNAL,
                f"The backend's list of jobs cannot be written: {error}.",
                "Check the disk that holds the backend's data folder.",
            ) from error


def _stored_job(row: sqlite3.Row) -> StoredJob:
    error = None
    if row["state"] == "failed":
        kind = known_kind(row["error_kind"])  # a later version may have written it
        error = VividKeysError(kind, row["sentence"], row["next_step"])
    return StoredJob(
        job=row["job"],
        owner=row["owner"],
        instance=row["instance"],
        kind=row["kind"],
        label=row["label"],
        params=json.loads(row["params"]),
        state=row["state"],
        created=row["created"],
        builds_on=tuple(json.loads(row["builds_on"])),
        info=json.loads(row["info"]),
        error=error,
        file_sha256=row["file_sha256"],
        file_size=row["file_size"],
    )


def _save_arrays(path: Path, arrays: Arrays) -> None:
    # Not compressed: curves shrink little and an hour of them would take seconds.
    members: dict[str, Any] = dict(arrays)

    try:
        with (
            told_of_the_disk(path),
            written_whole(path, private=True) as temporary,
            temporary.open("wb") as stream,
        ):
            np.savez(stream, **members)
            sync_to_disk(stream)
    except VividKeysError as error:
        if error.kind is ErrorKind.DISK_FULL:
            raise disk_full("the arrays of a job") from error
        raise
    except OSError as error:
        raise as_disk_error(error, "The arrays of a job") from error


def _died_in_mid_job() -> VividKeysError:
    return VividKeysError(
        ErrorKind.BACKEND_LOST,
        "The backend was stopped while it worked on this job.",
        "Send the job again.",
    )
