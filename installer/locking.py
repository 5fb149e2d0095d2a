# SPDX-License-Identifier: GPL-3.0-or-later
"""`install.py lock`: writes the digests of every pinned package's files into requirements/.

For those who change a pin. uv asks the package index; installing needs pip alone.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import environments
from .environments import Environment
from .failure import SetupError
from .paths import REQUIREMENTS, shown
from .progress import child_environment, say
from .requirement_files import Pin, parse, with_digests

# Their own metadata asks for what is not wanted; pyproject.toml, [tool.vividkeys], says why.
_METADATA_IGNORED = ("mediapipe",)
Compile = Callable[[str, bool, Environment], str]


def _uv() -> str:
    found = shutil.which("uv")
    if found is None:
        raise SetupError(
            "uv, which reads the digests from the package index, was not found.",
            "Install it (pip install uv) and run the same command again.",
        )
    return found


def compile_with_uv(pins: str, dependencies: bool, environment: Environment) -> str:
    """The pins for all systems with digests; with what they need in turn if `dependencies`."""
    python = f"{environment.python[0]}.{environment.python[1]}"
    command = [
        _uv(), "pip", "compile", "--universal", "--generate-hashes", "--no-header",
        "--no-annotate", "--no-config", "--quiet", "--python-version", python, "-",
    ]  # fmt: skip
    if not dependencies:
        command.append("--no-deps")
    answer = subprocess.run(
        command, input=pins, capture_output=True, text=True, env=child_environment()
    )
    if answer.returncode != 0:
        raise SetupError(
            "uv could not resolve the pins.",
            "Mend the pin that it names, or go online, and run the same command again.",
            answer.stderr,
        )
    return answer.stdout


def _found(
    files: tuple[str, ...], environment: Environment, folder: Path, compiled: Compile
) -> dict[str, tuple[str, ...]]:
    """Digests by name for files that are installed together.

    Raises SetupError where what they need in turn is not pinned: pip would refuse it.
    """
    pins = [pin for name in files for pin in parse((folder / name).read_text("utf-8"))]
    found: list[Pin] = []
    for believed in (True, False):
        here = [pin for pin in pins if (pin.name not in _METADATA_IGNORED) is believed]
        bare = "".join(Pin(pin.name, pin.version, pin.marker).text + "\n" for pin in here)
        found += parse(compiled(bare, believed, environment)) if here else []
    names = {pin.name for pin in pins}
    missing = [f"{pin.name}=={pin.version}" for pin in found if pin.name not in names]
    if missing:
        raise SetupError(
            f"{shown(folder / files[0])} lacks what its pins need: {', '.join(missing)}.",
            "Add these lines to the file and run the same command again.",
        )
    return {pin.name: pin.digests for pin in found}


def run(folder: Path = REQUIREMENTS, compiled: Compile = compile_with_uv) -> int:
    """Rewrites the files with the digests of today's pins; returns the exit code."""
    for environment, files in (
        (environments.BACKEND, (*environments.TEST_FILES, environments.CUDA_FILE)),
        (environments.BLENDER45, environments.BLENDER45_FILES),
        (environments.BLENDER52, environments.BLENDER52_FILES),
    ):
        digests = _found(files, environment, folder, compiled)
        for name in files:
            path = folder / name
            text = with_digests(path.read_text("utf-8"), digests)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(text, "utf-8")
            temporary.replace(path)
            pins = parse(text)
            count = sum(len(pin.digests) for pin in pins)
            say(f"{shown(path)}: {len(pins)} packages, {count} digests")
    return 0
