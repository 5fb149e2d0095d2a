# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns errors of the disk into errors that the user sees."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ErrorKind, VividKeysError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_disk_error(error: OSError, path: Path, then: str = "save") -> VividKeysError:
    """An error while `path` was written, as disk_full or bad_file.

    `then` is the verb for what the user does again when there is room.
    """
    if error.errno in _FULL:
        return VividKeysError(
            ErrorKind.DISK_FULL,
            f"There is no room left on the disk for '{path.name}'.",
            f"Free some space or choose another folder, then {then} again.",
        )
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"'{path}' cannot be written: {error.strerror or error}.",
        "Choose a folder in which you may write.",
    )


@contextmanager
def told_of_the_disk(path: Path, then: str = "save") -> Iterator[None]:
    """Turns every OSError inside into disk_full or bad_file about `path`."""
    try:
        yield
    except OSError as error:
        raise as_disk_error(error, path, then) from error
