# SPDX-License-Identifier: GPL-3.0-or-later
"""Where installed heads are stored, and which names they may have."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

from shared.errors import ErrorKind, VividKeysError

# The head that is always there and is built for each photo.
OWN = "own"
SUFFIX = ".head.npz"
FOLDER_VARIABLE = "VIVIDKEYS_HEADS"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
# Names that Windows does not allow for files.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)


def heads_folder() -> Path:
    """The folder of the user's heads; the variable VIVIDKEYS_HEADS overrides it."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else user_data_path("VividKeys", appauthor=False) / "heads"


def head_path(name: str) -> Path:
    """The file of a head. Raises VividKeysError(bad_request) for an invalid name."""
    return heads_folder() / f"{checked_name(name)}{SUFFIX}"


def checked_name(name: str) -> str:
    """The name in lower case, checked to be a safe file name on every system."""
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"'{name[:60]}' cannot be the name of a head.",
            "Use up to 40 letters, digits, '-' and '_'.",
        )
    return name.lower()


def name_from(path: Path) -> str:
    """A name for a head that is read from this file or folder."""
    text = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem if path.is_file() else path.name)
    text = text.strip("-_")[:40] or "head"
    return f"{text}-head" if _RESERVED.fullmatch(text) or text.lower() == OWN else text
