# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the add-on keeps the user's things: takes, logs, the list of unfinished jobs."""

from __future__ import annotations

from pathlib import Path

import bpy

PACKAGE = __package__ or "vividkeys"


def user_folder(part: str = "") -> Path:
    """A folder of ours that outlives updates of the extension; it is made when missing."""
    try:
        base = Path(bpy.utils.extension_path_user(PACKAGE, path="", create=True))
    except ValueError:
        # Not installed as an extension: a checkout in scripts/addons.
        base = Path(bpy.utils.user_resource("CONFIG", path="vividkeys", create=True))
    folder = base / part if part else base
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def takes_folder() -> Path:
    """Where performances are kept as Takes."""
    return user_folder("takes")


def received_folder() -> Path:
    """Where films are received until they are complete and have a place."""
    return user_folder("received")


def previews_folder() -> Path:
    """Where previews of films are kept for a while."""
    return user_folder("previews")


def film_folders() -> tuple[Path, ...]:
    """Where a finished film may go: beside the .blend if that is saved, else among the takes."""
    beside = (Path(bpy.data.filepath).parent / "vividkeys",) if bpy.data.filepath else ()
    return (*beside, takes_folder())


def log_folder() -> Path:
    """Where a local backend writes its log."""
    return user_folder("logs")


def unfinished_file() -> Path:
    """The list of jobs whose results were not fetched yet."""
    return user_folder() / "unfinished_jobs.json"
