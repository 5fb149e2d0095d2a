# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Session tells the main thread, and what the main thread tells the session's thread."""

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
    """Of the connection, not of a job."""

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
    """The job is done and its result has a file, which is being fetched now."""

    job: str


@dataclass(frozen=True)
class FileReceived:
    """The file of a result is here; the job's `Done` follows."""

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
    address: str
    keys: connection.ClientKeys
    patience: float
    serial: int


@dataclass(frozen=True)
class CloseLink:
    sentence: str


@dataclass(frozen=True)
class GiveUp:
    sentence: str
    next_step: str


@dataclass(frozen=True)
class SubmitJob:
    job: str
    kind: str
    params: dict[str, Any]
    arrays: array_contracts.Arrays
    uploads: Mapping[str, UploadSource]
    label: str
    files_to: Path | None = None


@dataclass(frozen=True)
class AttachJob:
    job: str
    files_to: Path | None = None


@dataclass(frozen=True)
class CancelJob:
    job: str


@dataclass(frozen=True)
class ForgetJob:
    job: str
    with_uploads: bool


@dataclass(frozen=True)
class StopLink:
    pass


Command = OpenLink | CloseLink | GiveUp | SubmitJob | AttachJob | CancelJob | ForgetJob | StopLink
