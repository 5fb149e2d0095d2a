# SPDX-License-Identifier: GPL-3.0-or-later
"""`doctor`: what this backend can do on this machine, and how to fix what it cannot."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from backend.models import shipped_weights
from backend.server.folders import default_data_folder

FIX = "python install.py backend"

# The module to import, and the distribution that contains it.
_NEEDED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "torch": "torch",
    "safetensors": "safetensors",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "av": "av",
    "zmq": "pyzmq",
    "mediapipe": "mediapipe",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
}
_OPTIONAL_PROGRAMS = {
    "rhubarb": "a baseline in the table of `evaluate speech`",
    "flite": "more synthetic voices for `train`",
}
_OPTIONAL_MODULES = {
    "espeakng_loader": "synthetic voices for `train`",
    "pocketsphinx": "aligns recordings for `train`",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what it is about, its state, and how to fix it."""

    what: str
    state: str
    fix: str = ""
    needed: bool = True


def findings() -> list[Finding]:
    """Everything that `doctor` checks, without loading a heavy library."""
    found = [Finding("Python", platform.python_version())]
    for module, distribution in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            found.append(Finding(distribution, "missing", FIX))
        else:
            found.append(Finding(distribution, importlib.metadata.version(distribution)))
    for name, path in shipped_weights().items():
        state = f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "missing"
        fix = "" if path.is_file() else "clone the repository again: it contains the weights"
        found.append(Finding(f"weights: {name}", state, fix))
    for module, use in _OPTIONAL_MODULES.items():
        state = "installed" if importlib.util.find_spec(module) else f"not installed ({use})"
        found.append(Finding(module, state, needed=False))
    for program, use in _OPTIONAL_PROGRAMS.items():
        place = shutil.which(program)
        found.append(Finding(program, place or f"not installed ({use})", needed=False))
    found.append(Finding("results are kept in", str(default_data_folder()), needed=False))
    return found


@dataclass(frozen=True)
class Doctor:
    """Show what is installed, what is missing, and how to fix it."""

    def run(self) -> int:
        table = Table("part", "state", "how to fix it")
        wrong = 0
        for finding in findings():
            wrong += bool(finding.needed and finding.fix)
            table.add_row(finding.what, finding.state, finding.fix)
        Console().print(table)
        print(f"{wrong} part(s) missing" if wrong else "nothing that is needed is missing")
        return 1 if wrong else 0
