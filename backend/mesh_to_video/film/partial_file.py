# SPDX-License-Identifier: GPL-3.0-or-later
"""A file under a temporary name beside its place, which it takes only once it is finished."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import IO

from shared.errors import ErrorKind, VividKeysError


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that nothing has yet; hidden, with the same suffix."""
    return path.with_name(f".{path.stem}.partial-{secrets.token_hex(4)}{path.suffix}")


def free_name_beside(path: Path, word: str) -> Path:
    """`NAME.word.suffix`, or the first of `NAME.word-2.suffix`, ... that nothing has yet."""
    for number in range(1, 10_000):
        suffix = f"-{number}" if number > 1 else ""
        candidate = path.with_name(f"{path.stem}.{word}{suffix}{path.suffix}")
        if not os.path.lexists(candidate):
            return candidate
    return path.with_name(f"{path.stem}.{word}-{secrets.token_hex(4)}{path.suffix}")


class PartialFile:
    """The file object that FFmpeg writes to: unbuffered, and it remembers why the disk refused.

    After the first refusal, or `ignore_writes`, all that is written is dropped in silence, so
    that FFmpeg can be closed without a second error; what was written before stays as it is.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder and the file. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # FFmpeg opens this name for reading when it moves the index to the front. Of a name that
        # is not absolute it would take what is before a colon for a protocol.
        self.name = str(path.absolute())
        self.refusal: OSError | None = None
        self._file: IO[bytes] = open(path, "x+b", buffering=0)
        self._dropping = False

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        written = 0
        try:
            while written < len(view) and not self._dropping:
                written += self._file.write(view[written:])
        except OSError as error:
            self.refusal = error
            self._dropping = True
            raise
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def ignore_writes(self) -> None:
        """Drop whatever is still written."""
        self._dropping = True

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes. Raises OSError."""
        self._file.truncate(size)

    def append(self, data: bytes) -> None:
        """Write behind all that is there. Raises OSError."""
        self._file.seek(0, os.SEEK_END)
        self.write(data)

    def take_place_of(self, target: Path) -> None:
        """Hand all to the disk and rename to `target`. Raises OSError or VividKeysError."""
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            os.replace(self.path, target)
        except PermissionError as error:
            # Another program (on Windows, a player) holds the old file: keep the new one.
            kept = free_name_beside(target, "new")
            os.replace(self.path, kept)
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"'{target.name}' could not be replaced; another program may have it open. "
                f"The finished video is '{kept.name}'.",
                "Close the other program, or use the new file.",
            ) from error

    def remove(self) -> None:
        """Close and delete it; never raises."""
        try:
            self._file.close()
        except OSError:
            pass
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            pass
