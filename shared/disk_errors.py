# SPDX-License-Identifier: GPL-3.0-or-later
"""What the disk refuses, as the error that the user sees."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ErrorKind, VividKeysError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_disk_error(error: OSError, path: Path, then: str = "save") -> VividKeysError:
    """What went wrong while `path` was written: disk_full, or bad_file.

    `then` is what the user does again when there is room, a verb.
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
