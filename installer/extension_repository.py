# SPDX-License-Identifier: GPL-3.0-or-later
"""A static extension repository: the zips, and the index.json that Blender asks for updates.

The index is what Blender's own `extension server-generate` writes for these zips; it is written
here, so that neither Blender nor a server program is needed. Any web server can offer the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from . import extension_zip
from .extension_zip import Target
from .failure import SetupError
from .paths import ROOT, shown

INDEX = "index.json"
_FORMAT = "v1"


def _python_versions(target: Target) -> list[str]:
    """The Pythons that the zip's wheel is for: its stable ABI is that of every Python 3."""
    python = target.wheel.python
    return ["3"] if python.endswith("abi3") else [f"{python[2]}.{python[3:]}"]


def entry(target: Target, archive: Path, root: Path = ROOT) -> dict[str, Any]:
    """What the index says about one zip: its manifest, where it is, its size and its sha256.

    Raises SetupError on a Python without tomllib (3.10 and older).
    """
    try:
        import tomllib
    except ImportError as error:
        raise SetupError(
            "This Python is too old to write a repository.", "Run it with Python 3.11."
        ) from error
    described: dict[str, Any] = tomllib.loads(extension_zip.manifest(target, root))
    del described["wheels"]  # Blender reads them in the zip
    data = archive.read_bytes()
    return {
        **described,
        "python_versions": _python_versions(target),
        "archive_url": f"./{archive.name}",
        "archive_size": len(data),
        "archive_hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
    }


def write(folder: Path, targets: list[Target], root: Path = ROOT) -> list[Path]:
    """Builds the zips into the folder, then the index; the wheels have to be in the cache.

    Only this version is listed: Blender wants one zip for each system and Blender. Zips of earlier
    versions stay, for those who have just read the earlier index. Raises SetupError.
    """
    try:
        archives = [extension_zip.build(target, folder, root) for target in targets]
        index = {
            "version": _FORMAT,
            "blocklist": [],
            "data": [entry(target, archive, root) for target, archive in zip(targets, archives)],
        }
        temporary = folder / f".{INDEX}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(index, indent=2) + "\n", "utf-8")
        temporary.replace(folder / INDEX)
    except OSError as error:
        raise SetupError(
            f"The repository {shown(folder)} cannot be written: {error.strerror or error}.",
            "Name another folder with --repository.",
        ) from error
    return archives
