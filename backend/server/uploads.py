# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that clients send: written to disk as they come, kept under the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import UInt8

from backend.server.folders import as_disk_error, disk_full, private_folder
from backend.server.job_store import JobStore
from shared.errors import ErrorKind, VividKeysError
from shared.limits import UPLOAD_BYTES, UPLOAD_CHUNK_BYTES, UPLOADS_PER_CLIENT
from shared.messages import Have, Need, Upload

KEPT_SECONDS = 7 * 24 * 3600.0
"""An upload that no unfinished job needs is deleted when it has not been used for this long."""
ABANDONED_SECONDS = 600.0
"""An unfinished upload is deleted when nothing more has arrived for this long."""
LEFT_SECONDS = 5.0
"""One that has been idle for this long is dropped when its client begins too many."""
_RESERVE_BYTES = 64 << 20


@dataclass
class _Partial:
    """An unfinished upload."""

    path: Path
    size: int
    stream: IO[bytes]
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    touched: float = field(default_factory=time.monotonic)


class UploadStore:
    """The uploaded files of all clients; `quota_bytes` bounds uploads and results together."""

    def __init__(self, folder: Path, jobs: JobStore, quota_bytes: int) -> None:
        self._folder = private_folder(folder / "uploads")
        self._partial_folder = private_folder(folder / "unfinished")
        self._jobs = jobs
        self._quota_bytes = quota_bytes
        self._partials: dict[tuple[str, str], _Partial] = {}

    def path(self, sha256: str) -> Path:
        """The file of a finished upload. Raises VividKeysError(unknown_upload)."""
        path = self._folder / sha256
        if not path.is_file():
            raise VividKeysError(
                ErrorKind.UNKNOWN_UPLOAD,
                "The backend does not have the file that this job needs.",
                "Send the job again; the file is sent with it.",
            )
        return path

    def receive(self, client: str, message: Upload) -> Have | Need:
        """Handle a question or a piece, and answer what is needed next.

        Raises VividKeysError(too_large, busy, bad_request, bad_array, disk_full).
        """
        sha256 = message.sha256
        if (self._folder / sha256).is_file():
            self._drop(client, sha256)
            self._jobs.touch_upload(sha256)
            return Have(sha256)
        if message.size > UPLOAD_BYTES:
            raise VividKeysError(
                ErrorKind.TOO_LARGE,
                f"A file may have {UPLOAD_BYTES:,} bytes; this one has {message.size:,}.",
                "Export only its sound, or cut it into parts.",
            )
        partial = self._partial(client, message)
        if message.arrays:
            try:
                self._append(partial, message)
            except BaseException:
                self._drop(client, sha256)
                raise
        if partial.received < partial.size:
            return Need(sha256, partial.received)
        self._finish(client, sha256, partial)
        return Have(sha256)

    def forget(self, sha256: str) -> None:
        """Delete a finished upload."""
        (self._folder / sha256).unlink(missing_ok=True)
        self._jobs.remove_upload(sha256)

    def make_room(self, size: int, what: str, written: int = 0) -> None:
        """Ensure that `size` bytes fit, deleting old uploads. Raises VividKeysError(disk_full).

        Another `written` bytes are on the disk already and count towards the quota only.
        """
        excess = self._jobs.bytes_on_disk() + size + written - self._quota_bytes
        if excess > 0:
            for sha256, freed in self._jobs.idle_uploads(time.time()):
                self.forget(sha256)
                excess -= freed
                if excess <= 0:
                    break
        if excess > 0 or shutil.disk_usage(self._folder).free < size + _RESERVE_BYTES:
            raise disk_full(what)

    def tidy(self) -> None:
        """Delete abandoned unfinished uploads, and finished ones not used for days."""
        now = time.monotonic()
        for (client, sha256), partial in list(self._partials.items()):
            if now - partial.touched > ABANDONED_SECONDS:
                self._drop(client, sha256)
        for sha256, _size in self._jobs.idle_uploads(time.time() - KEPT_SECONDS):
            self.forget(sha256)
        # Partial files of a server that died; its hash state is gone with it.
        for path in self._partial_folder.glob("*.tmp"):
            if time.time() - path.stat().st_mtime > 2 * ABANDONED_SECONDS:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        for client, sha256 in list(self._partials):
            self._drop(client, sha256)

    def _partial(self, client: str, message: Upload) -> _Partial:
        key = (client, message.sha256)
        partial = self._partials.get(key)
        if partial is not None and partial.size != message.size:
            self._drop(client, message.sha256)
            partial = None
        if partial is None:
            if not self._has_place_for(client):
                raise VividKeysError(
                    ErrorKind.BUSY,
                    f"This client is already sending {UPLOADS_PER_CLIENT} files.",
                    "Wait until one of them has arrived.",
                )
            self.make_room(message.size, "an uploaded file")
            partial = self._partials[key] = self._begin(message)
        partial.touched = time.monotonic()
        return partial

    def _has_place_for(self, client: str) -> bool:
        """Whether a client may begin another upload; an idle one of its own is dropped."""
        begun = [key for key in self._partials if key[0] == client]
        if len(begun) < UPLOADS_PER_CLIENT:
            return True
        oldest = min(begun, key=lambda key: self._partials[key].touched)
        if time.monotonic() - self._partials[oldest].touched < LEFT_SECONDS:
            return False
        self._drop(*oldest)
        return True

    def _begin(self, message: Upload) -> _Partial:
        path = self._partial_folder / f"{message.sha256}-{time.monotonic_ns()}.tmp"
        try:
            stream = path.open("xb")
        except OSError as error:
            raise as_disk_error(error, "An uploaded file") from error
        return _Partial(path, message.size, stream)

    def _append(self, partial: _Partial, message: Upload) -> None:
        data = _bytes_of(message)
        if message.offset != partial.received:
            if message.offset + len(data) <= partial.received:
                return  # a piece that was sent again after the connection broke
            raise _bad(
                f"A piece at {message.offset:,} arrived where {partial.received:,} was needed."
            )
        if partial.received + len(data) > partial.size:
            raise _bad("A file is longer than was announced.")
        try:
            partial.stream.write(data.data)
        except OSError as error:
            raise as_disk_error(error, "An uploaded file") from error
        partial.digest.update(data.data)
        partial.received += len(data)

    def _finish(self, client: str, sha256: str, partial: _Partial) -> None:
        if partial.digest.hexdigest() != sha256:
            self._drop(client, sha256)
            raise _bad("A file changed while it was being sent.")
        try:
            partial.stream.close()
            partial.path.replace(self._folder / sha256)
            self._jobs.add_upload(sha256, partial.size)
        except OSError as error:
            raise as_disk_error(error, "An uploaded file") from error
        finally:
            self._drop(client, sha256)

    def _drop(self, client: str, sha256: str) -> None:
        partial = self._partials.pop((client, sha256), None)
        if partial is not None:
            # What is still buffered may not fit on the disk; the file is deleted anyway.
            with suppress(OSError):
                partial.stream.close()
            partial.path.unlink(missing_ok=True)


def _bytes_of(message: Upload) -> UInt8[np.ndarray, " N"]:
    data = message.arrays.get("data")
    if data is None or len(message.arrays) != 1 or data.dtype != np.uint8 or data.ndim != 1:
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, "A piece of a file is one array 'data' of bytes.", ""
        )
    if not 0 < len(data) <= UPLOAD_CHUNK_BYTES:
        raise VividKeysError(
            ErrorKind.TOO_LARGE,
            f"A piece of a file has 1 to {UPLOAD_CHUNK_BYTES:,} bytes, not {len(data):,}.",
            "Send smaller pieces.",
        )
    return data


def _bad(sentence: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_REQUEST, sentence, "Wait until no program writes to it, then send it again."
    )
