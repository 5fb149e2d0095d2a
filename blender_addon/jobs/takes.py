# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes on disk, in the user's folder: what was computed is never lost. No bpy.

An Action of ours names its Take by an id, so that the raw performance can be applied again with
another mapping or frame rate, or exported, also after Blender was started again.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from ..contracts import errors, take

_TAKE_ID = re.compile(r"[0-9a-f]{32}")


def keep_take(performance: take.Take, folder: Path) -> str:
    """Save the Take and return its new id. Raises VividKeysError(disk_full or bad_file)."""
    take_id = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    take.save_take(performance, take_file(folder, take_id))
    return take_id


def take_file(folder: Path, take_id: str) -> Path:
    """The file of a Take id; raises VividKeysError(bad_file) for anything but an id."""
    if not isinstance(take_id, str) or not _TAKE_ID.fullmatch(take_id):
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            "This performance does not say which Take it was made from.",
            "Animate again.",
        )
    return folder / f"{take_id}.take.npz"


def kept_take(folder: Path, take_id: str) -> take.Take:
    """Load a kept Take. Raises VividKeysError(bad_file) when it is not on this computer."""
    path = take_file(folder, take_id)
    if not path.is_file():
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            "The Take of this performance is not on this computer.",
            "Animate again, or export on the computer where it was made.",
        )
    return take.load_take(path)
