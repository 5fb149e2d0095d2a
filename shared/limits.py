# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol's version and every limit in it, in one place; all sizes in bytes."""

from __future__ import annotations

from .framing import FrameLimits

PROTOCOL_VERSION = 1
DEFAULT_PORT = 7761

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30

TO_SERVER = FrameLimits(
    header_bytes=MEBIBYTE, arrays=32, array_bytes=64 * MEBIBYTE, message_bytes=96 * MEBIBYTE
)
TO_CLIENT = FrameLimits(
    header_bytes=MEBIBYTE, arrays=32, array_bytes=512 * MEBIBYTE, message_bytes=GIBIBYTE
)

UPLOAD_BYTES = 2 * GIBIBYTE
UPLOAD_CHUNK_BYTES = MEBIBYTE
UPLOAD_WINDOW = 8
"""Chunks of one upload that may be on their way before the server has answered."""
UPLOADS_PER_CLIENT = 4
"""Unfinished uploads of one client."""
FILE_PIECE_BYTES = MEBIBYTE
"""A result's file comes in pieces of this size; the last one may be shorter."""
FILE_WINDOW = 8
"""Pieces of files that a client may have asked for and not yet received."""
JOBS_PER_CLIENT = 64
"""Jobs of one client that may wait or run at the same time."""
LISTED_JOBS = 500
"""Jobs that `welcome` lists at most, the newest first."""

PING_SECONDS = 1.0
"""A client that has nothing else to send pings this often."""
SILENCE_SECONDS = 4.0
"""A client that has received nothing for this long considers the backend lost."""
CANCEL_SECONDS = 0.2
"""A cancelled job is reported as cancelled within this time."""

JOB_STATES: tuple[str, ...] = ("queued", "running", "done", "failed")

SENTENCE_CHARACTERS = 2000


def limits_as_json() -> dict[str, int | float]:
    """The limits that `welcome` carries, by the names `docs/PROTOCOL.md` gives them."""
    return {
        "header_bytes": TO_SERVER.header_bytes,
        "arrays_per_message": TO_SERVER.arrays,
        "dimensions": TO_SERVER.dimensions,
        "array_bytes_to_server": TO_SERVER.array_bytes,
        "message_bytes_to_server": TO_SERVER.message_bytes,
        "array_bytes_to_client": TO_CLIENT.array_bytes,
        "message_bytes_to_client": TO_CLIENT.message_bytes,
        "upload_bytes": UPLOAD_BYTES,
        "upload_chunk_bytes": UPLOAD_CHUNK_BYTES,
        "upload_window": UPLOAD_WINDOW,
        "uploads_per_client": UPLOADS_PER_CLIENT,
        "file_piece_bytes": FILE_PIECE_BYTES,
        "file_window": FILE_WINDOW,
        "jobs_per_client": JOBS_PER_CLIENT,
        "listed_jobs": LISTED_JOBS,
        "sentence_characters": SENTENCE_CHARACTERS,
        "ping_seconds": PING_SECONDS,
        "silence_seconds": SILENCE_SECONDS,
        "cancel_seconds": CANCEL_SECONDS,
    }
