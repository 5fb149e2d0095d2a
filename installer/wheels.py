# SPDX-License-Identifier: GPL-3.0-or-later
"""The one wheel that the extension carries, pyzmq, for each Blender and platform.

The files are kept in .cache/wheels and checked against the digests below, which are those of the
project's own release; a zip can therefore only hold what was tried.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import interpreters
from .failure import SetupError
from .paths import LOGS, WHEELS, shown
from .progress import run_logged

PYZMQ_VERSION = "27.3.0"


@dataclass(frozen=True)
class Wheel:
    """One file of the pyzmq release."""

    python: str  # "cp311" for Blender 4.5 and 5.0, "cp312-abi3" for Blender 5.1 and later
    platform_tag: str
    file_name: str
    sha256: str

    @property
    def path(self) -> Path:
        return WHEELS / self.file_name


def _wheel(python: str, tag: str, file_tags: str, sha256: str) -> Wheel:
    abi = "cp311-cp311" if python == "cp311" else "cp312-abi3"
    return Wheel(python, tag, f"pyzmq-{PYZMQ_VERSION}-{abi}-{file_tags}.whl", sha256)


_MANYLINUX = "manylinux_2_26_x86_64.manylinux_2_28_x86_64"
_MAC = "macosx_10_15_universal2"
WHEELS_BY_SYSTEM: dict[tuple[str, str], Wheel] = {
    ("cp311", "linux"): _wheel(
        "cp311", "manylinux_2_28_x86_64", _MANYLINUX,
        "477b8ad30d66fc905c5388351e83b9ac25824b00e82c0d052b72ea6392636dfd",
    ),
    ("cp311", "macos"): _wheel(
        "cp311", _MAC, _MAC, "86fb4408797aabb54a31e147176ae0f2474d99f1715a36a4564089eca9ef9ce8",
    ),
    ("cp311", "windows-x64"): _wheel(
        "cp311", "win_amd64", "win_amd64",
        "df98c790f86b6aa2378b4bb94dec7b85b0adb195b880b41e429a4990aed2a8c9",
    ),
    ("cp311", "windows-arm64"): _wheel(
        "cp311", "win_arm64", "win_arm64",
        "652d68fb398e714540d8a577cef81c548c61394c721bc1b996b5a4028e89f73d",
    ),
    ("cp312-abi3", "linux"): _wheel(
        "cp312-abi3", "manylinux_2_28_x86_64", _MANYLINUX,
        "858fe25231e0fd8612da142efde019faa5ef63fa150a821a27870e791b38c798",
    ),
    ("cp312-abi3", "macos"): _wheel(
        "cp312-abi3", _MAC, _MAC,
        "15155fd8f308d3bd47f67a8f6cc809f9db90abbf63c514c384a17622e2cf080f",
    ),
    ("cp312-abi3", "windows-x64"): _wheel(
        "cp312-abi3", "win_amd64", "win_amd64",
        "3ea8e8fa5c097e68fef91d70b150fda96f307758103868018fc4deeb9c214122",
    ),
    ("cp312-abi3", "windows-arm64"): _wheel(
        "cp312-abi3", "win_arm64", "win_arm64",
        "2187a5ca80691a5edb30690f02d9fb714e2c32d3dfdeb652e159ff5da2dd4283",
    ),
}  # fmt: skip


def this_system() -> str | None:
    """This machine in the words of WHEELS_BY_SYSTEM; None where the extension has no wheel."""
    machine = platform.machine().lower()
    if sys.platform == "darwin":
        return "macos"
    if os.name == "nt":
        return "windows-arm64" if machine in ("arm64", "aarch64") else "windows-x64"
    if sys.platform.startswith("linux") and machine in ("x86_64", "amd64"):
        return "linux"
    return None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_cached(wheel: Wheel) -> bool:
    """True where the file is in the cache and is the one that was tried."""
    return wheel.path.is_file() and sha256_of(wheel.path) == wheel.sha256


def _python_with_pip() -> Path:
    """Any Python that has pip: only its downloader is used."""
    from .environments import BACKEND, BLENDER45  # here, because it is the last resort's friend

    options = [Path(sys.executable), BACKEND.interpreter, BLENDER45.interpreter]
    for minor in (11, 12, 13):
        found = interpreters.find((3, minor)).found
        if found:
            options.append(found.path)
    for option in options:
        if not option.exists():
            continue
        answer = subprocess.run(
            [str(option), "-I", "-m", "pip", "--version"],
            capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if answer.returncode == 0:
            return option
    raise SetupError(
        "No Python with pip was found to download the extension's wheels.",
        "Run python install.py backend first.",
    )


def fetch(wheels: list[Wheel]) -> None:
    """Puts the wheels into the cache; those that are there cost nothing.

    Raises SetupError where one can neither be found nor downloaded.
    """
    wanted = [wheel for wheel in wheels if not is_cached(wheel)]
    if not wanted:
        return
    python = _python_with_pip()
    WHEELS.mkdir(parents=True, exist_ok=True)
    for number, wheel in enumerate(wanted, start=1):
        abi = "cp311" if wheel.python == "cp311" else "abi3"
        version = "311" if wheel.python == "cp311" else "313"
        with tempfile.TemporaryDirectory(dir=WHEELS) as folder:
            run_logged(
                [
                    python, "-I", "-m", "pip", "download", "--no-input", "--no-deps",
                    "--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp",
                    "--python-version", version, "--abi", abi, "--platform", wheel.platform_tag,
                    "-d", folder, f"pyzmq=={PYZMQ_VERSION}",
                ],
                f"wheel {number} of {len(wanted)} for the extension ({wheel.platform_tag})",
                LOGS / "wheels.log",
                lambda _line: None,
                f"The wheel {wheel.file_name} is not in {shown(WHEELS)} and could not be had.",
                f"Go online once, or put the file into {shown(WHEELS)} by hand; then run it again.",
            )  # fmt: skip
            got = Path(folder) / wheel.file_name
            if not got.is_file() or sha256_of(got) != wheel.sha256:
                names = ", ".join(sorted(path.name for path in Path(folder).iterdir())) or "nothing"
                raise SetupError(
                    f"The registry gave another file than {wheel.file_name}: {names}.",
                    "Put the right file, checked against installer/wheels.py, into "
                    f"{shown(WHEELS)} by hand.",
                )
            got.replace(wheel.path)
