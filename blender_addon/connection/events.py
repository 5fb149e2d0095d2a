# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that a Session reports to the main thread, and commands to the session's thread."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import arrays as array_contracts
from ..contracts import connection, errors, messages
from .transfers import UploadSource


class SessionState(enum.StrEnum):
    """The state of the connection, not of a job."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


@dataclass(frozen=True)
class StateChanged:
    """The connection's state has changed; `serial` counts calls of `connect`.

    `kind` says why there is no connection: backend_lost, not_authorised or unknown_version.
    """

    state: SessionState
    sentence: str
    next_step: str
    serial: int = 0
    kind: errors.ErrorKind | None = None


@dataclass(frozen=True)
class ResultWaits:
    """The job is done, and the file of its result is now being fetched."""

    job: str


@dataclass(frozen=True)
class FileReceived:
    """The file of a result has arrived; the job's `Done` follows."""

    job: str
    path: Path


Event = (
    StateChanged
    | messages.Welcome
    | messages.Accepted
    | messages.Progress
    | messages.Chunk
    | messages.Done
    | messages.Failed
    | messages.Forgotten
    | ResultWaits
    | FileReceived
)


@dataclass(frozen=True)
class OpenLink:
    """Connect, and retry a lost connection; jobs fail after `patience` seconds without one."""

    address: str
    keys: connection.ClientKeys
    patience: float
    serial: int


@dataclass(frozen=True)
class CloseLink:
    """Disconnect, and report the state with this sentence."""

    sentence: str


@dataclass(frozen=True)
class GiveUp:
    """End the jobs under way with backend_lost."""

    sentence: str
    next_step: str


@dataclass(frozen=True)
class SubmitJob:
    """Send a job, after its uploads; see `Session.submit`."""

    job: str
    kind: str
    params: dict[str, Any]
    arrays: array_contracts.Arrays
    uploads: Mapping[str, UploadSource]
    label: str
    files_to: Path | None = None


@dataclass(frozen=True)
class AttachJob:
    """Receive the messages about a job that was sent earlier."""

    job: str
    files_to: Path | None = None


@dataclass(frozen=True)
class CancelJob:
    """Stop a job."""

    job: str


@dataclass(frozen=True)
class ForgetJob:
    """Let the backend delete a job's result."""

    job: str
    with_uploads: bool


@dataclass(frozen=True)
class StopLink:
    """End the thread."""


Command = OpenLink | CloseLink | GiveUp | SubmitJob | AttachJob | CancelJob | ForgetJob | StopLink
