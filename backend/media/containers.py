# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a sound or film file of which nothing is known.

FFmpeg also reads playlists, scripts and lists of pictures, which open further files and addresses.
Here only containers that hold their own sound and pictures are let in, and what is read has
neither a name nor a way to anything else.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import av
from av.container import InputContainer

CONTAINERS = frozenset(
    """
    mov mp4 m4a 3gp 3g2 mj2 matroska webm avi mpeg mpegts mpegvideo flv mxf asf
    wav w64 aiff au caf flac mp3 aac ogg amr ac3 eac3 dts wv ape tta voc
    """.split()
)
"""FFmpeg's names of what is let in (asf is also WMA and WMV, matroska also MKV)."""

# Streams without a head, which cannot be told by looking: only where a caller asks for one.
_HEADLESS = frozenset({"g722", "g726", "g726le", "gsm", "alaw", "mulaw", "s16le", "sln"})
# No protocol of FFmpeg is called so: nothing can be opened from within.
_NO_PROTOCOL = "none"


class UnknownContainerError(ValueError):
    """None of the containers that are let in, or one too damaged to be opened."""


def open_container(source: BinaryIO, only: str | None = None) -> InputContainer:
    """A container on an open file, which stays the caller's to close.

    `only` names the one container that it has to be. Raises UnknownContainerError.
    """
    if only is not None and only not in CONTAINERS | _HEADLESS:
        raise UnknownContainerError(f"'{only}' is not let in")
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
            # Titles in some old code page are no reason to refuse a sound.
            metadata_errors="replace",
            io_open=_open_nothing,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnknownContainerError(str(error)) from error
    names = set(container.format.name.split(","))
    if not names & (CONTAINERS if only is None else {only}):
        container.close()
        raise UnknownContainerError(f"'{container.format.name}' is not let in")
    return container


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> Any:
    """FFmpeg asks here when a container names another file or address."""
    raise OSError("a file that names other files is not read")


class Nameless:
    """A file without its name: both decoders would guess the format from the ending."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)

    def readinto(self, buffer: memoryview) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        raise OSError("read only")
