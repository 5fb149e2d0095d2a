# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload of a file to the backend: hash it, send it in pieces, resume. No bpy, no sockets.

Everything is done in small steps, because hashing a 2 GB film takes seconds and the same thread
also has to answer the backend.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..contracts import errors, limits, messages

UploadSource = Path | bytes

_HASH_STEP = 4 << 20


class Transfer:
    """One source of bytes. Raises VividKeysError(bad_file or too_large) when it cannot be read."""

    def __init__(self, source: UploadSource) -> None:
        self.label = "data" if isinstance(source, bytes) else source.name
        self.sha256 = ""
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._sent = 0
        self._acknowledged = 0
        self._stream, self.size = _open(source)

    @property
    def is_hashed(self) -> bool:
        return bool(self.sha256)

    @property
    def fraction(self) -> float:
        """The fraction that the backend has, 0..1."""
        return self._acknowledged / self.size if self.size else 1.0

    def hash_step(self) -> None:
        """Hash the next piece; after the last one `sha256` is set."""
        piece = self._read(self._hashed, _HASH_STEP)
        self._digest.update(piece)
        self._hashed += len(piece)
        if self._hashed >= self.size:
            self.sha256 = self._digest.hexdigest()
        elif not piece:
            raise _changed(self.label)

    def question(self) -> messages.Upload:
        """The message that asks whether the backend has these bytes; also resumes after a break."""
        return messages.Upload(sha256=self.sha256, size=self.size)

    def needed_from(self, offset: int) -> None:
        """Note that the backend has all before `offset`. Raises VividKeysError(bad_request)."""
        if offset > self.size:
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_REQUEST,
                f"The backend asks for more of '{self.label}' than there is.",
                "Install the add-on and the backend from the same release.",
            )
        if offset < self._acknowledged or offset > self._sent:
            self._sent = offset  # it starts over, or it has more than was sent in this connection
        self._acknowledged = offset

    def pieces(self) -> Iterator[messages.Upload]:
        """The pieces that may be sent now: at most a window ahead of what was acknowledged."""
        window = limits.UPLOAD_WINDOW * limits.UPLOAD_CHUNK_BYTES
        while self._sent < self.size and self._sent - self._acknowledged < window:
            piece = self._read(self._sent, limits.UPLOAD_CHUNK_BYTES)
            if not piece:
                raise _changed(self.label)
            offset, self._sent = self._sent, self._sent + len(piece)
            data = {"data": np.frombuffer(piece, np.uint8)}
            yield messages.Upload(self.sha256, self.size, offset, data)

    def close(self) -> None:
        self._stream.close()

    def _read(self, offset: int, count: int) -> bytes:
        try:
            self._stream.seek(offset)
            return self._stream.read(min(count, self.size - offset))
        except OSError as error:
            raise _unreadable(self.label, error) from error


def _open(source: UploadSource) -> tuple[BinaryIO, int]:
    if isinstance(source, bytes):
        stream: BinaryIO = io.BytesIO(source)
        label, size = "The data", len(source)
    else:
        label = f"'{source.name}'"
        try:
            if not source.is_file():
                raise errors.VividKeysError(
                    errors.ErrorKind.BAD_FILE,
                    f"There is no file '{source}'.",
                    "Check the path, or choose the file again.",
                )
            stream = source.open("rb")
            size = stream.seek(0, io.SEEK_END)
        except (OSError, ValueError) as error:
            raise _unreadable(source.name, error) from error
    if size > limits.UPLOAD_BYTES:
        stream.close()
        raise errors.VividKeysError(
            errors.ErrorKind.TOO_LARGE,
            f"{label} has {size / 1e9:.1f} GB; "
            f"at most {limits.UPLOAD_BYTES / 1e9:.1f} GB can be sent.",
            "Export only its sound, or cut it into parts.",
        )
    return stream, size


def _unreadable(label: str, error: Exception) -> errors.VividKeysError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return errors.VividKeysError(
        errors.ErrorKind.BAD_FILE,
        f"'{label}' cannot be read: {reason}.",
        "Check the file's permissions and the disk that it is on.",
    )


def _changed(label: str) -> errors.VividKeysError:
    return errors.VividKeysError(
        errors.ErrorKind.BAD_FILE,
        f"'{label}' became shorter while it was being sent.",
        "Wait until no program is writing to it, then try again.",
    )
