# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the protocol: one frozen dataclass each, every field with its check."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from . import checks
from .arrays import Arrays
from .checks import Check
from .errors import ErrorKind, VividKeysError, known_kind
from .limits import JOB_STATES, LISTED_JOBS, SENTENCE_CHARACTERS

_sentence = checks.text(SENTENCE_CHARACTERS)


def new_job_id() -> str:
    """A fresh id for a job; the client makes it, so that a lost answer loses nothing."""
    return uuid.uuid4().hex


def _state(value: object) -> str:
    if not isinstance(value, str) or value not in JOB_STATES:
        raise ValueError(f"must be one of {', '.join(JOB_STATES)}")
    return value


def _error_kind(value: object) -> ErrorKind:
    # A later backend may know more kinds; the message is still accepted.
    return known_kind(checks.word(value))


_described_things = checks.json_list(64, checks.json_object)


class Message:
    """What all messages have in common: a type, and arrays where `CARRIES_ARRAYS` is true."""

    TYPE: ClassVar[str] = ""
    CARRIES_ARRAYS: ClassVar[bool] = False


# --- client to server -----------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """The first message of a connection; answered by welcome."""

    TYPE: ClassVar[str] = "hello"
    program: Annotated[str, checks.text(100)] = ""


@dataclass(frozen=True, eq=False)
class Upload(Message):
    """Without arrays: does the server have this file? With the array `data`: bytes at `offset`."""

    TYPE: ClassVar[str] = "upload"
    CARRIES_ARRAYS: ClassVar[bool] = True
    sha256: Annotated[str, checks.sha256]
    size: Annotated[int, checks.integer(0, 2**53)]
    offset: Annotated[int, checks.integer(0, 2**53)] = 0
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Submit(Message):
    """Run a job. A job id that is already known only subscribes again."""

    TYPE: ClassVar[str] = "submit"
    CARRIES_ARRAYS: ClassVar[bool] = True
    job: Annotated[str, checks.job_id]
    kind: Annotated[str, checks.word]
    params: Annotated[dict[str, Any], checks.json_object] = field(default_factory=dict)
    label: Annotated[str, checks.text(200)] = ""
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Attach(Message):
    """Subscribe again to a job that waits, runs or has ended."""

    TYPE: ClassVar[str] = "attach"
    job: Annotated[str, checks.job_id]


@dataclass(frozen=True)
class Cancel(Message):
    """Stop a job; it ends as failed with the kind cancelled."""

    TYPE: ClassVar[str] = "cancel"
    job: Annotated[str, checks.job_id]


@dataclass(frozen=True)
class Forget(Message):
    """Delete a job and its result; with_uploads also deletes uploads that no other job uses."""

    TYPE: ClassVar[str] = "forget"
    job: Annotated[str, checks.job_id]
    with_uploads: Annotated[bool, checks.flag] = False


@dataclass(frozen=True)
class Fetch(Message):
    """Ask for the piece of a result's file that begins at `offset`; answered by piece."""

    TYPE: ClassVar[str] = "fetch"
    job: Annotated[str, checks.job_id]
    offset: Annotated[int, checks.integer(0, 2**53)] = 0


@dataclass(frozen=True)
class Ping(Message):
    """Are you there? Answered by pong with the same number."""

    TYPE: ClassVar[str] = "ping"
    number: Annotated[int, checks.integer(0, 2**53)] = 0


# --- server to client -----------------------------------------------------------------------


@dataclass(frozen=True)
class Welcome(Message):
    """Who the server is, what it can do, and which of this client's jobs it keeps."""

    TYPE: ClassVar[str] = "welcome"
    version: Annotated[int, checks.integer(0, 2**31)]
    backend: Annotated[str, checks.text(100)] = ""
    name: Annotated[str, checks.text(100)] = ""
    ready: Annotated[bool, checks.flag] = True
    kinds: Annotated[tuple[str, ...], checks.json_list(64, checks.word)] = ()
    models: Annotated[tuple[dict[str, Any], ...], _described_things] = ()
    devices: Annotated[tuple[dict[str, Any], ...], _described_things] = ()
    limits: Annotated[dict[str, Any], checks.json_object] = field(default_factory=dict)
    jobs: Annotated[
        tuple[dict[str, Any], ...], checks.json_list(LISTED_JOBS, checks.json_object)
    ] = ()


@dataclass(frozen=True)
class Have(Message):
    """The server has all of these bytes."""

    TYPE: ClassVar[str] = "have"
    sha256: Annotated[str, checks.sha256]


@dataclass(frozen=True)
class Need(Message):
    """The server has the bytes before `offset` and waits for the rest."""

    TYPE: ClassVar[str] = "need"
    sha256: Annotated[str, checks.sha256]
    offset: Annotated[int, checks.integer(0, 2**53)]


@dataclass(frozen=True)
class Accepted(Message):
    """The job is known and this client is subscribed to it; `position` jobs run before it."""

    TYPE: ClassVar[str] = "accepted"
    job: Annotated[str, checks.job_id]
    kind: Annotated[str, checks.word] = "unknown"
    state: Annotated[str, _state] = "queued"
    position: Annotated[int, checks.integer(0, 2**31)] = 0


@dataclass(frozen=True)
class Progress(Message):
    """How far a job has got: a stage, the fraction of it that is done, 0 to 1, and a sentence."""

    TYPE: ClassVar[str] = "progress"
    job: Annotated[str, checks.job_id]
    stage: Annotated[str, checks.word]
    fraction: Annotated[float, checks.number(0.0, 1.0)]
    sentence: Annotated[str, _sentence] = ""


@dataclass(frozen=True, eq=False)
class Chunk(Message):
    """A piece of the result while the job still runs; `done` holds the whole again."""

    TYPE: ClassVar[str] = "chunk"
    CARRIES_ARRAYS: ClassVar[bool] = True
    job: Annotated[str, checks.job_id]
    index: Annotated[int, checks.integer(0, 2**31)]
    info: Annotated[dict[str, Any], checks.json_object] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Done(Message):
    """The whole result. `kept` is false when it could not be saved on the server's disk.

    A result that has a file names its SHA-256 and size; the bytes are asked for with fetch.
    """

    TYPE: ClassVar[str] = "done"
    CARRIES_ARRAYS: ClassVar[bool] = True
    job: Annotated[str, checks.job_id]
    kind: Annotated[str, checks.word] = "unknown"
    info: Annotated[dict[str, Any], checks.json_object] = field(default_factory=dict)
    kept: Annotated[bool, checks.flag] = True
    arrays: Arrays = field(default_factory=dict)
    file_sha256: Annotated[str, checks.no_or_sha256] = ""
    file_size: Annotated[int, checks.integer(0, 2**53)] = 0


@dataclass(frozen=True, eq=False)
class Piece(Message):
    """Bytes of a result's file from `offset` on, in the array `data`."""

    TYPE: ClassVar[str] = "piece"
    CARRIES_ARRAYS: ClassVar[bool] = True
    job: Annotated[str, checks.job_id]
    offset: Annotated[int, checks.integer(0, 2**53)]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Forgotten(Message):
    """The job and its files are gone."""

    TYPE: ClassVar[str] = "forgotten"
    job: Annotated[str, checks.job_id]


@dataclass(frozen=True)
class Failed(Message):
    """Something did not work.

    `about` is "job" when the job itself has ended, "keep" when only saving its result failed, and
    otherwise the type of the message that is answered. `job` and `sha256` name what it concerns,
    where that is known.
    """

    TYPE: ClassVar[str] = "failed"
    kind: Annotated[ErrorKind, _error_kind]
    sentence: Annotated[str, _sentence]
    next_step: Annotated[str, _sentence] = ""
    about: Annotated[str, checks.text(32)] = ""
    job: Annotated[str, checks.no_or_job_id] = ""
    sha256: Annotated[str, checks.no_or_sha256] = ""

    @property
    def error(self) -> VividKeysError:
        return VividKeysError(self.kind, self.sentence, self.next_step)


@dataclass(frozen=True)
class Pong(Message):
    """I am here."""

    TYPE: ClassVar[str] = "pong"
    number: Annotated[int, checks.integer(0, 2**53)] = 0


FROM_CLIENT: tuple[type[Message], ...] = (
    Hello,
    Upload,
    Submit,
    Attach,
    Cancel,
    Fetch,
    Forget,
    Ping,
)
FROM_SERVER: tuple[type[Message], ...] = (
    Welcome,
    Have,
    Need,
    Accepted,
    Progress,
    Chunk,
    Done,
    Piece,
    Forgotten,
    Failed,
    Pong,
)


def _fields(message: type[Message]) -> dict[str, tuple[Check, bool]]:
    """The fields of a message's header: the check of each, and whether it is required."""
    hints = get_type_hints(message, include_extras=True)
    found: dict[str, tuple[Check, bool]] = {}
    for item in dataclasses.fields(message):  # type: ignore[arg-type]
        if item.name == "arrays":
            continue
        required = (
            item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        )
        found[item.name] = (get_args(hints[item.name])[1], required)
    return found


FIELDS: dict[str, dict[str, tuple[Check, bool]]] = {
    message.TYPE: _fields(message) for message in (*FROM_CLIENT, *FROM_SERVER)
}
"""By message type, then by field: the field's check, and whether the field is required."""
