# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's folders, and the lock that shows which servers are alive."""

from __future__ import annotations

import errno
import os
import sys
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from platformdirs import user_data_path

from shared.errors import ErrorKind, VividKeysError


def default_data_folder() -> Path:
    """The user's own folder for VividKeys: keys, uploads and results."""
    return user_data_path("VividKeys", appauthor=False)


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can enter. Raises VividKeysError(bad_file, disk_full)."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if sys.platform != "win32":
            path.chmod(0o700)
    except OSError as error:
        raise as_disk_error(error, str(path)) from error
    return path


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_disk_error(error: OSError, what: str) -> VividKeysError:
    """An OSError from writing `what`, as the error a user sees."""
    if error.errno in _FULL:
        return disk_full(what)
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"{what} cannot be written: {error.strerror or error}.",
        "Check that the backend may write to its data folder.",
    )


def disk_full(what: str) -> VividKeysError:
    """The error for a disk, or a quota, that has no room for `what`."""
    return VividKeysError(
        ErrorKind.DISK_FULL,
        f"The backend's disk is full: there is no room for {what}.",
        "Free some space there, or let the backend forget old results, then try again.",
    )


class InstanceLock:
    """A file that stays locked as long as this server lives, however it ends.

    Several servers of one user (of two Blenders, say) share the data folder; a job belongs to the
    instance that accepted it, and another one takes it over only when that instance is dead.
    """

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._folder = private_folder(folder)
        self._file: IO[bytes] = (self._folder / f"{self.name}.lock").open("wb")
        if not _try_lock(self._file):
            raise RuntimeError("a new lock file is already locked")

    def dead(self, names: Iterable[str]) -> list[str]:
        """Which of these servers have ended: their lock file is unlocked or no longer exists."""
        found: list[str] = []
        for name in sorted(set(names) - {self.name}):
            path = self._folder / f"{name}.lock"
            try:
                with path.open("r+b") as file:
                    if not _try_lock(file):
                        continue
            except FileNotFoundError:
                pass
            except OSError:
                continue  # not readable now: it is better to wait than to run a job twice
            found.append(name)
            _remove_quietly(path)
        return found

    def release(self) -> None:
        self._file.close()
        _remove_quietly(self._folder / f"{self.name}.lock")


def _remove_quietly(path: Path) -> None:
    # Windows refuses while a virus scanner reads it; an unlocked file counts as dead anyway.
    with suppress(OSError):
        path.unlink(missing_ok=True)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def sync_to_disk(stream: IO[bytes]) -> None:
    """Flush a file to the disk, so that a full disk is noticed before success is reported."""
    stream.flush()
    os.fsync(stream.fileno())
