# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's Blender that has a remote repository: installs from it, and later updates from it.

Started by test_repository.py as a process of its own with an empty user folder, because there an
extension of the same name must not be enabled twice. Reads commands from standard input, one a
line, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import bpy

MODULE = "hosted"
PACKAGE = f"bl_ext.{MODULE}.vividkeys"


def add(url: str) -> int:
    """The index of a new remote repository."""
    bpy.context.preferences.system.use_online_access = True
    repositories = bpy.context.preferences.extensions.repos
    repositories.new(name="Hosted", module=MODULE, remote_url=url)
    return [repository.module for repository in repositories].index(MODULE)


def state() -> dict[str, Any]:
    """What is installed, whether it runs, and what the code that runs says of itself."""
    import addon_utils  # only found once bpy was imported

    folder = Path(bpy.utils.user_resource("EXTENSIONS", path=MODULE)) / "vividkeys"
    manifest = folder / "blender_manifest.toml"
    running = sys.modules.get(f"{PACKAGE}.shared.version")
    return {
        "manifest": manifest.read_text("utf-8") if manifest.is_file() else "",
        "enabled": addon_utils.check(PACKAGE) == (True, True),
        "running": running.__version__ if running else "",
        "registered": hasattr(bpy.types.Scene, "vividkeys"),
    }


def main(url: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    index = add(url)
    for line in sys.stdin:
        try:
            if line.strip() == "install":
                bpy.ops.extensions.repo_sync(repo_index=index)
                bpy.ops.extensions.package_install(repo_index=index, pkg_id="vividkeys")
            elif line.strip() == "update":
                bpy.ops.extensions.repo_sync(repo_index=index)
                bpy.ops.extensions.package_upgrade_all()
            answer: dict[str, Any] = state()
        except RuntimeError as error:  # what an operator reports
            answer = {"error": str(error)}
        # Blender writes lines of its own to standard output.
        sys.stderr.write(f"@@{json.dumps(answer)}\n")
        sys.stderr.flush()
    os._exit(0)  # taking Blender's module down may crash


if __name__ == "__main__":
    main(sys.argv[1])
