# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command needs, as steps that cost nothing when they were done before."""

from __future__ import annotations

from pathlib import Path

from . import environments, extension_zip, interpreters, system_libraries
from .environments import BACKEND, BLENDER45, BLENDER52
from .failure import SetupError
from .paths import ROOT, shown
from .progress import say


def backend(with_tests: bool = False) -> None:
    """.venv/backend, with the packages of the tests on demand."""
    # Here, because the demo's part inside Blender shows that the extension needs nothing of the
    # checkout, and it imports this module.
    from shared.backend_location import note_location

    files = environments.TEST_FILES if with_tests else environments.BACKEND_FILES
    environments.ensure(BACKEND, files)
    try:
        note_location(BACKEND.interpreter, ROOT)
    except OSError as error:
        say(f"Blender will not find the backend by itself: {error}")
    say(f"Backend: ready in {shown(BACKEND.folder)}")


def blender45() -> None:
    """System libraries and .venv/blender45."""
    system_libraries.ensure()
    environments.ensure(BLENDER45, environments.BLENDER45_FILES)
    say(f"Blender 4.5: ready in {shown(BLENDER45.folder)}")


def blender52() -> str:
    """.venv/blender52; returns why it could not be had, or "" when it is ready.

    Nobody needs Blender 5.2 to work with VividKeys, so its absence is one visible line.
    """
    reason = ""
    if not environments.is_ready(BLENDER52, environments.BLENDER52_FILES):
        if environments.python_version(BLENDER52) is None:
            search = interpreters.find(BLENDER52.python)
            if search.found is None:
                wanted = f"{BLENDER52.python[0]}.{BLENDER52.python[1]}"
                reason = f"no Python {wanted} was found. {search.advice()}"
        if not reason:
            try:
                environments.ensure(BLENDER52, environments.BLENDER52_FILES)
            except SetupError as failure:
                reason = f"{failure.sentence} {failure.next_step}".strip()
    if reason:
        say(f"Blender 5.2: left out, because {reason}")
    else:
        say(f"Blender 5.2: ready in {shown(BLENDER52.folder)}")
    return reason


def zips_for_this_machine() -> list[Path]:
    """The zips that this machine's Blenders install."""
    targets = extension_zip.targets_for_this_machine()
    if not targets:
        raise SetupError(
            "There is no Blender for this kind of processor on this system.",
            "Use Linux on x64, macOS, or Windows on x64 or arm64.",
        )
    paths = extension_zip.ensure(targets)
    say(f"Extension: {', '.join(shown(path) for path in paths)}")
    return paths
