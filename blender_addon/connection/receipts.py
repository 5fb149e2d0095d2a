# SPDX-License-Identifier: GPL-3.0-or-later
"""Download of a result's file: request pieces, write them, check the whole. No bpy, no sockets.

A film may be larger than the memory, so every piece is written to the disk at once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..contracts import errors, limits, messages

_RESERVE_BYTES = 32 << 20
# Files that a crashed Blender has left in the folder are deleted after this time.
_LEFT_SECONDS = 7 * 24 * 3600.0
_PARTIAL, _WHOLE = ".part", ".received"


class Receipt:
    """One file, received into `folder`; `finish` checks it and returns its path.

    Raises VividKeysError(disk_full or bad_file) when it cannot be written.
    """

    def __init__(self, done: messages.Done, folder: Path) -> None:
        self.done = done
        self.received = 0
        self._asked = 0
        self._digest = hashlib.sha256()
        self._path = folder / f"{done.job}{_PARTIAL}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
            if shutil.disk_usage(folder).free < done.file_size + _RESERVE_BYTES:
                raise _disk_full(done.file_size)
            self._stream: BinaryIO = self._path.open("wb")
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def size(self) -> int:
        return self.done.file_size

    @property
    def is_complete(self) -> bool:
        return self.received == self.size

    def ask_again(self) -> None:
        """Ask for the missing pieces again: requests from before a break are not answered."""
        self._asked = self.received

    def questions(self) -> Iterator[messages.Fetch]:
        """The requests that may be sent now: at most a window ahead of what has arrived."""
        window = limits.FILE_WINDOW * limits.FILE_PIECE_BYTES
        while self._asked < self.size and self._asked - self.received < window:
            yield messages.Fetch(self.done.job, self._asked)
            self._asked += limits.FILE_PIECE_BYTES

    def take(self, piece: messages.Piece) -> None:
        """Append a piece, or ignore it if it is not the next: it was requested before a break."""
        data = piece.arrays.get("data")
        if data is None or data.dtype != np.uint8 or data.ndim != 1:
            raise _damaged()
        if piece.offset != self.received:
            return
        expected = min(limits.FILE_PIECE_BYTES, self.size - self.received)
        if len(data) != expected:
            raise _damaged()
        try:
            self._stream.write(data.data)
        except OSError as error:
            raise self._unwritable(error) from error
        self._digest.update(data.data)
        self.received += len(data)

    def finish(self) -> Path:
        """Check the file and return its path."""
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            if self._digest.hexdigest() != self.done.file_sha256:
                raise _damaged()
            whole = self._path.with_suffix(_WHOLE)
            self._path.replace(whole)
        except OSError as error:
            raise self._unwritable(error) from error
        return whole

    def close(self) -> None:
        """Delete what has arrived."""
        with contextlib.suppress(OSError):  # the buffered rest did not fit on the disk
            self._stream.close()
        with contextlib.suppress(OSError):  # `_tidy` will delete it
            self._path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> errors.VividKeysError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _disk_full(self.size)
        return errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            f"The film cannot be written to '{self._path.parent}': {error.strerror or error}.",
            "Check the folder's permissions, then press 'Fetch'; the backend keeps the film.",
        )


def _tidy(folder: Path) -> None:
    for path in folder.iterdir():
        is_ours = path.suffix in (_PARTIAL, _WHOLE)
        if is_ours and time.time() - path.stat().st_mtime > _LEFT_SECONDS:
            path.unlink(missing_ok=True)


def _disk_full(size: int) -> errors.VividKeysError:
    return errors.VividKeysError(
        errors.ErrorKind.DISK_FULL,
        f"There is no room on this computer's disk for the film ({size / 1e6:.0f} MB).",
        "Free some space, then press 'Fetch'; the backend keeps the film.",
    )


def _damaged() -> errors.VividKeysError:
    return errors.VividKeysError(
        errors.ErrorKind.BAD_FILE,
        "The film was damaged on its way from the backend.",
        "Press 'Fetch' to try again; the backend keeps the film.",
    )
