# SPDX-License-Identifier: GPL-3.0-or-later
"""`install.py doctor`: what is installed, what is missing, and the one command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from . import environments, extension_zip, interpreters, system_libraries, wheels
from .environments import BACKEND, BLENDER45, BLENDER52, Environment
from .failure import SetupError
from .paths import DIST, MOTION_WEIGHTS, ROOT, SAMPLE_AUDIO, SAMPLE_IMAGE, shown
from .progress import say


class State(Enum):
    """How a thing stands. Only MISSING makes the doctor end with exit code 1."""

    OK = "ok"
    MISSING = "MISSING"
    OPTIONAL = "-"


@dataclass(frozen=True)
class Finding:
    """One line of the table; `mend` is a command to type, or a sentence."""

    what: str
    state: State
    detail: str
    mend: str = ""


def this_command(name: str) -> str:
    """How a person here starts install.py."""
    return f"{'py' if os.name == 'nt' else 'python3'} install.py {name}"


def _interpreter(wanted: tuple[int, int], needed: bool) -> Finding:
    what = f"Python {wanted[0]}.{wanted[1]}"
    search = interpreters.find(wanted)
    if search.found:
        detail = f"{search.found.version_text}, {search.found.path} ({search.found.source})"
        return Finding(what, State.OK, detail)
    state = State.MISSING if needed else State.OPTIONAL
    reason = search.rejected[0] if search.rejected else "not found"
    return Finding(what, state, reason, search.advice())


def _environment(
    what: str,
    environment: Environment,
    files: tuple[str, ...],
    shown_packages: tuple[str, ...],
    needed: bool,
    mend: str,
) -> Finding:
    absent = State.MISSING if needed else State.OPTIONAL
    version = environments.python_version(environment)
    if version is None:
        state = "does not run" if environment.folder.exists() else "not set up"
        return Finding(what, absent, f"{shown(environment.folder)} {state}", mend)
    try:
        inventory = environments.take_inventory(environment)
    except SetupError as failure:
        return Finding(what, absent, failure.sentence, mend)
    wrong = environments.problems(inventory, files)
    if wrong:
        more = f" and {len(wrong) - 2} more" if len(wrong) > 2 else ""
        return Finding(what, absent, ", ".join(wrong[:2]) + more, mend)
    names = [f"{name} {inventory.versions[name]}" for name in shown_packages]
    detail = f"Python {version}, {', '.join(names)}"
    if not environments.is_ready(environment, files):
        detail += " (not stamped yet)"
    return Finding(what, State.OK, detail)


def _system_libraries() -> Finding:
    what = "System libraries for Blender"
    absent = system_libraries.missing()
    if absent:
        detail = "not found: " + ", ".join(library.soname for library in absent)
        return Finding(what, State.MISSING, detail, system_libraries.command_text(absent))
    linux = sys.platform.startswith("linux")
    return Finding(what, State.OK, "all found" if linux else "none needed here")


def _zips() -> Finding:
    what = "Extension zips"
    targets = extension_zip.targets_for_this_machine()
    version = extension_zip.product_version()
    paths = [DIST / target.file_name(version) for target in targets]
    absent = [path for path in paths if not path.is_file()]
    if absent:
        detail = f"{shown(absent[0])} is not built"
        return Finding(what, State.MISSING, detail, this_command("addon"))
    cached = all(wheels.is_cached(target.wheel) for target in targets)
    note = "" if cached else " (their wheels are no longer cached)"
    return Finding(what, State.OK, f"{len(paths)} for this machine in {shown(DIST)}{note}")


def _file(what: str, path: Path) -> Finding:
    if path.is_file() and path.stat().st_size > 0:
        return Finding(what, State.OK, f"{shown(path)}, {path.stat().st_size / 1e6:.2f} MB")
    detail = f"{shown(path)} is not in this checkout"
    return Finding(what, State.MISSING, detail, f"git checkout -- {path.relative_to(ROOT)}")


def _program(what: str, names: tuple[str, ...], use: str) -> Finding:
    for name in names:
        found = shutil.which(name)
        if found:
            return Finding(what, State.OK, found)
    return Finding(what, State.OPTIONAL, f"not found; {use}")


def examine() -> list[Finding]:
    """Looks at everything; changes nothing and needs no network."""
    set_up_all = this_command("test")
    return [
        Finding("System", State.OK, f"{platform.system()} {platform.machine()}"),
        _interpreter(BACKEND.python, needed=True),
        _interpreter(BLENDER52.python, needed=False),
        _environment(
            "Backend", BACKEND, environments.BACKEND_FILES, ("torch", "mediapipe", "pyzmq"),
            needed=True, mend=this_command("backend"),
        ),
        _environment(
            "Test and training packages", BACKEND, environments.TEST_FILES, ("pytest", "mypy"),
            needed=False, mend=set_up_all,
        ),
        _system_libraries(),
        _environment(
            "Blender 4.5 as a module", BLENDER45, environments.BLENDER45_FILES, ("bpy", "numpy"),
            needed=True, mend=this_command("demo"),
        ),
        _environment(
            "Blender 5.2 as a module", BLENDER52, environments.BLENDER52_FILES, ("bpy", "numpy"),
            needed=False, mend=set_up_all,
        ),
        _zips(),
        _file("Weights, voice to motion", MOTION_WEIGHTS),
        _file("Sample voice", SAMPLE_AUDIO),
        _file("Sample photo", SAMPLE_IMAGE),
        _program("eSpeak NG", ("espeak-ng",), "training brings its own"),
        _program("Flite", ("flite",), "a second synthetic voice for training"),
        _program("Rhubarb", ("rhubarb",), "a public peer in the speech table"),
        _program("NVIDIA driver", ("nvidia-smi",), "everything runs on the processor"),
    ]  # fmt: skip


def table(findings: list[Finding]) -> str:
    """The findings as aligned text, then the commands that mend what is missing."""
    left = max(len(finding.what) for finding in findings)
    middle = max(len(state.value) for state in State)
    lines = [
        f"{finding.what:<{left}}  {finding.state.value:<{middle}}  {finding.detail}"
        for finding in findings
    ]
    for state, title in (
        (State.MISSING, "To mend what is missing:"),
        (State.OPTIONAL, "If you want the optional parts:"),
    ):
        repairs: dict[str, list[str]] = {}
        for finding in findings:
            if finding.state is state and finding.mend:
                repairs.setdefault(finding.mend, []).append(finding.what)
        if repairs:
            lines += ["", title]
            lines += [f"  {mend}    ({', '.join(names)})" for mend, names in repairs.items()]
    return "\n".join(lines)


def run() -> int:
    """Prints the table; returns 1 where something that is needed is missing."""
    findings = examine()
    say(table(findings))
    if any(finding.state is State.MISSING for finding in findings):
        return 1
    say("\nEverything that is needed is here.")
    return 0
