# SPDX-License-Identifier: GPL-3.0-or-later
"""A file under a temporary name beside its target, renamed only once it is finished."""

from __future__ import annotations

import io
import os
import secrets
from contextlib import suppress
from pathlib import Path

from shared.errors import ErrorKind, VividKeysError


def temporary_beside(path: Path) -> Path:
    """An unused name in the same folder; hidden, with the same suffix."""
    return path.with_name(f".{path.stem}.partial-{secrets.token_hex(4)}{path.suffix}")


def free_name_beside(path: Path, word: str) -> Path:
    """`NAME.word.suffix`, or the first of `NAME.word-2.suffix`, ... that is not in use."""
    for number in range(1, 10_000):
        suffix = f"-{number}" if number > 1 else ""
        candidate = path.with_name(f"{path.stem}.{word}{suffix}{path.suffix}")
        if not os.path.lexists(candidate):
            return candidate
    return path.with_name(f"{path.stem}.{word}-{secrets.token_hex(4)}{path.suffix}")


class PartialFile:
    """The file object that FFmpeg writes to: unbuffered, and it records why a write failed.

    After the first failure, or `ignore_writes`, further writes are silently dropped, so that
    FFmpeg can be closed without a second error; what was written before is kept.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder and the file. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # FFmpeg opens this name for reading when it moves the index to the front. In a relative
        # name it would read anything before a colon as a protocol.
        self.name = str(path.absolute())
        self.refusal: OSError | None = None
        self._file = io.FileIO(path, "x+")
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
        """Drop all further writes."""
        self._dropping = True

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes. Raises OSError."""
        self._file.truncate(size)

    def append(self, data: bytes) -> None:
        """Write `data` at the end. Raises OSError."""
        self._file.seek(0, os.SEEK_END)
        self.write(data)

    def take_place_of(self, target: Path) -> None:
        """Flush to disk and rename to `target`. Raises OSError or VividKeysError."""
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            self.path.replace(target)
        except PermissionError as error:
            # Another program (on Windows, a player) holds the old file: keep the new one.
            kept = free_name_beside(target, "new")
            self.path.replace(kept)
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"'{target.name}' could not be replaced; another program may have it open. "
                f"The finished video is '{kept.name}'.",
                "Close the other program, or use the new file.",
            ) from error

    def remove(self) -> None:
        """Close and delete it; never raises."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
