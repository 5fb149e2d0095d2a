# SPDX-License-Identifier: GPL-3.0-or-later
"""The system libraries that Blender's Python module opens on Linux: checked and installed."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .exclusive import only_one
from .failure import SetupError
from .paths import LOGS
from .progress import child_environment, run_logged


@dataclass(frozen=True)
class Library:
    """A shared library by its stem (`X11` for libX11.so.6) and the packages that bring it."""

    stem: str
    soname: str
    debian: str
    fedora: str
    arch: str


LIBRARIES = (
    Library("X11", "libX11.so.6", "libx11-6", "libX11", "libx11"),
    Library("Xrender", "libXrender.so.1", "libxrender1", "libXrender", "libxrender"),
    Library("Xfixes", "libXfixes.so.3", "libxfixes3", "libXfixes", "libxfixes"),
    Library("Xi", "libXi.so.6", "libxi6", "libXi", "libxi"),
    Library("xkbcommon", "libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    Library("SM", "libSM.so.6", "libsm6", "libSM", "libsm"),
    Library("ICE", "libICE.so.6", "libice6", "libICE", "libice"),
    Library("GL", "libGL.so.1", "libgl1", "mesa-libGL", "libglvnd"),
    Library("EGL", "libEGL.so.1", "libegl1", "mesa-libEGL", "libglvnd"),
    # Drawing without a graphics card: the preview is rendered by Workbench through EGL.
    Library("EGL_mesa", "libEGL_mesa.so.0", "libegl-mesa0", "mesa-libEGL", "mesa"),
)
_SOFTWARE_DRIVER = Library("swrast", "swrast_dri.so", "libgl1-mesa-dri", "mesa-dri-drivers", "mesa")
_DRIVER_PATTERNS = (
    "usr/lib*/*/dri/*swrast*", "usr/lib*/dri/*swrast*",
    "usr/lib*/*/libgallium*.so*", "usr/lib*/libgallium*.so*",
)  # fmt: skip


def _can_open(library: Library) -> bool:
    """Asks the loader's cache first, and only then really opens the library."""
    if ctypes.util.find_library(library.stem):
        return True
    try:
        ctypes.CDLL(library.soname)
    except OSError:
        return False
    return True


def missing() -> list[Library]:
    """The libraries that Blender's module would not find; empty outside Linux."""
    if not sys.platform.startswith("linux"):
        return []
    absent = [library for library in LIBRARIES if not _can_open(library)]
    if not any(any(Path("/").glob(pattern)) for pattern in _DRIVER_PATTERNS):
        absent.append(_SOFTWARE_DRIVER)
    return absent


def install_command(absent: list[Library]) -> list[str]:
    """The one command that installs them by this system's package manager; empty if unknown."""
    if shutil.which("apt-get"):
        names = sorted({library.debian for library in absent})
        return ["apt-get", "install", "-y", "--no-install-recommends", *names]
    if shutil.which("dnf"):
        return ["dnf", "install", "-y", *sorted({library.fedora for library in absent})]
    if shutil.which("pacman"):
        return ["pacman", "-S", "--needed", "--noconfirm", *sorted({x.arch for x in absent})]
    return []


def _rights() -> list[str] | None:
    """What to put before a command to run it as root: nothing, sudo, or None without rights."""
    if os.name == "posix" and os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if not sudo:
        return None
    asked = subprocess.run([sudo, "-n", "true"], capture_output=True, stdin=subprocess.DEVNULL)
    return [sudo, "-n"] if asked.returncode == 0 else None


def command_text(absent: list[Library]) -> str:
    """The command as a person types it."""
    command = install_command(absent)
    if not command:
        sonames = ", ".join(library.soname for library in absent)
        return f"install the packages that bring {sonames}"
    return " ".join(["sudo", *command])


def ensure() -> None:
    """Installs what is missing where the rights are there.

    Raises SetupError with the one command to type where they are not.
    """
    absent = missing()
    if not absent:
        return
    names = ", ".join(library.soname for library in absent)
    sentence = f"Blender's module needs system libraries that are not here: {names}."
    step = f"Run this and start again: {command_text(absent)}"
    command = install_command(absent)
    rights = _rights()
    if not command or rights is None:
        raise SetupError(sentence, step)
    log = LOGS / "system-libraries.log"
    with only_one("system-libraries"):
        quiet = child_environment(DEBIAN_FRONTEND="noninteractive")
        if command[0] == "apt-get":
            # One stale source must not stop us: the packages may be known already.
            with suppress(SetupError):
                run_logged(
                    [*rights, "apt-get", "update"], "system libraries: package lists", log,
                    lambda _line: None, sentence, step, quiet,
                )  # fmt: skip
        run_logged(
            [*rights, *command], f"system libraries: {len(absent)} to install", log,
            lambda _line: None, sentence, step, quiet,
        )  # fmt: skip
    left = missing()
    if left:
        raise SetupError(
            f"After the installation {', '.join(x.soname for x in left)} is still not found.", step
        )
