# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, in a form a person can act on: a kind, a sentence, a next step."""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """Every kind of error that either process reports; `docs/PROTOCOL.md` lists them."""

    BAD_AUDIO = "bad_audio"
    BAD_IMAGE = "bad_image"
    NO_FACE = "no_face"
    BAD_FILE = "bad_file"
    BAD_TARGET = "bad_target"
    MOUTH_CLOSED = "mouth_closed"
    BAD_REQUEST = "bad_request"
    BAD_ARRAY = "bad_array"
    TOO_LARGE = "too_large"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_JOB = "unknown_job"
    UNKNOWN_UPLOAD = "unknown_upload"
    NOT_AUTHORISED = "not_authorised"
    BUSY = "busy"
    CANCELLED = "cancelled"
    BACKEND_LOST = "backend_lost"
    OFFLINE = "offline"
    DISK_FULL = "disk_full"
    MISSING_DEPENDENCY = "missing_dependency"
    INTERNAL = "internal"


def known_kind(word: str) -> ErrorKind:
    """The kind of this name; `internal` for one that only a later version knows.

    The sentence and the next step that come with it are still useful.
    """
    return ErrorKind(word) if word in _KNOWN else ErrorKind.INTERNAL


_KNOWN = frozenset(kind.value for kind in ErrorKind)


class VividKeysError(Exception):
    """An error that is shown to the user as it is.

    `sentence` says in plain words what happened, `next_step` what to do about it.
    """

    def __init__(self, kind: ErrorKind | str, sentence: str, next_step: str = "") -> None:
        super().__init__(sentence)
        self.kind = ErrorKind(kind)
        self.sentence = sentence
        self.next_step = next_step

    def __str__(self) -> str:
        return self.sentence

    def __reduce__(self) -> tuple[type[VividKeysError], tuple[ErrorKind, str, str]]:
        # Exceptions cross the worker's pipe; the default would lose the kind and the next step.
        return (VividKeysError, (self.kind, self.sentence, self.next_step))
