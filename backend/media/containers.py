# SPDX-License-Identifier: GPL-3.0-or-later
"""Open an untrusted sound or film file.

FFmpeg also reads playlists, scripts and image sequences, which open further files and URLs. Here
only containers that hold their own sound and pictures are accepted, and the file that is read has
neither a name nor access to anything else.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import av
from av.container import InputContainer

CONTAINERS = frozenset(
    [
        "mov",
        "mp4",
        "m4a",
        "3gp",
        "3g2",
        "mj2",
        "matroska",
        "webm",
        "avi",
        "mpeg",
        "mpegts",
        "mpegvideo",
        "flv",
        "mxf",
        "asf",
        "wav",
        "w64",
        "aiff",
        "au",
        "caf",
        "flac",
        "mp3",
        "aac",
        "ogg",
        "amr",
        "ac3",
        "eac3",
        "dts",
        "wv",
        "ape",
        "tta",
        "voc",
    ]
)
"""FFmpeg's names of the accepted containers (asf is also WMA and WMV, matroska also MKV)."""

# Streams without a header, which cannot be detected: only if a caller asks for one.
_HEADLESS = frozenset({"g722", "g726", "g726le", "gsm", "alaw", "mulaw", "s16le", "sln"})
# FFmpeg has no protocol of this name, so a file cannot open another.
_NO_PROTOCOL = "none"


OpenFile = BinaryIO | io.BufferedIOBase
"""A binary file that can be read; at run time `io.BytesIO` is not a `BinaryIO`."""


class UnknownContainerError(ValueError):
    """Not an accepted container, or one too damaged to be opened."""


def open_container(source: OpenFile, only: str | None = None) -> InputContainer:
    """Open a container on an open file, which the caller has to close.

    `only` names the one container that is accepted. Raises UnknownContainerError.
    """
    if only is not None and only not in CONTAINERS | _HEADLESS:
        raise UnknownContainerError(f"'{only}' is not accepted")
    source.seek(0)
    options = {
        "format_whitelist": only or ",".join(sorted(CONTAINERS)),
        "protocol_whitelist": _NO_PROTOCOL,
    }
    try:
        container = av.open(
            Nameless(source),
            mode="r",
            format=only,
            options=options,
            # Titles in a legacy encoding are no reason to refuse a sound.
            metadata_errors="replace",
            io_open=_open_nothing,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnknownContainerError(str(error)) from error
    names = set(container.format.name.split(","))
    if not names & (CONTAINERS if only is None else {only}):
        container.close()
        raise UnknownContainerError(f"'{container.format.name}' is not accepted")
    return container


def _open_nothing(_url: str, _flags: int, _options: dict[str, str]) -> Any:
    """FFmpeg calls this when a container refers to another file or URL."""
    raise OSError("files that refer to other files are not read")


class Nameless:
    """A file without its name, from whose extension both decoders would guess the format."""

    def __init__(self, source: OpenFile) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def seekable(self) -> bool:
        return True

    def write(self, _data: bytes) -> int:
        raise OSError("read only")
