# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodes and decodes the messages between the add-on and the backend, for both sides.

A message is a frozen dataclass (messages.py) within limits (limits.py); `encode` turns it into
frames (framing.py) and `decode_*` turns frames into a checked message. No sockets here.
`docs/PROTOCOL.md` is the specification and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from . import checks
from .arrays import Arrays
from .checks import Check
from .errors import ErrorKind, VividKeysError
from .framing import Frame, FrameLimits, decode_arrays, decode_header, encode_frames
from .limits import PROTOCOL_VERSION, SENTENCE_CHARACTERS, TO_CLIENT, TO_SERVER
from .messages import FIELDS, FROM_CLIENT, FROM_SERVER, Failed, Message

_FROM_CLIENT = {message.TYPE: message for message in FROM_CLIENT}
_FROM_SERVER = {message.TYPE: message for message in FROM_SERVER}
_MessageType = TypeVar("_MessageType", bound=Message)


def encode(message: Message) -> list[Frame]:
    """The frames of a message. Raises VividKeysError where it breaks a rule or a limit."""
    header: dict[str, Any] = {"v": PROTOCOL_VERSION, "type": message.TYPE}
    for name, (check, _required) in FIELDS[message.TYPE].items():
        header[name] = _passed(check, message.TYPE, name, getattr(message, name))
    limits = TO_SERVER if message.TYPE in _FROM_CLIENT else TO_CLIENT
    arrays: Arrays = getattr(message, "arrays", {}) if message.CARRIES_ARRAYS else {}
    return encode_frames(header, arrays, limits)


def decode_from_client(frames: Sequence[Frame]) -> Message:
    """The message that a client sent. Raises MessageError, which also names the type and job."""
    return _decode(frames, _FROM_CLIENT, TO_SERVER, other_side="add-on", this_side="backend")


def decode_from_server(frames: Sequence[Frame]) -> Message:
    """The message that the server sent. Raises MessageError."""
    return _decode(frames, _FROM_SERVER, TO_CLIENT, other_side="backend", this_side="add-on")


def unforeseen(about: str, job: str = "", sha256: str = "") -> MessageError:
    """The error for a message that the program itself failed on; the caller logs why."""
    error = VividKeysError(
        ErrorKind.INTERNAL,
        "Something went wrong with a message.",
        "Try again; if it happens again, report it with the log.",
    )
    return MessageError(error, about, job, sha256)


class MessageError(VividKeysError):
    """A message that cannot be used; `about`, `job` and `sha256` as in `Failed`, where known."""

    def __init__(self, error: VividKeysError, about: str, job: str, sha256: str) -> None:
        super().__init__(error.kind, error.sentence, error.next_step)
        self.about, self.job, self.sha256 = about, job, sha256

    def as_failed(self) -> Failed:
        """The message that tells the sender."""
        return Failed(
            kind=self.kind,
            sentence=checks.printable(self.sentence, SENTENCE_CHARACTERS),
            next_step=checks.printable(self.next_step, SENTENCE_CHARACTERS),
            about=self.about,
            job=self.job,
            sha256=self.sha256,
        )


def _decode(
    frames: Sequence[Frame],
    known: Mapping[str, type[Message]],
    limits: FrameLimits,
    *,
    other_side: str,
    this_side: str,
) -> Message:
    header: dict[str, Any] = {}
    try:
        if not frames:
            raise _bad("A message has no header.")
        header = decode_header(frames[0], limits)
        _check_version(header, other_side, this_side)
        kind = header.get("type")
        if not isinstance(kind, str) or kind not in known:
            raise _bad(f"There is no message of the type {str(kind)[:40]!r}.")
        return _message(known[kind], header, frames[1:], limits)
    except VividKeysError as error:
        raise MessageError(
            error,
            _known(checks.word, header.get("type")),
            _known(checks.job_id, header.get("job")),
            _known(checks.sha256, header.get("sha256")),
        ) from error


def _message(
    message: type[_MessageType],
    header: dict[str, Any],
    bodies: Sequence[Frame],
    limits: FrameLimits,
) -> _MessageType:
    values: dict[str, Any] = {}
    for name, (check, required) in FIELDS[message.TYPE].items():
        if name in header:
            values[name] = _passed(check, message.TYPE, name, header[name])
        elif required:
            raise _bad(f"The field '{name}' of a message '{message.TYPE}' is missing.")
    arrays = decode_arrays(header, bodies, limits)
    if message.CARRIES_ARRAYS:
        values["arrays"] = arrays
    elif arrays:
        raise _bad(f"A message '{message.TYPE}' carries no arrays.")
    return message(**values)


def _check_version(header: dict[str, Any], other_side: str, this_side: str) -> None:
    version = header.get("v")
    if type(version) is not int:  # in Python True is an int, in JSON it is not a number
        raise _bad("A message does not say which version of the protocol it speaks.")
    # The fields of `failed` never change, so that the sentence of any version can be shown.
    if version == PROTOCOL_VERSION or header.get("type") == Failed.TYPE:
        return
    raise VividKeysError(
        ErrorKind.UNKNOWN_VERSION,
        f"The {other_side} speaks version {str(version)[:20]} of the protocol, "
        f"this {this_side} version {PROTOCOL_VERSION}.",
        "Install the add-on and the backend from the same release.",
    )


def _passed(check: Check, message: str, name: str, value: object) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise _bad(f"The field '{name}' of a message '{message}' {error}.") from error


def _known(check: Check, value: object) -> str:
    try:
        return str(check(value))
    except ValueError:
        return ""


def _bad(sentence: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_REQUEST,
        sentence,
        "Install the add-on and the backend from the same release.",
    )
