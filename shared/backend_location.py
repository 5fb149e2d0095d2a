# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this user's backend is installed: `install.py` records it, the extension reads it.

Standard library only, and no newer Python than `install.py` itself needs, because the installer
runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from .whole_files import write_whole


class BackendLocation(NamedTuple):
    """The interpreter of the backend's environment, and where `python -m backend` is run."""

    python: Path
    folder: Path


def location_file() -> Path:
    """The file with the location, in the user's own folder for application data."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "VividKeys" / "backend.json"


def note_location(python: Path, folder: Path) -> None:
    """Record the location; the last backend that was set up is the one that is found."""
    note = {"python": str(python), "folder": str(folder)}
    write_whole(location_file(), json.dumps(note, indent=1))


def find_location() -> BackendLocation | None:
    """The recorded backend if it is still there, else None."""
    try:
        note = json.loads(location_file().read_text(encoding="utf-8"))
        found = BackendLocation(Path(note["python"]), Path(note["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = found.python.is_file() and (found.folder / "backend" / "__main__.py").is_file()
    return found if there else None
