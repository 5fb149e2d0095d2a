# SPDX-License-Identifier: GPL-3.0-or-later
"""Save films on the user's disk under free names, never over another file. No bpy."""

from __future__ import annotations

import errno
import itertools
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from ..contracts import errors, whole_files

PREVIEWS_KEPT_SECONDS = 30 * 24 * 3600.0
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_LONGEST_STEM = 80


def keep_film(received: Path, folders: Iterable[Path], stem: str, suffix: str) -> Path:
    """Move a film into the first folder that can be written to, under a name that is free there.

    Raises VividKeysError(bad_file or disk_full) when none can; then the film stays where it is.
    """
    problem: OSError | None = None
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _move(received, folder, _usable(stem), suffix)
        except OSError as error:
            problem = error
    reason = "there is no folder" if problem is None else problem.strerror or str(problem)
    is_full = problem is not None and problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    raise errors.VividKeysError(
        errors.ErrorKind.DISK_FULL if is_full else errors.ErrorKind.BAD_FILE,
        f"The video cannot be saved: {reason}.",
        "Free some space, or save the .blend into another folder; then press 'Fetch'.",
    )


def drop_old_previews(folder: Path) -> None:
    """Delete previews so old that no undo step and no open file still needs them."""
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if time.time() - path.stat().st_mtime > PREVIEWS_KEPT_SECONDS:
                path.unlink()
        except OSError:
            continue  # another program is using it


def _move(received: Path, folder: Path, stem: str, suffix: str) -> Path:
    target = _reserved(folder, stem, suffix)
    try:
        try:
            received.replace(target)
        except OSError:
            # Another disk: copy under a temporary name first, so that no half film is left.
            with whole_files.written_whole(target) as copy:
                shutil.copyfile(received, copy)
            received.unlink(missing_ok=True)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return target


def _reserved(folder: Path, stem: str, suffix: str) -> Path:
    """Create an empty file with the first free name: 'Voice.mp4', 'Voice 2.mp4', ..."""
    for number in itertools.count(1):
        name = f"{stem}{suffix}" if number == 1 else f"{stem} {number}{suffix}"
        try:
            with (folder / name).open("xb"):
                return folder / name
        except FileExistsError:
            continue
    raise AssertionError("numbers do not end")


def _usable(stem: str) -> str:
    """The stem without what some file system does not allow in a name."""
    return _NOT_IN_NAMES.sub("_", stem)[:_LONGEST_STEM].strip(" .") or "Video"
