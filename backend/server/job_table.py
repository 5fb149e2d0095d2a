# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a server's jobs: its columns, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from backend.server.folders import disk_full
from shared.errors import ErrorKind, VividKeysError

_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    instance TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    params TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    builds_on TEXT NOT NULL DEFAULT '[]',
    info TEXT NOT NULL DEFAULT '{}',
    error_kind TEXT NOT NULL DEFAULT '',
    sentence TEXT NOT NULL DEFAULT '',
    next_step TEXT NOT NULL DEFAULT '',
    result_bytes INTEGER NOT NULL DEFAULT 0,
    file_sha256 TEXT NOT NULL DEFAULT '',
    file_size INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, created);
CREATE TABLE IF NOT EXISTS uploads (
    sha256 TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    used REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS job_uploads (
    job TEXT NOT NULL REFERENCES jobs (job) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (job, sha256)
);
CREATE INDEX IF NOT EXISTS job_uploads_by_hash ON job_uploads (sha256);
"""
# The columns that a table of the first version lacks: results had no files.
_SINCE_FIRST = (
    "ALTER TABLE jobs ADD COLUMN file_sha256 TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN file_size INTEGER NOT NULL DEFAULT 0",
)


def open_table(path: Path) -> sqlite3.Connection:
    """Open the table, creating or upgrading it. Raises VividKeysError(bad_file, disk_full)."""
    try:
        table = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
        table.row_factory = sqlite3.Row
        table.execute("PRAGMA journal_mode = WAL")
        table.execute("PRAGMA synchronous = NORMAL")
        table.execute("PRAGMA foreign_keys = ON")
        version = int(table.execute("PRAGMA user_version").fetchone()[0])
        if version > _SCHEMA_VERSION:
            table.close()
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"The list of jobs '{path}' was made by a newer VividKeys.",
                "Install that version again, or choose another data folder.",
            )
        with table:
            table.executescript(_SCHEMA)
            for change in _SINCE_FIRST if version == 1 else ():
                table.execute(change)
            table.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise disk_full("the list of jobs") from error
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The list of jobs '{path}' cannot be used: {error}.",
            "Move it away; the backend then creates a new one.",
        ) from error
    return table


def is_full(error: sqlite3.Error) -> bool:
    """Whether SQLite failed because the disk is full."""
    # Errors that Python itself raises have no code.
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
